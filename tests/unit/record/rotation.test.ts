import fc from 'fast-check';
import { expect, test } from 'vitest';
import { segmentRotation } from '../../../device/record/rotation.ts';
import { START_UTC_MS } from './synthetic.ts';

const segmentMs = fc.integer({ min: 10_000, max: 600_000 });

test('the first segment is half to one and a half as long as asked, those that follow exactly', () => {
  fc.assert(
    fc.property(segmentMs, fc.string(), fc.nat(86_400_000), fc.nat(2000), (length, camera, start, late) => {
      const endOf = segmentRotation(length, camera);
      const first = endOf(START_UTC_MS + start);
      expect(first - START_UTC_MS - start).toBeGreaterThanOrEqual(length / 2);
      expect(first - START_UTC_MS - start).toBeLessThan(length * 1.5);
      // The next begins at the key frame, a little after the end of the grid.
      expect(endOf(first + late)).toBe(first + length);
    }),
  );
});

test('16 cameras do not end their segments in the same second', () => {
  const seconds = Array.from({ length: 16 }, (_, i) =>
    Math.floor(segmentRotation(60_000, `camera-${i + 1}`)(START_UTC_MS) / 1000),
  );
  const crowd = Math.max(
    ...[...Map.groupBy(seconds, (second) => second % 60).values()].map((all) => all.length),
  );
  expect(crowd).toBeLessThanOrEqual(3);
});
