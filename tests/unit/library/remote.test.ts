import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { commitFacts, type IndexFact } from '../../../device/library/commit.ts';
import { outboxTake, registerConsumers } from '../../../device/library/outbox.ts';
import { remoteBackfill } from '../../../device/library/remote-backfill.ts';
import {
  remoteManifest,
  remoteManifestDue,
  remoteManifestWritten,
} from '../../../device/library/remote-manifest.ts';
import {
  remoteBacklog,
  remoteEnrol,
  remoteEntries,
  remoteFailed,
  remoteGone,
  remoteMissing,
  remoteNext,
  remoteReady,
  remoteSeal,
  remoteUploading,
  remoteVerified,
} from '../../../device/library/remote.ts';
import { indexPath } from '../../../device/library/store.ts';
import { cleanup } from '../../../device/library/retention/cleanup.ts';
import { clip, event, libraryRig, NOON_MS, segment, type LibraryRig } from './rig.ts';

let rig: LibraryRig;
beforeEach(async () => {
  rig = await libraryRig();
  registerConsumers(rig.context, { s3: ['still', 'clip.ready', 'segment.ready'] });
});
afterEach(() => rig[Symbol.asyncDispose]());

const KINDS = ['still', 'clip', 'segment'] as const;
const enrol = (): number => remoteEnrol(rig.context, { consumer: 's3', limit: 100 });
const next = (not: readonly number[] = []) => remoteNext(rig.context, { kinds: KINDS, not });
const stateOf = (ref: string) =>
  rig.context.store.get<{ state: string; verified_ms: number | null }>(
    'SELECT state, verified_ms FROM remote WHERE ref = ?',
    ref,
  );
const still = (eventId: string): IndexFact => ({
  ...{ type: 'still', cameraId: 'porch', eventId, utcMs: NOON_MS, sizeBytes: 10 },
  path: `media/stills/porch/2026-03-01/${eventId}.jpg`,
});
const ended = event('e', { endUtcMs: NOON_MS + 5000 });

async function onDisk(...facts: readonly IndexFact[]): Promise<void> {
  for (const fact of facts) {
    const { path, sizeBytes } =
      fact.type === 'segment.ready' ? fact.segment : fact.type === 'clip.ready' ? fact.clip : (fact as never);
    if (path === null) continue;
    await mkdir(dirname(join(rig.dataDir, path)), { recursive: true });
    await writeFile(join(rig.dataDir, path), Buffer.alloc(sizeBytes));
  }
  commitFacts(rig.context, facts);
}

test('what waits in the outbox moves into the ledger, once', () => {
  commitFacts(rig.context, [segment('s'), { type: 'event', event: ended }, clip('c', ['e']), still('e')]);
  expect(enrol()).toBe(3);
  expect(outboxTake(rig.context, { consumer: 's3', limit: 9 })).toEqual([]);
  expect(enrol()).toBe(0);
  const kinds: string[] = [];
  const not: number[] = [];
  for (let object = next(); object; object = next(not)) {
    kinds.push(`${object.kind} ${object.state} ${object.key}`);
    not.push(object.no);
  }
  expect(kinds.map((text) => text.split(' ').slice(0, 2).join(' '))).toEqual([
    'still local',
    'clip queued',
    'segment queued',
  ]);
  expect(kinds[0]).toBe('still local stills/porch/2026-03-01/e.jpg');
  expect(remoteBacklog(rig.context)).toMatchObject({ objects: 3 });
});

test('the ledger holds over a restart, with the parts of an upload', async () => {
  commitFacts(rig.context, [segment('s')]);
  enrol();
  const { no, revision } = next()!;
  const parts = [{ part: 1, etag: 'a' }];
  remoteUploading(rig.context, { no, revision, uploadId: 'u', parts });
  await rig.restart();
  expect(next()).toMatchObject({ state: 'uploading', uploadId: 'u', parts });
  remoteVerified(rig.context, { no, revision, etag: 'e', sealed: null });
  expect(next()).toBeNull();
  expect(rig.context.store.get('SELECT uploaded_ms FROM file')).toEqual({ uploaded_ms: NOON_MS });
});

test('a better still is another object under the same key; what comes late for the old one changes nothing', () => {
  commitFacts(rig.context, [{ type: 'event', event: ended }, still('e')]);
  enrol();
  const old = next()!;
  commitFacts(rig.context, [still('e')]);
  enrol();
  remoteVerified(rig.context, { no: old.no, revision: old.revision, etag: 'old', sealed: null });
  expect(stateOf('e')).toMatchObject({ state: 'local' });
  const better = next()!;
  expect(better).toMatchObject({ no: old.no, key: old.key, revision: old.revision + 1 });
  const sha256 = 'ab'.repeat(32);
  remoteReady(rig.context, { ...better, path: better.path!, sizeBytes: 7, sha256 });
  expect(next()).toMatchObject({ state: 'queued', sizeBytes: 7, sha256 });
});

