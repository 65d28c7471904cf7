import fc from 'fast-check';
import { expect, test } from 'vitest';
import { backoff } from '../../../device/kernel/backoff.ts';

test('delays stay in the upper half of a ceiling that doubles up to the maximum', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 5000 }),
      fc.integer({ min: 1, max: 100_000 }),
      fc.array(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), {
        minLength: 1,
        maxLength: 30,
      }),
      (firstMs, extraMs, draws) => {
        const maxMs = firstMs + extraMs;
        let draw = 0;
        const delays = backoff({ firstMs, maxMs, random: () => draws[draw++]! });
        for (let attempt = 0; attempt < draws.length; attempt++) {
          const ceiling = Math.min(maxMs, firstMs * 2 ** attempt);
          const delay = delays.next().value;
          expect(delay).toBeGreaterThanOrEqual(ceiling / 2);
          expect(delay).toBeLessThanOrEqual(ceiling);
        }
      },
    ),
  );
});

test('a fresh schedule starts from the beginning', () => {
  const options = { firstMs: 500, maxMs: 30_000, random: () => 0 };
  const first = backoff(options);
  first.next();
  first.next();
  expect(backoff(options).next().value).toBe(250);
});
