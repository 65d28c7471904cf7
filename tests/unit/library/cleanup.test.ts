import { existsSync } from 'node:fs';
import { mkdir, rm, rmdir, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { RetentionLimits } from '../../../device/contract/settings.ts';
import { commitFacts, type IndexFact } from '../../../device/library/commit.ts';
import { getEvent } from '../../../device/library/lists.ts';
import { markUploaded, registerConsumers } from '../../../device/library/outbox.ts';
import { protect } from '../../../device/library/protect.ts';
import { cleanup } from '../../../device/library/retention/cleanup.ts';
import type { RetentionPolicy } from '../../../device/library/retention/plan.ts';
import { libraryStats } from '../../../device/library/stats.ts';
import { clip, event, libraryRig, NOON_MS, segment, type LibraryRig } from './rig.ts';

const DAY_MS = 86_400_000;

let rig: LibraryRig;
beforeEach(async () => {
  rig = await libraryRig();
});
afterEach(() => rig[Symbol.asyncDispose]());

const none: RetentionLimits = { maxAgeMs: null, maxBytes: null };
const policy = (limits: Partial<RetentionPolicy['limits']>): RetentionPolicy => ({
  headroomBytes: 0,
  limits: { continuous: none, event: none, ...limits },
  cameraLimits: new Map(),
});
const bytes = (maxBytes: number): RetentionLimits => ({ maxAgeMs: null, maxBytes });
const age = (maxAgeMs: number): RetentionLimits => ({ maxAgeMs, maxBytes: null });
/** Everything that may go, goes. */
const NOTHING = policy({ continuous: bytes(0), event: bytes(0) });

/** Commits facts, with files where they say that there are some. */
async function keep(...facts: readonly IndexFact[]): Promise<void> {
  for (const fact of facts) {
    const file = fact.type === 'segment.ready' ? fact.segment : fact.type === 'clip.ready' ? fact.clip : fact;
    if (!('path' in file) || file.path === null) continue;
    const path = join(rig.dataDir, file.path);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, Buffer.alloc(file.sizeBytes));
  }
  for (const outcome of commitFacts(rig.context, facts)) expect(outcome).not.toHaveProperty('refused');
}

const minute = (n: number): number => NOON_MS + n * 60_000;
const segments = (count: number, cameraId = 'porch') =>
  Array.from({ length: count }, (_, n) =>
    segment(`${cameraId}-${n}`, { cameraId, startUtcMs: minute(n), sizeBytes: 100 }),
  );
const left = (): string[] =>
  rig.context.store
    .all<{ file_id: string }>('SELECT file_id FROM file ORDER BY camera, start_ms')
    .map(({ file_id }) => file_id);
const still = (eventId: string): IndexFact => ({
  type: 'still',
  cameraId: 'porch',
  eventId,
  path: `media/stills/porch/2026-03-01/${eventId}.jpg`,
  utcMs: NOON_MS,
  sizeBytes: 10,
});

test('over its share the oldest goes: row and file; its link in the chain stays', async () => {
  await keep(...segments(5));
  rig.clock.nowMs = minute(60);
  const report = await cleanup(rig.context, policy({ continuous: bytes(250) }));
  expect(report).toMatchObject({
    isComplete: true,
    problems: [],
    deleted: [{ footageClass: 'continuous', reason: 'quota', files: 3, sizeBytes: 300 }],
  });
  expect(left()).toEqual(['porch-3', 'porch-4']);
  for (const {
    segment: { segmentId, path },
  } of segments(5)) {
    expect(existsSync(join(rig.dataDir, path))).toBe(left().includes(segmentId));
  }
  expect(rig.context.store.get('SELECT count(*) AS links FROM link')).toEqual({ links: 5 });
});

test('many files go in one call or several, and the answer says when all are gone', async () => {
  await keep(...segments(300));
  rig.clock.nowMs = minute(1000);
  let files = 0;
  for (;;) {
    const report = await cleanup(rig.context, policy({ continuous: age(1) }));
    files += report.deleted.reduce((sum, deleted) => sum + deleted.files, 0);
    if (report.isComplete) break;
  }
  expect(files).toBe(300);
  expect(left()).toEqual([]);
});

