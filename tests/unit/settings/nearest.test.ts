import fc from 'fast-check';
import { expect, test } from 'vitest';
import { editDistance, nearest } from '../../../device/settings/nearest.ts';

test.each([
  ['prot', 'port'],
  ['pre_secnds', 'pre_seconds'],
  ['PORT', 'port'],
  ['hots', 'host'],
  ['quite_else', null],
  ['x', null],
])('%s was meant to be %s', (typed, meant) => {
  expect(nearest(typed, ['host', 'port', 'pre_seconds', 'post_seconds'])).toBe(meant);
});

const word = fc.string({ maxLength: 8 });

test('the distance is a distance', () => {
  fc.assert(
    fc.property(word, word, (a, b) => {
      expect(editDistance(a, a)).toBe(0);
      expect(editDistance(a, b)).toBe(editDistance(b, a));
      expect(editDistance(a, b)).toBeLessThanOrEqual(Math.max(a.length, b.length));
      expect(editDistance(a, b)).toBeGreaterThanOrEqual(Math.abs(a.length - b.length));
      if (a !== b) expect(editDistance(a, b)).toBeGreaterThan(0);
    }),
  );
});
