import { expect, test } from 'vitest';
import { commitFacts } from '../../../device/library/commit.ts';
import { forecastDays, libraryStats, type LibraryStats } from '../../../device/library/stats.ts';
import { removeFootage } from '../../../device/library/garbage.ts';
import { clip, event, libraryRig, NOON_MS, segment } from './rig.ts';

const HOUR_MS = 3_600_000;

test('sums and the oldest by class; the rate of the last day, also of footage that is gone already', async () => {
  await using rig = await libraryRig();
  const { context, clock } = rig;
  expect(await libraryStats(context)).toMatchObject({
    classes: { continuous: { files: 0, sizeBytes: 0, oldestUtcMs: null } },
    stills: 0,
    remote: { objects: 0, bytes: 0, oldestUtcMs: null, backfillObjects: 0 },
    writtenBytesPerDay: null,
  });
  const hours = (count: number, cameraId: string) =>
    Array.from({ length: count }, (_, n) =>
      segment(`${cameraId}${n}`, { cameraId, startUtcMs: NOON_MS + n * HOUR_MS, sizeBytes: 1000 }),
    );
  for (const fact of [...hours(12, 'a'), ...hours(12, 'b')]) {
    clock.nowMs = fact.segment.startUtcMs + 60_000;
    commitFacts(context, [fact]);
  }
  commitFacts(context, [{ type: 'event', event: event('e') }, clip('c', ['e'], { sizeBytes: 5000 })]);
  clock.nowMs = NOON_MS + 12 * HOUR_MS;
  // Found again after a year: not written today.
  commitFacts(context, [segment('old', { startUtcMs: NOON_MS - 9000 * HOUR_MS, sizeBytes: 1e9 })]);
  await removeFootage(context, { fileIds: ['a3', 'old'] });

  const stats = await libraryStats(context);
  expect(stats.classes).toEqual({
    continuous: { files: 23, sizeBytes: 23_000, oldestUtcMs: NOON_MS },
    event: { files: 1, sizeBytes: 5000, oldestUtcMs: NOON_MS },
    protected: { files: 0, sizeBytes: 0, oldestUtcMs: null },
  });
  expect(stats.writtenBytesPerDay).toBe(2 * (24_000 + 5000));

  clock.nowMs = NOON_MS + 30 * HOUR_MS;
  // Of the last day: hours 6 to 11 of both cameras.
  expect((await libraryStats(context)).writtenBytesPerDay).toBeCloseTo(12_000);
});

const GB = 1e9;
const stats = (more: Partial<LibraryStats> = {}): LibraryStats => ({
  disk: { totalBytes: 128 * GB, freeBytes: 6 * GB },
  classes: {
    continuous: { files: 1, sizeBytes: 100 * GB, oldestUtcMs: 0 },
    event: { files: 1, sizeBytes: 9 * GB, oldestUtcMs: 0 },
    protected: { files: 1, sizeBytes: 5 * GB, oldestUtcMs: 0 },
  },
  stills: 0,
  remote: { objects: 0, bytes: 0, oldestUtcMs: null, backfillObjects: 0 },
  writtenBytesPerDay: 10 * GB,
  ...more,
});

test('the forecast counts what may be overwritten and what is free beyond the headroom', () => {
  expect(forecastDays(stats(), GB)).toBeCloseTo(11.4);
  expect(forecastDays(stats({ writtenBytesPerDay: null }), GB)).toBeNull();
  expect(forecastDays(stats({ writtenBytesPerDay: 0 }), GB)).toBeNull();
  expect(forecastDays(stats(), 1000 * GB)).toBe(0);
});