test('an event outlives its footage, its still does not', async () => {
  const ended = event('e', { endUtcMs: NOON_MS + 5000, lastSeenUtcMs: NOON_MS + 5000 });
  await keep(
    { type: 'event', event: ended },
    still('e'),
    clip('c', ['e']),
    clip('c2', [], { startUtcMs: minute(9) }),
  );
  rig.clock.nowMs = minute(60);
  const jpeg = join(rig.dataDir, 'media/stills/porch/2026-03-01/e.jpg');
  await cleanup(rig.context, policy({ event: bytes(600) }));
  expect(left()).toEqual(['c2']);
  await cleanup(rig.context, NOTHING);
  expect(existsSync(jpeg)).toBe(false);
  expect(getEvent(rig.context, { eventId: 'e' })).toMatchObject({ eventId: 'e', stillPath: null });
});

test('the still of a long event stays as long as any of its footage does', async () => {
  const ended = event('e', { endUtcMs: minute(3), lastSeenUtcMs: minute(3) });
  await keep(
    { type: 'event', event: ended },
    still('e'),
    ...segments(3),
    clip('c', ['e'], { ranged: true, durationMs: 180_000 }),
  );
  rig.clock.nowMs = minute(60);
  const jpeg = join(rig.dataDir, 'media/stills/porch/2026-03-01/e.jpg');
  await cleanup(rig.context, policy({ event: bytes(100) }));
  await cleanup(rig.context, policy({}));
  expect(left()).toEqual(['porch-2']);
  expect(existsSync(jpeg)).toBe(true);
  await cleanup(rig.context, NOTHING);
  await cleanup(rig.context, NOTHING);
  expect(existsSync(jpeg)).toBe(false);
});

test('what was uploaded goes first, what waits for its upload last', async () => {
  registerConsumers(rig.context, { upload: ['segment.ready'] });
  await keep(...segments(2, 'queued'));
  registerConsumers(rig.context, { upload: ['clip.ready'] });
  await keep(...segments(2, 'plain'), ...segments(2, 'sent'));
  // The outbox of kinds that nobody takes is forgotten; put them back.
  for (const n of [0, 1]) {
    rig.context.store.run(
      `INSERT INTO outbox (consumer, kind, ref, created_ms) VALUES ('upload', 'clip.ready', 'queued-${n}', 0)`,
    );
    markUploaded(rig.context, { fileId: `sent-${n}` });
  }
  rig.clock.nowMs = minute(60);
  const order: string[] = [];
  for (let kept = 500; kept >= 0; kept -= 100) {
    const before = left();
    await cleanup(rig.context, policy({ continuous: bytes(kept) }));
    order.push(...before.filter((id) => !left().includes(id)));
  }
  expect(order).toEqual(['sent-0', 'sent-1', 'plain-0', 'plain-1', 'queued-0', 'queued-1']);
});

test('a clip that waits for its upload holds the segments it ranges over', async () => {
  registerConsumers(rig.context, { upload: ['clip.ready'] });
  await keep(...segments(4), clip('c', [], { ranged: true, startUtcMs: minute(0.5), durationMs: 60_000 }));
  const held = segment('other', { startUtcMs: minute(3), sizeBytes: 100, cameraId: 'garage' });
  await keep(held, clip('c2', [], { ranged: true, startUtcMs: minute(3), cameraId: 'garage' }));
  rig.context.store.run(`DELETE FROM outbox WHERE ref = 'c2'`);
  rig.clock.nowMs = minute(60);
  await cleanup(rig.context, policy({ event: bytes(200) }));
  expect(left()).toEqual(['porch-0', 'porch-1', 'porch-2', 'porch-3']);
});

test('what has just been recorded stays, also when there is too much of it', async () => {
  await keep(...segments(5));
  rig.clock.nowMs = minute(5.5);
  await cleanup(rig.context, NOTHING);
  expect(left()).toEqual(['porch-3', 'porch-4']);
});

test('footage from the future, by a clock that was wrong, can go', async () => {
  await keep(...segments(2));
  rig.clock.nowMs = NOON_MS - DAY_MS;
  await cleanup(rig.context, NOTHING);
  expect(left()).toEqual([]);
});

test('footage on another disk is neither counted nor touched', async () => {
  await keep(...segments(2, 'elsewhere'));
  rig.context.store.run(`INSERT INTO media (media_id, accepted_ms) VALUES ('old', 0)`);
  rig.context.store.run(`UPDATE file SET media = (SELECT no FROM media WHERE media_id = 'old')`);
  await keep(...segments(2, 'here'));
  rig.clock.nowMs = minute(60);
  expect((await libraryStats(rig.context)).classes.continuous).toMatchObject({ files: 2, sizeBytes: 200 });
  await cleanup(rig.context, policy({ continuous: bytes(200) }));
  expect(left()).toHaveLength(4);
  await cleanup(rig.context, NOTHING);
  expect(left()).toEqual(['elsewhere-0', 'elsewhere-1']);
});

