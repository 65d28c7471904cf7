import fc from 'fast-check';
import { expect, test } from 'vitest';
import { RateLimiter } from '../../../device/kernel/rate-limit.ts';

test('no window ever holds more than allowed, keys do not share, and nothing is refused without need', () => {
  const request = fc.record({ key: fc.constantFrom('porch', 'yard'), afterMs: fc.nat(40) });
  fc.assert(
    fc.property(
      fc.array(request, { maxLength: 200 }),
      fc.integer({ min: 1, max: 5 }),
      fc.integer({ min: 1, max: 200 }),
      (requests, maxEvents, perMs) => {
        const limiter = new RateLimiter({ maxEvents, perMs });
        const allowed: Record<string, number[]> = { porch: [], yard: [] };
        let nowMs = 0;
        for (const { key, afterMs } of requests) {
          nowMs += afterMs;
          const before = allowed[key]!.filter((ms) => ms > nowMs - perMs);
          // Who waits as long as they are told is let through, and nobody is told to wait longer than need be.
          const waitMs = limiter.waitMs(key, nowMs);
          const free = allowed[key]!.filter((ms) => ms > nowMs + waitMs - perMs);
          expect(free.length).toBeLessThan(maxEvents);
          if (waitMs > 0) {
            const sooner = allowed[key]!.filter((ms) => ms > nowMs + waitMs - 1 - perMs);
            expect(sooner.length).toBeGreaterThanOrEqual(maxEvents);
          }
          const isAllowed = limiter.allows(key, nowMs);
          expect(isAllowed).toBe(waitMs === 0);
          expect(isAllowed).toBe(before.length < maxEvents);
          if (isAllowed) allowed[key]!.push(nowMs);
        }
      },
    ),
  );
});

test('a raised limit counts at once, for what was allowed before too', () => {
  const limiter = new RateLimiter({ maxEvents: 1, perMs: 1000 });
  expect([limiter.allows('a', 0), limiter.allows('a', 1)]).toEqual([true, false]);
  limiter.setLimit({ maxEvents: 2, perMs: 1000 });
  expect([limiter.allows('a', 2), limiter.allows('a', 3)]).toEqual([true, false]);
});
