import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseRange } from '../../../device/dashboard/media.ts';

test('a range that is answered lies within the file, whatever was asked', () => {
  const header = fc.oneof(
    fc.string(),
    fc.tuple(fc.option(fc.nat()), fc.option(fc.nat())).map(([a, b]) => `bytes=${a ?? ''}-${b ?? ''}`),
  );
  fc.assert(
    fc.property(header, fc.nat(), (header, size) => {
      const range = parseRange(header, size);
      if (range === null || range === 'unsatisfiable') return;
      const [first, last] = range;
      expect(first).toBeGreaterThanOrEqual(0);
      expect(last).toBeGreaterThanOrEqual(first);
      expect(last).toBeLessThan(size);
    }),
  );
});

test.each([
  ['bytes=0-9', 100, [0, 9]],
  ['bytes=90-', 100, [90, 99]],
  ['bytes=90-1000', 100, [90, 99]],
  ['bytes=-10', 100, [90, 99]],
  ['bytes=-1000', 100, [0, 99]],
  ['bytes=100-', 100, 'unsatisfiable'],
  ['bytes=-0', 100, 'unsatisfiable'],
  ['bytes=0-', 0, 'unsatisfiable'],
  ['bytes=9-3', 100, null],
  ['bytes=-', 100, null],
  ['lines=1-2', 100, null],
  ['bytes=0-1,3-4', 100, null],
  [undefined, 100, null],
])('%s of %d bytes', (header, size, expected) => {
  expect(parseRange(header, size)).toEqual(expected);
});
