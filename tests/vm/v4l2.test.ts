import { fileURLToPath } from 'node:url';
import { beforeAll, expect, test } from 'vitest';
import { lack } from '../harness/packages.ts';
import { fetchKernel } from './kernel.ts';
import { runInMachine, type MachineResult } from './machine.ts';

if (process.arch !== 'x64') lack('an x86-64 processor, whose kernel this machine boots');

const path = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url));
const LIMIT_MS = 240_000;
const CACHE = path('../../.cache/vm');

// A machine without apt or network is no reason to fail.
await fetchKernel(CACHE).catch((error: unknown) => lack(`Debian's kernel package (${String(error)})`));

let result: MachineResult;
let facts: Record<string, unknown>[];

beforeAll(async () => {
  result = await runInMachine({
    script: path('guest/v4l2.ts'),
    // One capture device with one input that behaves like a webcam.
    modules: [{ name: 'vivid', parameters: 'n_devs=1 node_types=0x1 num_inputs=1 input_types=0' }],
    cacheDir: CACHE,
    timeoutMs: LIMIT_MS,
  });
  facts = result.facts as Record<string, unknown>[];
}, LIMIT_MS + 60_000);

const fact = (name: string): unknown => facts.find((fact) => name in fact)?.[name];

test('the script ran to its end', () => {
  expect(fact('failed'), result.console).toBeUndefined();
  expect(result.exitCode, result.console).toBe(0);
});

test('a camera is listed by a path that survives replugging, with its modes', () => {
  expect(fact('devices')).toEqual([
    expect.objectContaining({
      path: '/dev/v4l/by-id/usb-Vivid_Test_Camera-video-index0',
      node: expect.stringMatching(/^\/dev\/video\d+$/),
      name: expect.stringMatching(/vivid/i),
      modes: expect.arrayContaining([
        expect.objectContaining({ width: 640, height: 360 }),
        expect.objectContaining({ width: 1280, height: 720 }),
      ]),
    }),
  ]);
});

test('raw video becomes H.264 packets and changing pictures', () => {
  expect(fact('stream')).toMatchObject({ role: 'main', codec: 'h264', width: 320, height: 180 });
  const { keys, distinctPictures } = fact('auto') as { keys: number; distinctPictures: number };
  expect(keys).toBeGreaterThanOrEqual(1);
  expect(distinctPictures).toBeGreaterThan(1);
});

test('an unplugged camera is reported as missing, and comes back as a new generation', () => {
  const states = facts
    .slice(facts.findIndex((fact) => 'unplugged' in fact))
    .flatMap((fact) => fact['state'] ?? []);
  expect(states).toContainEqual(expect.objectContaining({ phase: 'down', code: 'CAMERA_DEVICE_MISSING' }));
  expect(fact('devicesWhileUnplugged')).toEqual([]);
  const { from, to } = fact('recovered') as { from: number; to: number };
  expect(to).toBeGreaterThan(from);
});
