import fc from 'fast-check';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { CodedError } from '../../../device/contract/errors.ts';
import { linkHash } from '../../../device/library/chain.ts';
import { classify, commitFacts, type IndexFact } from '../../../device/library/commit.ts';
import { markUploaded, outboxDone, outboxTake, registerConsumers } from '../../../device/library/outbox.ts';
import { clip, event, libraryRig, NOON_MS, segment, SHA256, type LibraryRig } from './rig.ts';

let rig: LibraryRig;
beforeEach(async () => {
  rig = await libraryRig();
});
afterEach(() => rig[Symbol.asyncDispose]());

const commit = (...facts: IndexFact[]) => commitFacts(rig.context, facts);
const classes = () => rig.context.store.all('SELECT file_id, class FROM file ORDER BY file_id');
const totals = () =>
  rig.context.store.all('SELECT class, files, size_bytes FROM total WHERE files <> 0 ORDER BY class');

/** Everything in the index but when it was last alive. */
const contents = () =>
  [
    'camera',
    'file',
    'coverage',
    'event',
    'clip',
    'clip_event',
    'still',
    'gap',
    'outbox',
    'link',
    'total',
  ].map((table) => rig.context.store.all(`SELECT * FROM ${table}`));

test('closed files form a chain per camera, as documented', () => {
  const committed = commit(
    segment('a'),
    segment('b', { startUtcMs: NOON_MS + 60_000 }),
    segment('other', { cameraId: 'yard' }),
  );
  const said = (id: string, startMs: number) =>
    ({
      kind: 'segment',
      fileId: id,
      startMs,
      endMs: startMs + 60_000,
      sizeBytes: 1000,
      sha256: Buffer.from(SHA256, 'hex'),
    }) as const;
  const first = linkHash(null, 1, 'porch', said('a', NOON_MS));
  const second = linkHash(first, 2, 'porch', said('b', NOON_MS + 60_000));
  expect(committed).toEqual([
    { link: { position: 1, hash: Buffer.from(first).toString('hex') }, isNew: true },
    { link: { position: 2, hash: Buffer.from(second).toString('hex') }, isNew: true },
    { link: { position: 1, hash: expect.stringMatching(/^[0-9a-f]{64}$/) as string }, isNew: true },
  ]);
  // SHA-256 of 32 zero bytes and the text, by another tool.
  expect(committed[0]).toEqual({ link: { position: 1, hash: linkOfA }, isNew: true });
});

/** `(head -c32 /dev/zero; printf '[1,"porch","segment","a",1772366400000,1772366460000,1000,"abab…"]') | sha256sum` */
const linkOfA = 'cbfb2f5db30923ee66062e7d27634e5c92a1e50eba278828a938de7522d03a6d';

test('whatever is committed, and however often, once is enough', () => {
  const reason = new CodedError('CAMERA_STALLED').report();
  const facts: IndexFact[] = [
    { type: 'event', event: event('e') },
    { type: 'event', event: event('e', { endUtcMs: NOON_MS + 3000, endReason: 'gone' }) },
    clip('c', ['e']),
    segment('s'),
    {
      ...segment('holed', { startUtcMs: NOON_MS + 60_000 }),
      coverage: [
        { startUtcMs: NOON_MS + 60_000.4, endUtcMs: NOON_MS + 70_000 },
        { startUtcMs: NOON_MS + 80_000, endUtcMs: NOON_MS + 120_000 },
      ],
    },
    clip('ranged', ['e'], { ranged: true }),
    {
      type: 'still',
      cameraId: 'porch',
      eventId: 'e',
      path: 'media/stills/porch/2026-03-01/e.jpg',
      utcMs: NOON_MS,
      sizeBytes: 9,
    },
    { type: 'gap', cameraId: 'porch', startUtcMs: NOON_MS - 100, endUtcMs: NOON_MS, reason },
    { type: 'outage', cameraId: 'porch', utcMs: NOON_MS + 200_000, reason },
    { type: 'outage', cameraId: 'porch', utcMs: NOON_MS + 210_000, reason: null },
  ];
  registerConsumers(rig.context, { upload: ['clip.ready', 'segment.ready'] });
  commit(...facts);
  const once = contents();
  fc.assert(
    fc.property(fc.array(fc.nat(facts.length - 1), { maxLength: 20 }), (again) => {
      commit(...again.map((i) => facts[i]!));
      expect(contents()).toEqual(once);
    }),
    { numRuns: 30 },
  );
});