test('where a file cannot be deleted, the index gives up no more, and it is told', async () => {
  await keep(...segments(200));
  rig.clock.nowMs = minute(1000);
  const stubborn = join(rig.dataDir, segments(1)[0]!.segment.path);
  await rm(stubborn);
  await mkdir(stubborn);
  const report = await cleanup(rig.context, NOTHING);
  expect(report).toMatchObject({ isComplete: true, problems: [{ code: 'DISK_WRITE_FAILED' }] });
  const after = left().length;
  expect(after).toBeGreaterThan(100);
  await cleanup(rig.context, NOTHING);
  expect(left()).toHaveLength(after);
  await rmdir(stubborn);
  await cleanup(rig.context, NOTHING);
  expect(left()).toEqual([]);
});

test('a protected event keeps its clip; a released one gives it back', async () => {
  await keep({ type: 'event', event: event('e') }, clip('c', ['e']));
  const path = join(rig.dataDir, clip('c', ['e']).clip.path!);
  rig.clock.nowMs = minute(60);
  expect(await protect(rig.context, { id: 'e', isProtected: true })).toEqual({
    eventIds: ['e'],
    files: 1,
    sizeBytes: 500,
  });
  expect((await stat(path)).mode & 0o777).toBe(0o444);
  expect(await cleanup(rig.context, NOTHING)).toMatchObject({ deleted: [] });
  expect(getEvent(rig.context, { eventId: 'e' })).toMatchObject({ isProtected: true });
  expect(await protect(rig.context, { id: 'c', isProtected: false })).toMatchObject({ files: 1 });
  expect((await stat(path)).mode & 0o777).toBe(0o644);
  await cleanup(rig.context, NOTHING);
  expect(left()).toEqual([]);
});

test('a protected clip keeps the segments it ranges over, and those that another one shares with it', async () => {
  await keep(
    ...segments(5),
    { type: 'event', event: event('a') },
    { type: 'event', event: event('b') },
    clip('A', ['a'], { ranged: true, startUtcMs: minute(1.5), durationMs: 60_000 }),
    clip('B', ['b'], { ranged: true, startUtcMs: minute(2.5), durationMs: 60_000 }),
  );
  rig.clock.nowMs = minute(60);
  expect(await protect(rig.context, { id: 'A', isProtected: true })).toMatchObject({
    eventIds: ['a'],
    files: 2,
  });
  expect(await protect(rig.context, { id: 'b', isProtected: true })).toMatchObject({ files: 1 });
  expect(await protect(rig.context, { id: 'A', isProtected: false })).toMatchObject({ files: 1 });
  await cleanup(rig.context, NOTHING);
  expect(left()).toEqual(['porch-2', 'porch-3']);
});

test('an event that still goes on is protected with what comes later', async () => {
  await keep({ type: 'event', event: event('e') });
  expect(await protect(rig.context, { id: 'e', isProtected: true })).toMatchObject({ files: 0 });
  await keep(clip('c', ['e']));
  rig.clock.nowMs = minute(60);
  await cleanup(rig.context, NOTHING);
  expect(left()).toEqual(['c']);
  expect((await stat(join(rig.dataDir, clip('c', []).clip.path!))).mode & 0o222).toBe(0);
});

test('nothing of that name can be protected', async () => {
  await expect(protect(rig.context, { id: 'x', isProtected: true })).rejects.toMatchObject({
    code: 'FOOTAGE_NOT_FOUND',
  });
});

