import fc from 'fast-check';
import { expect, test } from 'vitest';
import { lengthOf, runOf } from '../../../device/gpio/pattern.ts';

const pattern = fc.record({
  onMs: fc.double({ min: 0, max: 4_000_000, noNaN: true }),
  offMs: fc.double({ min: 0, max: 4_000_000, noNaN: true }),
  times: fc.integer({ min: 1, max: 1000 }),
});
const maxOnMs = fc.double({ min: 0, max: 4_000_000, noNaN: true });

/** On comes first, then off, in turn. */
const onMsOf = (run: readonly number[]): number => lengthOf(run.filter((_ms, at) => at % 2 === 0));

test('whatever the pattern: a run is finite, ends off, and is on for no longer than it may', () => {
  fc.assert(
    fc.property(pattern, maxOnMs, (wanted, max) => {
      const run = runOf(wanted, max);
      // An odd number of levels that begin with on: the next one, which stays, is off.
      expect(run.length === 0 || run.length % 2 === 1).toBe(true);
      expect(run.length).toBeLessThan(2 * wanted.times);
      expect(onMsOf(run)).toBeLessThanOrEqual(max);
      // gpioset takes whole milliseconds, and would end at a zero.
      expect(run.every((ms) => Number.isInteger(ms) && ms > 0)).toBe(true);
    }),
  );
});

test('a pattern that fits is run as it is', () => {
  expect(runOf({ onMs: 500, offMs: 250, times: 3 }, 30_000)).toEqual([500, 250, 500, 250, 500]);
});

test('one that does not is cut where its time is over', () => {
  expect(runOf({ onMs: 60_000, offMs: 1000, times: 1 }, 30_000)).toEqual([30_000]);
  expect(runOf({ onMs: 400, offMs: 100, times: 10 }, 1000)).toEqual([400, 100, 400, 100, 200]);
  expect(runOf({ onMs: 500, offMs: 100, times: 10 }, 1000)).toEqual([500, 100, 500]);
});
