import fc from 'fast-check';
import { expect, test } from 'vitest';
import { isOpen, kindsNow, manifestDayOf, manifestKey, piecesOf } from '../../../device/sync/plan.ts';

const at = (day: number, hours: number, minutes = 0) => ({
  getDay: () => day,
  getHours: () => hours,
  getMinutes: () => minutes,
});
const [SUN, MON, FRI, SAT] = [0, 1, 5, 6] as const;

test.each([
  ['22:00-06:00', at(MON, 23), true],
  ['22:00-06:00', at(MON, 5, 59), true],
  ['22:00-06:00', at(MON, 6), false],
  ['01:00-05:00', at(MON, 4), true],
  ['01:00-05:00', at(MON, 0, 59), false],
  ['00:00-24:00', at(MON, 23, 59), true],
  ['mon-fri 22:00-06:00', at(FRI, 23), true],
  // The night belongs to the day on which it begins.
  ['mon-fri 22:00-06:00', at(SAT, 3), true],
  ['mon-fri 22:00-06:00', at(SAT, 23), false],
  ['mon-fri 22:00-06:00', at(MON, 3), false],
  ['fri-mon 08:00-09:00', at(SUN, 8), true],
  ['fri-mon 08:00-09:00', at(3, 8), false],
  ['sat,sun 00:00-24:00', at(SUN, 12), true],
])('%s', (window, time, open) => {
  expect(isOpen([window], time)).toBe(open);
});

test('stills and clips never wait, segments do outside of the windows and where bytes cost', () => {
  const kinds = ['segment', 'clip', 'still'] as const;
  const now = at(MON, 12);
  expect(kindsNow({ kinds, windows: [], isMetered: false }, now)).toEqual(['still', 'clip', 'segment']);
  expect(kindsNow({ kinds, windows: ['22:00-06:00'], isMetered: false }, now)).toEqual(['still', 'clip']);
  expect(kindsNow({ kinds, windows: [], isMetered: true }, now)).toEqual(['still', 'clip']);
  expect(kindsNow({ kinds: ['segment'], windows: [], isMetered: true }, now)).toEqual([]);
});

test('pieces cover an object once, in order, are large enough for S3, and not too many', () => {
  fc.assert(
    fc.property(
      fc.nat({ max: 5 * 2 ** 40 }),
      fc.integer({ min: 5 * 2 ** 20, max: 2 ** 26 }),
      (size, part) => {
        const pieces = piecesOf(size, part);
        const isNext = pieces.every(
          (piece, n) =>
            piece.part === n + 1 &&
            piece.atBytes === (n === 0 ? 0 : pieces[n - 1]!.atBytes + pieces[n - 1]!.sizeBytes) &&
            (n === pieces.length - 1 || piece.sizeBytes >= part),
        );
        expect(isNext).toBe(true);
        expect(pieces.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)).toBe(size);
        expect(pieces.length).toBeLessThanOrEqual(10_000);
      },
    ),
    { numRuns: 50 },
  );
});

test('the key of a manifest says which day it is of', () => {
  const day = { cameraId: 'porch', day: '2026-11-25' };
  expect(manifestDayOf(manifestKey(day))).toEqual(day);
  expect(manifestDayOf('clips/porch/2026-11-25/x.mp4')).toBeNull();
});
