import { expect, test } from 'vitest';
import { ssd } from '../../device/detect/decoders/ssd.ts';
import { runOn } from './detect/backend-thread.ts';
import { BLAZEFACE, difference, HANDTRACK, waves } from './detect/small-models.ts';

test('WebAssembly computes what plain JavaScript computes', async () => {
  const input = waves(BLAZEFACE, 1);
  const wasm = await runOn('tfjs-wasm', BLAZEFACE, input);
  const reference = await runOn('tfjs-cpu', BLAZEFACE, input);
  expect(reference.map(({ dims }) => dims)).toEqual(wasm.map(({ dims }) => dims));
  expect(new Set(reference[0]!.data).size, 'the result says something').toBeGreaterThan(100);
  expect(difference(wasm, reference)).toBeLessThan(1e-4);
});

test('a detector with loops inside its graph runs, and its rows can be read', async () => {
  const [boxes, scores, classes, count] = HANDTRACK.outputs;
  const outputs = await runOn('tfjs-wasm', HANDTRACK, waves(HANDTRACK, 255));
  expect(outputs.map(({ dims }) => dims)).toEqual([[1, 100, 4], [1, 100], [1, 100], [1]]);
  const decoder = ssd({ boxes: boxes!, scores: scores!, classes: classes!, count, firstClass: 1 });
  const candidates = decoder.decode(outputs);
  expect(candidates).toHaveLength(outputs[3]!.data[0]!);
  for (const { classIndex } of candidates) expect(classIndex).toBeGreaterThanOrEqual(0);
});

test.each(['tfjs-webgpu', 'tfjs-node'] as const)('%s says so where it cannot run', async (backend) => {
  const before = process.env['VK_DRIVER_FILES'];
  process.env['VK_DRIVER_FILES'] = '';
  try {
    await expect(runOn(backend, BLAZEFACE, waves(BLAZEFACE, 1))).rejects.toThrow(
      'cannot run on this machine',
    );
  } finally {
    if (before === undefined) delete process.env['VK_DRIVER_FILES'];
    else process.env['VK_DRIVER_FILES'] = before;
  }
});
