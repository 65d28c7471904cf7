import { expect, test } from 'vitest';
import { CodedError, type ErrorCode, type ErrorReport } from '../../device/contract/errors.ts';
import { noMeter } from '../../device/contract/metrics.ts';
import type { Settings } from '../../device/contract/settings.ts';
import type { Payload, TopicName } from '../../device/contract/topics.ts';
import type { CleanupReport, Library, LibraryStats } from '../../device/library/index.ts';
import { StorageDesk } from '../../device/storage-desk.ts';
import { StepClock } from '../harness/step-clock.ts';
import { silent } from './library/rig.ts';

const report = (code: ErrorCode): ErrorReport => new CodedError(code).report();
const NOTHING: CleanupReport = { deleted: [], isComplete: true, problems: [] };
const NO_FOOTAGE = { files: 0, sizeBytes: 0, oldestUtcMs: null };
const STATS: LibraryStats = {
  disk: { totalBytes: 1e9, freeBytes: 5e8 },
  classes: { continuous: NO_FOOTAGE, event: NO_FOOTAGE, protected: NO_FOOTAGE },
  stills: 0,
  remote: { objects: 0, bytes: 0, oldestUtcMs: null, backfillObjects: 0 },
  writtenBytesPerDay: null,
};
const limits = { continuous: { maxAgeMs: null, maxBytes: null }, event: { maxAgeMs: null, maxBytes: null } };

/** A desk whose library says what the test wants. */
async function rig() {
  const clock = new StepClock(1_000_000);
  const says = {
    mediaId: 'disk',
    problem: null as ErrorReport | null,
    troubles: [] as ErrorReport[],
    cleanup: (): CleanupReport => NOTHING,
  };
  let cycles = 0;
  let cleanups = 0;
  const library = {
    mediaId: 'disk',
    get troubles() {
      return [...says.troubles, ...(says.problem ? [says.problem] : [])];
    },
    async checkMedia() {
      cycles += 1;
      return { mediaId: says.mediaId, isThere: says.problem === null, problem: says.problem };
    },
    async ask(operation: 'cleanup' | 'libraryStats') {
      if (operation === 'libraryStats') return STATS;
      cleanups += 1;
      return says.cleanup();
    },
  } as unknown as Library;
  const alarms: string[][] = [];
  const stats: Payload<'storage.stats'>[] = [];
  let mediaChanges = 0;
  const desk = new StorageDesk({
    settings: {
      dataDir: '/data',
      cameras: [],
      storage: { mediaId: null, headroomBytes: 1e8, cleanupIntervalMs: 30_000, retention: limits },
    } as unknown as Settings,
    library,
    bus: {
      publish(topic: TopicName, payload: object) {
        if (topic === 'storage.stats') stats.push(payload as Payload<'storage.stats'>);
        else alarms.push((payload as Payload<'storage.alarm'>).alarms.map(({ code }) => code));
      },
    },
    meter: noMeter,
    clock,
    log: silent,
    onMediaChange: () => (mediaChanges += 1),
  });
  desk.start();
  await clock.asleep();
  return {
    clock,
    desk,
    says,
    alarms,
    stats,
    cycles: () => cycles,
    cleanups: () => cleanups,
    mediaChanges: () => mediaChanges,
    [Symbol.asyncDispose]: () => desk.stop(),
  };
}

test('stats at every interval, alarms when they change', async () => {
  await using r = await rig();
  expect(r.alarms).toEqual([[]]);
  r.says.cleanup = () => ({ ...NOTHING, problems: [report('STORAGE_LOW')] });
  await r.clock.advance(90_000);
  expect(r.stats.length).toBe(4);
  expect(r.stats.at(-1)).toMatchObject({ total_gb: 1, used_gb: 0.5, usage_percent: 50, aggressive: true });
  r.says.cleanup = () => NOTHING;
  await r.clock.advance(30_000);
  expect(r.alarms).toEqual([[], ['STORAGE_LOW'], []]);
});

test('footage lost to the disk is looked into at once, but not more often than once a second', async () => {
  await using r = await rig();
  const lost = (code: ErrorCode): void =>
    r.desk.lost({ type: 'gap', cameraId: 'porch', startUtcMs: 0, endUtcMs: 1, reason: report(code) });
  await r.clock.advance(2000);
  lost('CAMERA_STALLED');
  await r.clock.advance(2000);
  expect(r.cycles()).toBe(1);
  for (let n = 0; n < 10; n++) lost('DISK_TOO_SLOW');
  await r.clock.advance(2000);
  expect(r.cycles()).toBe(2);
  expect(r.alarms.at(-1)).toEqual(['DISK_TOO_SLOW']);
});

test('what is not done in one go is gone on with after a pause', async () => {
  await using r = await rig();
  let left = 3;
  r.says.cleanup = () => ({ ...NOTHING, isComplete: --left <= 0 });
  r.desk.hurry();
  await r.clock.advance(10_000);
  expect(r.cleanups()).toBe(4);
});

test('nothing is deleted on a disk that is not ours; whoever writes is told of another one', async () => {
  await using r = await rig();
  r.says.problem = report('MEDIA_FOREIGN');
  await r.clock.advance(60_000);
  expect(r.cleanups()).toBe(1);
  expect(r.stats.length).toBe(1);
  expect(r.alarms.at(-1)).toEqual(['MEDIA_FOREIGN']);
  expect(r.mediaChanges()).toBe(0);
  r.says.problem = null;
  r.says.mediaId = 'accepted';
  await r.clock.advance(60_000);
  expect(r.mediaChanges()).toBe(1);
  expect(r.alarms.at(-1)).toEqual([]);
});
