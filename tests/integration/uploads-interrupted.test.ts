import { expect, test } from 'vitest';
import { interrupt } from '../interrupt/run.ts';

test('whatever is cut or killed, each object arrives once', { timeout: 180_000 }, async () => {
  const report = await interrupt({ objects: 60, cuts: 12, kills: 3, seed: 7 });
  expect(report.broken).toEqual([]);
  expect(report.cuts).toBeGreaterThanOrEqual(10);
  expect(report.kills).toBe(3);
});

test('the same of what is encrypted on its way', { timeout: 180_000 }, async () => {
  const report = await interrupt({ objects: 50, cuts: 12, kills: 3, seed: 11, isEncrypted: true });
  expect(report.broken).toEqual([]);
  expect(report.kills).toBe(3);
});