test('what failed waits for its time, others do not', () => {
  commitFacts(rig.context, [segment('a'), segment('b', { startUtcMs: NOON_MS + 60_000 })]);
  enrol();
  const first = next()!;
  remoteUploading(rig.context, { ...first, uploadId: 'u', parts: [] });
  remoteFailed(rig.context, { ...first, code: 'S3_CORRUPTED', retryUtcMs: NOON_MS + 1000, startsOver: true });
  expect(next()?.ref).toBe('b');
  rig.clock.nowMs = NOON_MS + 1000;
  expect(next()).toMatchObject({ ref: 'a', attempts: 1, uploadId: null });
});

test('retention lets go of what is there first, of what is still to be sent last', async () => {
  const minute = (n: number): number => NOON_MS + n * 60_000;
  const facts = Array.from({ length: 4 }, (_, n) =>
    segment(`s${n}`, { startUtcMs: minute(n), sizeBytes: 100 }),
  );
  await onDisk(...facts);
  enrol();
  // The outbox is empty: it is the ledger that holds the others.
  const third = rig.context.store.get<{ no: number; revision: number }>(
    `SELECT no, revision FROM remote WHERE ref = 's2'`,
  )!;
  remoteVerified(rig.context, { ...third, etag: 'e', sealed: null });
  registerConsumers(rig.context, {});
  await onDisk(segment('idle', { startUtcMs: minute(4), sizeBytes: 100 }));
  rig.clock.nowMs = minute(60);
  const order: string[] = [];
  const left = (): string[] =>
    rig.context.store.all<{ file_id: string }>('SELECT file_id FROM file').map(({ file_id }) => file_id);
  for (let kept = 400; kept >= 200; kept -= 100) {
    const before = left();
    await cleanup(rig.context, {
      headroomBytes: 0,
      limits: {
        continuous: { maxAgeMs: null, maxBytes: kept },
        event: { maxAgeMs: null, maxBytes: null },
      },
      cameraLimits: new Map(),
    });
    order.push(...before.filter((id) => !left().includes(id)));
  }
  expect(order).toEqual(['s2', 'idle', 's0']);
  expect(stateOf('s2')).toMatchObject({ state: 'expired', verified_ms: expect.any(Number) as number });
  expect(stateOf('s0')).toEqual({ state: 'expired', verified_ms: null });
});

test('a segment that a clip still has to be cut from is held by it', async () => {
  registerConsumers(rig.context, { s3: ['clip.ready'] });
  await onDisk(
    segment('s', { sizeBytes: 100 }),
    clip('c', [], { ranged: true, startUtcMs: NOON_MS + 1000, durationMs: 2000 }),
    segment('later', { startUtcMs: NOON_MS + 600_000, sizeBytes: 100 }),
    clip('c2', [], { ranged: true, startUtcMs: NOON_MS + 601_000, durationMs: 2000 }),
  );
  enrol();
  rig.context.store.run(`DELETE FROM remote WHERE ref = 'c2'`);
  rig.clock.nowMs = NOON_MS + 3_600_000;
  await cleanup(rig.context, {
    headroomBytes: 0,
    limits: { continuous: { maxAgeMs: null, maxBytes: null }, event: { maxAgeMs: null, maxBytes: 100 } },
    cameraLimits: new Map(),
  });
  expect(rig.context.store.all('SELECT file_id FROM file')).toEqual([{ file_id: 's' }]);
});

test('a file that is gone is given up, unless the whole disk is away', async () => {
  commitFacts(rig.context, [segment('s')]);
  enrol();
  const object = next()!;
  const other = { ...rig.context, mediaId: 'another' };
  await expect(remoteGone(other, object)).rejects.toMatchObject({ code: 'MEDIA_FOREIGN' });
  expect(stateOf('s')?.state).toBe('queued');
  await remoteGone(rig.context, object);
  expect(stateOf('s')).toEqual({ state: 'expired', verified_ms: null });
});

test('what is missing in the bucket is sent again where there is a file', () => {
  commitFacts(rig.context, [segment('a'), segment('b', { startUtcMs: NOON_MS + 60_000 })]);
  enrol();
  for (let object = next(); object; object = next())
    remoteVerified(rig.context, { ...object, etag: 'e', sealed: null });
  rig.context.store.run(`UPDATE remote SET state = 'expired' WHERE ref = 'b'`);
  const entries = remoteEntries(rig.context, { after: '', limit: 10 });
  expect(entries.map(({ key }) => key)).toEqual(entries.map(({ key }) => key).toSorted());
  expect(remoteMissing(rig.context, { nos: entries.map(({ no }) => no) })).toBe(1);
  expect(next()?.ref).toBe('a');
  expect(rig.context.store.get(`SELECT uploaded_ms FROM file WHERE file_id = 'a'`)).toEqual({
    uploaded_ms: null,
  });
  expect(stateOf('b')).toEqual({ state: 'expired', verified_ms: null });
});