test('an event that has ended stays ended', () => {
  commit({ type: 'event', event: event('e', { endUtcMs: NOON_MS + 3000, endReason: 'gone' }) });
  commit({ type: 'event', event: event('e', { score: 0.99 }) });
  expect(rig.context.store.get('SELECT end_ms, score FROM event')).toMatchObject({
    end_ms: NOON_MS + 3000,
    score: 0.8,
  });
});

test('a fact the index refuses, or that makes no sense, costs the others nothing', () => {
  const bad = segment('bad');
  const committed = commit(
    segment('a'),
    { ...bad, segment: { ...bad.segment, durationMs: NaN } },
    { type: 'gap', cameraId: 'porch', startUtcMs: 0, endUtcMs: 1 } as never,
    segment('b'),
  );
  const refused = { refused: expect.any(String) as string };
  expect(committed).toMatchObject([{ link: { position: 1 } }, refused, refused, { link: { position: 2 } }]);
});

test('segments under a clip are footage of an event, of a protected event protected', () => {
  const at = (minutes: number) => ({ startUtcMs: NOON_MS + minutes * 60_000 });
  commit(segment('1', at(0)), segment('2', at(1)), { type: 'event', event: event('e') });
  expect(totals()).toEqual([{ class: 'continuous', files: 2, size_bytes: 2000 }]);
  // A segment that closes after the clip counts as well.
  commit(
    clip('c', ['e'], { ranged: true, startUtcMs: NOON_MS + 100_000, durationMs: 30_000 }),
    segment('3', at(2)),
    segment('4', at(3)),
  );
  expect(classes()).toEqual([
    { file_id: '1', class: 'continuous' },
    { file_id: '2', class: 'event' },
    { file_id: '3', class: 'event' },
    { file_id: '4', class: 'continuous' },
  ]);
  rig.context.store.run('UPDATE event SET is_protected = 1');
  classify(rig.context.store, 1, NOON_MS + 100_000, NOON_MS + 130_000);
  expect(totals()).toEqual([
    { class: 'continuous', files: 2, size_bytes: 2000 },
    { class: 'protected', files: 2, size_bytes: 2000 },
  ]);
});

test('a better still elsewhere makes the one before garbage', () => {
  const still = (day: string) =>
    ({
      type: 'still',
      cameraId: 'porch',
      eventId: 'e',
      path: `media/stills/porch/${day}/e.jpg`,
      utcMs: NOON_MS,
      sizeBytes: 9,
    }) as const;
  commit({ type: 'event', event: event('e') }, still('2026-03-01'), still('2026-03-02'));
  expect(rig.context.store.all('SELECT path FROM garbage')).toMatchObject([
    { path: still('2026-03-01').path },
  ]);
});

test('consumers get what they asked for, in order, until they say it is done, across restarts', async () => {
  commit(segment('before'));
  registerConsumers(rig.context, { upload: ['clip.ready', 'segment.ready'], notify: ['event.new'] });
  commit(segment('s1'), { type: 'event', event: event('e') }, clip('c', ['e']));
  await rig.restart();
  const taken = outboxTake(rig.context, { consumer: 'upload', limit: 10 });
  expect(taken).toMatchObject([
    { kind: 'segment.ready', ref: 's1' },
    { kind: 'clip.ready', ref: 'c' },
  ]);
  expect(outboxTake(rig.context, { consumer: 'notify', limit: 10 })).toMatchObject([
    { kind: 'event.new', ref: 'e' },
  ]);
  expect(outboxTake(rig.context, { consumer: 'upload', limit: 1 })).toEqual(taken.slice(0, 1));
  outboxDone(rig.context, { consumer: 'upload', nos: [taken[0]!.no] });
  expect(outboxTake(rig.context, { consumer: 'upload', limit: 10 })).toEqual(taken.slice(1));
  markUploaded(rig.context, { fileId: 's1' });
  expect(rig.context.store.get('SELECT uploaded_ms FROM file WHERE file_id = ?', 's1')).toMatchObject({
    uploaded_ms: NOON_MS,
  });
  registerConsumers(rig.context, { notify: ['event.new'] });
  expect(outboxTake(rig.context, { consumer: 'upload', limit: 10 })).toEqual([]);
});