test('whatever the limits and whatever is protected: that stays, and no other limit is broken by it', async () => {
  const footage = fc.record({
    cameraId: fc.constantFrom('a', 'b'),
    startMinute: fc.integer({ min: 0, max: 300 }),
    sizeBytes: fc.integer({ min: 1, max: 50 }),
    ranged: fc.boolean(),
    isProtected: fc.boolean(),
    isUploaded: fc.boolean(),
  });
  let run = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(footage, { maxLength: 12 }),
      fc.nat(200),
      fc.nat(300),
      async (all, maxBytes, minutes) => {
        const prefix = `r${run++}`;
        rig.clock.nowMs = NOON_MS;
        for (const [
          n,
          { cameraId, startMinute, sizeBytes, ranged, isProtected, isUploaded },
        ] of all.entries()) {
          const place = { cameraId: prefix + cameraId, startUtcMs: minute(startMinute), sizeBytes };
          const [eventId, clipId, segmentId] = [`${prefix}e${n}`, `${prefix}c${n}`, `${prefix}s${n}`];
          const visit = event(eventId, { cameraId: place.cameraId, startUtcMs: place.startUtcMs });
          await keep(
            { type: 'event', event: visit },
            segment(segmentId, place),
            clip(clipId, [eventId], { ranged, ...place }),
          );
          if (isProtected) await protect(rig.context, { id: eventId, isProtected });
          if (isUploaded) markUploaded(rig.context, { fileId: segmentId });
        }
        const isKept = `SELECT file_id FROM file WHERE class = 'protected' ORDER BY file_id`;
        const kept = rig.context.store.all(isKept);
        rig.clock.nowMs = minute(1000);
        await cleanup(rig.context, {
          headroomBytes: 0,
          limits: { continuous: bytes(maxBytes), event: age(minutes * 60_000) },
          cameraLimits: new Map([[`${prefix}a`, { continuous: age(1), event: bytes(maxBytes) }]]),
        });
        expect(rig.context.store.all(isKept)).toEqual(kept);
        const files = rig.context.store.all<{
          path: string;
          class: string;
          sizeBytes: number;
          startMs: number;
        }>('SELECT path, class, size_bytes AS sizeBytes, start_ms AS startMs FROM file');
        for (const { path } of files) expect(existsSync(join(rig.dataDir, path))).toBe(true);
        const continuous = files.filter((file) => file.class === 'continuous');
        expect(continuous.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)).toBeLessThanOrEqual(maxBytes);
        for (const file of files.filter((file) => file.class === 'event')) {
          expect(file.startMs).toBeGreaterThanOrEqual(minute(1000 - minutes));
        }
      },
    ),
    { numRuns: 25 },
  );
});

test('history is forgotten after 400 days, but for protected events', async () => {
  await keep(
    { type: 'event', event: event('old', { endUtcMs: NOON_MS }) },
    { type: 'event', event: event('kept', { endUtcMs: NOON_MS }) },
    {
      type: 'event',
      event: event('new', { startUtcMs: NOON_MS + 2 * DAY_MS, endUtcMs: NOON_MS + 2 * DAY_MS }),
    },
    still('old'),
    still('kept'),
    {
      type: 'gap',
      cameraId: 'porch',
      startUtcMs: NOON_MS,
      endUtcMs: NOON_MS + 1,
      reason: { code: 'DISK_TOO_SLOW', message: '', advice: '' },
    },
  );
  await protect(rig.context, { id: 'kept', isProtected: true });
  const events = () =>
    rig.context.store.all<{ id: string }>('SELECT event_id AS id FROM event ORDER BY no').map(({ id }) => id);
  const gaps = () => rig.context.store.get('SELECT count(*) AS count FROM gap');
  rig.clock.nowMs = NOON_MS + 399 * DAY_MS;
  await cleanup(rig.context, policy({}));
  expect(events()).toEqual(['old', 'kept', 'new']);
  expect(gaps()).toEqual({ count: 1 });
  rig.clock.nowMs = NOON_MS + 401 * DAY_MS;
  await cleanup(rig.context, policy({}));
  await cleanup(rig.context, policy({}));
  expect(events()).toEqual(['kept', 'new']);
  expect(gaps()).toEqual({ count: 0 });
  const jpeg = (id: string) => existsSync(join(rig.dataDir, `media/stills/porch/2026-03-01/${id}.jpg`));
  expect([jpeg('old'), jpeg('kept')]).toEqual([false, true]);
});

test('stills go when the footage of events may no longer be kept, with or without any', async () => {
  await keep({ type: 'event', event: event('e', { endUtcMs: NOON_MS }) }, still('e'));
  rig.clock.nowMs = NOON_MS + 2 * DAY_MS;
  await cleanup(rig.context, policy({ event: age(3 * DAY_MS) }));
  await cleanup(rig.context, policy({ event: age(DAY_MS) }));
  await cleanup(rig.context, policy({}));
  expect(existsSync(join(rig.dataDir, 'media/stills/porch/2026-03-01/e.jpg'))).toBe(false);
  expect(getEvent(rig.context, { eventId: 'e' })).not.toBeNull();
});
