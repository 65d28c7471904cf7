import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { ErrorCode } from '../../device/contract/errors.ts';
import { noMeter } from '../../device/contract/metrics.ts';
import type { Settings } from '../../device/contract/settings.ts';
import type { Payload, TopicName } from '../../device/contract/topics.ts';
import { commitFacts, type IndexFact } from '../../device/library/commit.ts';
import type { LibraryContext } from '../../device/library/context.ts';
import type { Library } from '../../device/library/index.ts';
import { checkMedia } from '../../device/library/media.ts';
import { openAsOwner } from '../../device/library/opening.ts';
import { OPERATIONS } from '../../device/library/operations.ts';
import { protect } from '../../device/library/protect.ts';
import { codedSqlError } from '../../device/library/store.ts';
import { StorageDesk } from '../../device/storage-desk.ts';
import { createLoopDisk, requireLoopDisks, unmountAll, type LoopDisk } from '../harness/loop-disk.ts';
import { StepClock } from '../harness/step-clock.ts';
import { clip, event, NOON_MS, segment, silent } from '../unit/library/rig.ts';

await requireLoopDisks();

const MB = 1e6;
const MINUTE_MS = 60_000;
const HEADROOM_BYTES = 8 * MB;
const WISH = { pinnedId: null, newId: 'the-disk' };

let place: string;
let disk: LoopDisk;
beforeEach(async () => {
  place = await mkdtemp(join(tmpdir(), 'spyoncino-full-'));
  disk = await createLoopDisk({ mebibytes: 48 });
});
afterEach(async () => {
  unmountAll();
  await disk[Symbol.asyncDispose]();
  await rm(place, { recursive: true, force: true });
});

/** Index, footage and whatever else there is on one small disk, and the desk that looks after it, on simulated time. */
async function world() {
  if (!existsSync(join(place, 'state'))) await disk.mount(place);
  const clock = new StepClock(NOON_MS);
  const signal = new AbortController().signal;
  const { context } = await openAsOwner(
    { dataDir: place, wish: WISH, check: false, run: null },
    { signal, clock, log: silent },
  );
  /** What went wrong, and what was said, in order. */
  const story: { utcMs: number; what: string }[] = [];
  const tell = (what: string): void => void story.push({ utcMs: clock.utcMs(), what });
  const stats: Payload<'storage.stats'>[] = [];
  let alarms: ErrorCode[] = [];
  const desk = new StorageDesk({
    settings: { dataDir: place, cameras: [], storage: STORAGE } as unknown as Settings,
    library: libraryOf(context),
    bus: {
      publish(topic: TopicName, payload: object) {
        if (topic === 'storage.stats') stats.push(payload as Payload<'storage.stats'>);
        if (topic !== 'storage.alarm') return;
        const now = (payload as Payload<'storage.alarm'>).alarms.map(({ code }) => code);
        for (const code of now) if (!alarms.includes(code)) tell(`+${code}`);
        for (const code of alarms) if (!now.includes(code)) tell(`-${code}`);
        alarms = now;
      },
    },
    meter: noMeter,
    clock,
    log: silent,
    onMediaChange: () => tell('media changed'),
  });

  const waiting: IndexFact[] = [];
  /** As a camera host and the agent do it: the file, then its row; a fact that the index cannot take now waits. */
  async function record(fact: IndexFact): Promise<void> {
    try {
      if (fact.type === 'segment.ready' || fact.type === 'clip.ready') await writeFootage(place, fact);
      waiting.push(fact);
    } catch (error) {
      tell((error as NodeJS.ErrnoException).code ?? 'failed');
    }
    try {
      commitFacts(context, waiting);
      waiting.length = 0;
    } catch (error) {
      tell(`index ${codedSqlError(error).code}`);
    }
  }
  desk.start();
  await clock.asleep();
  return {
    clock,
    context,
    desk,
    story,
    stats,
    record,
    alarms: () => alarms,
    async [Symbol.asyncDispose]() {
      await desk.stop();
      context.store[Symbol.dispose]();
    },
  };
}

