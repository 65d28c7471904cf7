import fc from 'fast-check';
import { expect, test } from 'vitest';
import { WritePace } from '../../../device/record/pace.ts';

test('a period and a write like the last one fit into a second, as long as writes take no half of it', () => {
  fc.assert(
    fc.property(fc.array(fc.double({ min: 0, max: 449, noNaN: true })), (writesMs) => {
      const pace = new WritePace();
      for (const ms of writesMs) pace.took(ms);
      const lastMs = writesMs.at(-1) ?? 0;
      expect(pace.periodMs + lastMs).toBeLessThanOrEqual(1000);
    }),
  );
});

test('a quick disk is written to every 900 ms, one that stalls no more than twice a second', () => {
  const pace = new WritePace();
  expect(pace.periodMs).toBe(900);
  pace.took(50);
  expect(pace.periodMs).toBe(900);
  pace.took(5000);
  expect(pace.periodMs).toBe(500);
});

test('one slow write is forgotten', () => {
  const pace = new WritePace();
  pace.took(400);
  expect(pace.periodMs).toBe(550);
  for (let n = 0; n < 30; n++) pace.took(10);
  expect(pace.periodMs).toBe(900);
});
