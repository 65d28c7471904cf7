import { expect, test } from 'vitest';
import { interrupt } from '../interrupt/run.ts';

test('whatever is cut or killed, each object arrives once', { timeout: 180_000 }, async () => {
  const report = await interrupt({ objects: 60, cuts: 12, kills: 3, seed: 7 });
  expect(report.broken).toEqual([]);
  expect(report.cuts).toBeGreaterThanOrEqual(10);
  expect(report.kills).toBe(3);
});