const none = { maxAgeMs: null, maxBytes: null };
const STORAGE: Settings['storage'] = {
  mediaId: null,
  headroomBytes: HEADROOM_BYTES,
  cleanupIntervalMs: 30_000,
  retention: { continuous: none, event: none },
};

/** The library of an agent, without its thread: simulated time does not reach into threads. */
const libraryOf = (context: LibraryContext): Library =>
  ({
    mediaId: context.mediaId,
    troubles: [],
    checkMedia: () => checkMedia(context, WISH),
    ask: async (operation: keyof typeof OPERATIONS, argument: never) =>
      await (OPERATIONS[operation] as (context: LibraryContext, argument: never) => unknown)(
        context,
        argument,
      ),
  }) as unknown as Library;

async function writeFootage(
  dataDir: string,
  fact: Extract<IndexFact, { type: 'segment.ready' | 'clip.ready' }>,
) {
  const { path, sizeBytes } = fact.type === 'segment.ready' ? fact.segment : fact.clip;
  if (path === null) return;
  const file = join(dataDir, path);
  await mkdir(dirname(file), { recursive: true });
  try {
    await writeFile(file, Buffer.alloc(sizeBytes, 1), { flush: true });
  } catch (error) {
    await rm(file, { force: true });
    throw error;
  }
}

const paths = (context: LibraryContext, footageClass: string): string[] =>
  context.store
    .all<{ path: string }>('SELECT path FROM file WHERE class = ? ORDER BY start_ms', footageClass)
    .map(({ path }) => path);

/** A minute of two cameras that always record, with an event every third minute; the first events are protected. */
async function recordMinute({ context, clock, record }: Awaited<ReturnType<typeof world>>, n: number) {
  const startUtcMs = NOON_MS + n * MINUTE_MS;
  for (const cameraId of ['porch', 'garage']) {
    const footage = { cameraId, startUtcMs, sizeBytes: 0.5 * MB };
    await record(segment(`${cameraId}-${n}`, footage));
    if (n % 3 > 0) continue;
    const visit = { cameraId, startUtcMs, lastSeenUtcMs: startUtcMs + 10_000, endUtcMs: startUtcMs + 10_000 };
    await record({ type: 'event', event: event(`${cameraId}-e${n}`, visit) });
    await record(clip(`${cameraId}-c${n}`, [`${cameraId}-e${n}`], { ...footage, ranged: true }));
    if (n < 9) await protect(context, { id: `${cameraId}-e${n}`, isProtected: true });
  }
  await clock.advance(MINUTE_MS);
}

test('an hour on a disk for half of it: the headroom is kept, the oldest goes, protected footage stays', async () => {
  await using agent = await world();
  for (let n = 0; n < 60; n++) await recordMinute(agent, n);
  const { context, story, stats, clock } = agent;

  expect(story).toEqual([]);
  expect(await disk.freeBytes()).toBeGreaterThanOrEqual(HEADROOM_BYTES);
  // Not more than needed: room for one more minute would have been too little.
  expect(await disk.freeBytes()).toBeLessThan(HEADROOM_BYTES + 2 * MB);
  const kept = paths(context, 'protected');
  expect(kept).toHaveLength(6);
  const continuous = paths(context, 'continuous');
  const events = paths(context, 'event');
  for (const path of [...kept, ...continuous, ...events]) expect(existsSync(join(place, path))).toBe(true);
  // Continuous footage went, events stayed as long as there was any.
  expect(events).toHaveLength(2 * 17);
  expect(continuous.length).toBeGreaterThan(0);
  const oldest = Number(/-(\d+)\.mp4$/.exec(continuous[0]!)![1]);
  expect(oldest).toBeGreaterThan(40);
  expect(stats.slice(-2).some(({ aggressive }) => aggressive)).toBe(true);
  expect(stats.at(-1)).toMatchObject({ warning: false, protected: { files: 6 }, event: { files: 34 } });
  expect(clock.utcMs()).toBe(NOON_MS + 60 * MINUTE_MS);
});

