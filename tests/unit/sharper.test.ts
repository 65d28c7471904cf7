import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Allowance } from '../../device/sharper.ts';

test('an allowance is never exceeded by more than one purchase, over any stretch of time', () => {
  const share = 0.1;
  const limitMs = 250;
  const purchase = fc.record({
    afterMs: fc.integer({ min: 0, max: 5000 }),
    costMs: fc.integer({ min: 0, max: 400 }),
  });
  fc.assert(
    fc.property(fc.array(purchase, { maxLength: 50 }), (purchases) => {
      const allowance = new Allowance(share, limitMs, 0);
      const spent: { atMs: number; ms: number }[] = [];
      let nowMs = 0;
      for (const { afterMs, costMs } of purchases) {
        nowMs += afterMs;
        expect(allowance.left(nowMs)).toBeLessThanOrEqual(limitMs);
        if (allowance.left(nowMs) <= 0) continue;
        allowance.spend(costMs);
        spent.push({ atMs: nowMs, ms: costMs });
      }
      for (const [first, { atMs }] of spent.entries()) {
        const rest = spent.slice(first);
        const stretchMs = rest.at(-1)!.atMs - atMs;
        const sum = rest.reduce((total, { ms }) => total + ms, 0);
        expect(sum).toBeLessThanOrEqual(share * stretchMs + limitMs + rest.at(-1)!.ms + 1e-6);
      }
    }),
  );
});
