import { expect, test } from 'vitest';
import { runLimitMs } from '../../../device/detect/model-worker.ts';

test('a look may take as long as a slow machine needs for it, and a fast one is not waited for without end', () => {
  expect(runLimitMs(80)).toBe(10_000);
  expect(runLimitMs(9000)).toBe(45_000);
  // A GPU that compiled shaders for a minute.
  expect(runLimitMs(60_000)).toBe(60_000);
});