test('a manifest is due when something changed, and stays so until it shows all of it', () => {
  commitFacts(rig.context, [segment('a'), segment('b', { startUtcMs: NOON_MS + 60_000 })]);
  enrol();
  const first = next()!;
  remoteVerified(rig.context, { ...first, etag: 'e', sealed: null });
  const due = (ms: number) => remoteManifestDue(rig.context, { changedBeforeUtcMs: ms });
  expect(due(NOON_MS - 1)).toEqual([]);
  const [day] = due(NOON_MS);
  expect(day).toEqual({ cameraId: 'porch', day: '2026-03-01', revision: 1, written: 0 });
  expect(remoteManifest(rig.context, day!)).toMatchObject([{ id: 'a', kind: 'segment', etag: 'e' }]);
  remoteVerified(rig.context, { ...next()!, etag: 'f', sealed: null });
  remoteManifestWritten(rig.context, { ...day!, written: day!.revision });
  expect(due(NOON_MS)).toMatchObject([{ revision: 2, written: 1 }]);
  remoteManifestWritten(rig.context, { ...day!, written: 2 });
  expect(due(NOON_MS)).toEqual([]);
});

test('footage of before is taken up page by page, once, and sent after everything new', async () => {
  registerConsumers(rig.context, {});
  commitFacts(rig.context, [
    segment('ancient', { startUtcMs: NOON_MS - 86_400_000 }),
    ...['x', 'y', 'z'].map((id, n) => segment(id, { startUtcMs: NOON_MS + n * 60_000 })),
    { type: 'event', event: ended },
    clip('k', ['e']),
    still('e'),
  ]);
  expect(enrol()).toBe(0);
  registerConsumers(rig.context, { s3: ['still', 'clip.ready', 'segment.ready'] });
  const page = (kind: (typeof KINDS)[number], after: number, limit = 2) =>
    remoteBackfill(rig.context, { consumer: 's3', kind, after, limit, sinceUtcMs: NOON_MS });
  const first = page('segment', 0);
  expect(first).toMatchObject({ taken: 1, after: expect.any(Number) as number });
  expect(page('segment', first.after!, 50)).toEqual({ taken: 2, after: null });
  expect(page('clip', 0)).toEqual({ taken: 1, after: null });
  expect(page('still', 0)).toEqual({ taken: 1, after: null });
  for (const kind of KINDS) expect(page(kind, 0, 50)).toEqual({ taken: 0, after: null });

  // Something new of each kind; one of them is still in the outbox.
  const eventId = 'new';
  commitFacts(rig.context, [
    segment('s', { startUtcMs: NOON_MS + 600_000 }),
    { type: 'event', event: { ...ended, eventId } },
    clip('c', [eventId], { startUtcMs: NOON_MS + 600_000 }),
    still(eventId),
  ]);
  expect(page('segment', 0, 50)).toEqual({ taken: 0, after: null });
  enrol();
  expect(remoteBacklog(rig.context)).toMatchObject({ objects: 8, backfillObjects: 5 });
  const order: string[] = [];
  const not: number[] = [];
  for (let object = next(); object; object = next(not)) {
    order.push(object.ref);
    not.push(object.no);
  }
  expect(order).toEqual([eventId, 'c', 's', 'e', 'k', 'x', 'y', 'z']);
});

test('how an object is encrypted is kept over a restart, and forgotten when it is there', async () => {
  commitFacts(rig.context, [segment('s')]);
  enrol();
  const { no, revision } = next()!;
  const seal = { keyId: 'k', of: 'ab', header: 'aGVhZA==', dataKey: 'c2VjcmV0IGtleQ==' };
  remoteUploading(rig.context, { no, revision, uploadId: 'clear', parts: [{ part: 1, etag: 'a' }] });
  remoteSeal(rig.context, { no, revision, seal });
  await rig.restart();
  expect(next()).toMatchObject({ seal, uploadId: null, parts: [] });
  const sealed = { keyId: 'k', sizeBytes: 999, sha256: 'cd'.repeat(32) };
  remoteVerified(rig.context, { no, revision, etag: 'e', sealed });
  expect(rig.context.store.get('SELECT seal FROM remote')).toEqual({ seal: null });
  const day = { cameraId: 'porch', day: '2026-03-01' };
  expect(remoteManifest(rig.context, day)).toMatchObject([{ id: 's', sealed }]);
  // The size that a listing has to show.
  expect(remoteEntries(rig.context, { after: '', limit: 9 })).toMatchObject([{ sizeBytes: 999 }]);
  // Nor is it in what the index has of free space.
  await rig.restart();
  const index = await readFile(indexPath(rig.dataDir));
  expect(index.includes(seal.dataKey)).toBe(false);
});
