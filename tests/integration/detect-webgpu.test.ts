import { beforeAll, expect, onTestFinished, test } from 'vitest';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { noMeter } from '../../device/contract/metrics.ts';
import { connectDetector, createDetectServer } from '../../device/detect/index.ts';
import { systemClock as clock } from '../../device/kernel/clock.ts';
import { createLog } from '../../device/kernel/log.ts';
import { requirePackages } from '../harness/packages.ts';
import { runOn } from './detect/backend-thread.ts';
import { installColourModel, paint } from './detect/colour-model.ts';
import { BLAZEFACE, difference, waves } from './detect/small-models.ts';

/** Vulkan on the processor, which Chromium ships: slow, exact, and on every machine. */
const SWIFTSHADER = '/usr/lib/chromium/vk_swiftshader_icd.json';

requirePackages(['chromium', 'libvulkan1']);

beforeAll(() => {
  const before = process.env['VK_DRIVER_FILES'];
  process.env['VK_DRIVER_FILES'] = SWIFTSHADER;
  return () => {
    if (before === undefined) delete process.env['VK_DRIVER_FILES'];
    else process.env['VK_DRIVER_FILES'] = before;
  };
});

test('WebGPU computes what WebAssembly computes', async () => {
  const input = waves(BLAZEFACE, 1);
  const wasm = await runOn('tfjs-wasm', BLAZEFACE, input);
  const webgpu = await runOn('tfjs-webgpu', BLAZEFACE, input);
  expect(webgpu.map(({ dims }) => dims)).toEqual(wasm.map(({ dims }) => dims));
  expect(difference(webgpu, wasm)).toBeLessThan(1e-3);
}, 120_000);

test('a detector on WebGPU serves cameras, stops, and starts again', async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'spyoncino-'));
  onTestFinished(() => rm(dataDir, { recursive: true }));
  await installColourModel(dataDir);
  const log = createLog({ name: 'test', level: 'silent' });
  const common = { socket: join(dataDir, 'detect.sock'), meter: noMeter, log, clock };
  const settings = { model: 'colour', backend: 'tfjs-webgpu', workers: 4 } as const;
  for (let turn = 0; turn < 2; turn++) {
    await using server = await createDetectServer({ ...common, settings, dataDir });
    expect(server.info.backend).toBe('tfjs-webgpu');
    await using client = connectDetector({ ...common, cameraId: 'porch' });
    await client.ready();
    const result = await client.detect([paint(0.8, 1), paint(0.6, 3)]);
    expect(result?.detections.map(([seen]) => seen?.label)).toEqual(['moss', 'grass']);
  }
});
