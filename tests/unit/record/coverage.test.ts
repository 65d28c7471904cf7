import fc from 'fast-check';
import { expect, test } from 'vitest';
import { CoverageTracker } from '../../../device/kernel/fmp4/coverage.ts';

interface Step {
  readonly intervalMs: number;
  readonly generation?: number;
  readonly durationMs?: number;
}

function coverageOf(steps: readonly Step[]): readonly (readonly [number, number])[] {
  const tracker = new CoverageTracker();
  let utcMs = 0;
  for (const { intervalMs, generation = 1, durationMs = 100 } of steps) {
    utcMs += intervalMs;
    tracker.add({ generation, decodeUtcMs: utcMs, startUtcMs: utcMs, durationMs });
  }
  return tracker.ranges.map(({ startUtcMs, endUtcMs }) => [startUtcMs, endUtcMs]);
}

test('a jump of more than one and a half intervals is a gap', () => {
  const steps = [0, 100, 100, 149, 100, 160, 100].map((intervalMs) => ({ intervalMs }));
  expect(coverageOf(steps)).toEqual([
    [0, 549],
    [609, 809],
  ]);
});

test('a camera that slows down in the dark has one gap, not one per picture', () => {
  const steps = [0, 100, 100, 400, 400, 400, 400].map((intervalMs) => ({ intervalMs }));
  expect(coverageOf(steps)).toEqual([
    [0, 300],
    [600, 1900],
  ]);
});

test('two long gaps in a row are two gaps', () => {
  const steps = [0, 100, 5000, 5000, 100].map((intervalMs) => ({ intervalMs }));
  expect(coverageOf(steps)).toEqual([
    [0, 200],
    [5100, 5200],
    [10_100, 10_300],
  ]);
});

test('a new generation is never joined to the one before, nor overlaps it', () => {
  const steps = [
    { intervalMs: 0 },
    { intervalMs: 100, durationMs: 300 },
    { intervalMs: 100, generation: 2, durationMs: 300 },
  ];
  expect(coverageOf(steps)).toEqual([
    [0, 400],
    [400, 500],
  ]);
});

test('ranges are in order, apart, and hold every picture', () => {
  const step = fc.record({
    intervalMs: fc.integer({ min: 1, max: 3000 }),
    generation: fc.constant(1),
    durationMs: fc.integer({ min: 1, max: 500 }),
  });
  fc.assert(
    fc.property(fc.array(step, { minLength: 1 }), (steps) => {
      const ranges = coverageOf(steps);
      for (const [i, [start, end]] of ranges.entries()) {
        expect(end).toBeGreaterThanOrEqual(start);
        if (i > 0) expect(start).toBeGreaterThanOrEqual(ranges[i - 1]![1]);
      }
      let utcMs = 0;
      for (const { intervalMs } of steps) {
        utcMs += intervalMs;
        expect(ranges.some(([start, end]) => utcMs >= start && utcMs <= end)).toBe(true);
      }
    }),
  );
});