test('another program fills the disk: footage makes room, the alarm comes before the first byte is refused, and all is well when it stops', async () => {
  await using agent = await world();
  const { context, story, record, clock, alarms } = agent;
  for (let n = 0; n < 20; n++) await recordMinute(agent, n);
  expect(story).toEqual([]);

  const other = join(place, 'other-program.bin');
  const grow = async (): Promise<boolean> => {
    await using file = await open(other, 'a');
    try {
      await file.write(Buffer.alloc(MB, 2));
      await file.sync();
      return true;
    } catch {
      return false;
    }
  };
  let n = 20;
  // Until nothing fits any more, and a while beyond.
  for (let left = 10; left > 0; n++) {
    if (!((await grow()) && (await grow()))) left--;
    await recordMinute(agent, n);
  }
  const whats = story.map(({ what }) => what);
  expect(whats[0]).toBe('+STORAGE_LOW');
  expect(whats.indexOf('ENOSPC')).toBeGreaterThan(0);
  expect(alarms()).toContain('STORAGE_LOW');
  const kept = paths(context, 'protected');
  expect(kept).toHaveLength(6);
  for (const path of kept) expect(existsSync(join(place, path))).toBe(true);

  await rm(other);
  await clock.advance(MINUTE_MS);
  expect(alarms()).toEqual([]);
  const refused = story.length;
  await record(segment('after', { startUtcMs: clock.utcMs(), sizeBytes: MB }));
  expect(story).toHaveLength(refused);
  expect(context.store.get(`SELECT 1 FROM file WHERE file_id = 'after'`)).not.toBeNull();
});

/** Another program takes every byte that is left. */
async function fillUp(): Promise<void> {
  await using file = await open(join(place, 'other-program.bin'), 'w');
  for (let size = MB; size >= 1;) {
    const written = await file.write(Buffer.alloc(size, 2)).then(
      () => true,
      () => false,
    );
    if (!written) size = Math.floor(size / 2);
  }
  await file.sync().catch(() => {});
}

test('another program fills the disk to the last byte at once: footage makes room for what is recorded next', async () => {
  await using agent = await world();
  const { context, record, clock, alarms } = agent;
  for (let n = 0; n < 20; n++) await recordMinute(agent, n);
  const before = paths(context, 'continuous').length;
  await fillUp();
  await record(segment('refused', { startUtcMs: clock.utcMs(), sizeBytes: MB }));
  await clock.advance(MINUTE_MS);
  expect(await disk.freeBytes()).toBeGreaterThanOrEqual(HEADROOM_BYTES);
  expect(paths(context, 'continuous').length).toBeLessThan(before);
  expect(paths(context, 'protected')).toHaveLength(6);
  expect(alarms()).toEqual([]);
  await record(segment('next', { startUtcMs: clock.utcMs(), sizeBytes: MB }));
  expect(context.store.get(`SELECT 1 FROM file WHERE file_id = 'next'`)).not.toBeNull();
});

test('a disk that was filled to the last byte while the agent was off has room again after its start', async () => {
  {
    await using agent = await world();
    for (let n = 0; n < 20; n++) await recordMinute(agent, n);
  }
  await fillUp();
  await using agent = await world();
  const { context, record, clock } = agent;
  await clock.advance(MINUTE_MS);
  expect(await disk.freeBytes()).toBeGreaterThanOrEqual(HEADROOM_BYTES);
  expect(paths(context, 'protected')).toHaveLength(6);
  await record(segment('next', { startUtcMs: clock.utcMs(), sizeBytes: MB }));
  expect(context.store.get(`SELECT 1 FROM file WHERE file_id = 'next'`)).not.toBeNull();
});
