import fc from 'fast-check';
import { expect, test } from 'vitest';
import { WritePace } from '../../../device/record/pace.ts';

/** Pictures that come in time, on a disk whose writes take `writeMs`: what a power cut costs at most, and how far apart batches are at least. */
function keep(pace: WritePace, fps: number, writeMs: number): { worstMs: number; shortestMs: number } {
  const pictureMs = 1000 / fps;
  let [begunAt, worstMs, shortestMs] = [0, 0, Infinity];
  for (let picture = 1; picture <= 60 * fps; picture++) {
    if (!pace.isDue((picture - begunAt) * pictureMs, pictureMs)) continue;
    // Until it is durable, some more come.
    const lostMs = (picture - begunAt + Math.floor(writeMs / pictureMs)) * pictureMs;
    worstMs = Math.max(worstMs, lostMs);
    shortestMs = Math.min(shortestMs, (picture - begunAt) * pictureMs);
    begunAt = picture;
    pace.took(writeMs);
  }
  return { worstMs, shortestMs };
}

const settled = (writeMs: number): WritePace => {
  const pace = new WritePace();
  for (let n = 0; n < 60; n++) pace.took(writeMs);
  return pace;
};

test('a power cut costs a second at most, as long as writes take no half of it', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 5, max: 60 }),
      fc.double({ min: 0, max: 400, noNaN: true }),
      (fps, writeMs) => {
        expect(keep(settled(writeMs), fps, writeMs).worstMs).toBeLessThanOrEqual(1000.001);
      },
    ),
  );
});

test('where a write takes less time than a picture there is one batch a second', () => {
  for (const fps of [5, 10, 15, 20, 25, 30]) {
    expect(keep(settled(15), fps, 15)).toEqual({
      worstMs: expect.closeTo(1000),
      shortestMs: expect.closeTo(1000),
    });
  }
});

test('a disk that was not written to yet is given a tenth of a second', () => {
  expect(new WritePace().isDue(800, 40)).toBe(false);
  expect(new WritePace().isDue(920, 40)).toBe(true);
});

test('one slow write is forgotten, and none makes batches begin more than twice a second', () => {
  const pace = new WritePace();
  pace.took(5000);
  expect(pace.isDue(400, 40)).toBe(false);
  expect(pace.isDue(480, 40)).toBe(true);
  for (let n = 0; n < 60; n++) pace.took(10);
  expect(pace.isDue(920, 40)).toBe(false);
});

test('pictures without a sensible duration make nothing due before its time', () => {
  for (const pictureMs of [0, -40]) expect(settled(10).isDue(500, pictureMs)).toBe(false);
});
