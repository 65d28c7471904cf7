import { cp, mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createHash } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, expect, test, onTestFinished } from 'vitest';
import { stringify } from 'yaml';
import type { BackendName } from '../../../device/contract/detect.ts';
import { CodedError } from '../../../device/contract/errors.ts';
import { choose } from '../../../device/detect/choose.ts';
import { freshDigests, rememberedDigests } from '../../../device/detect/digests.ts';
import type { Measured } from '../../../device/detect/measure.ts';
import { listModels, verifyModel } from '../../../device/detect/model-list.ts';
import { createLog } from '../../../device/kernel/log.ts';

const log = createLog({ name: 'test', level: 'silent' });
let dataDir: string;

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'spyoncino-'));
  onTestFinished(() => rm(dataDir, { recursive: true }));
});

/** Installs a model whose file nobody will ever run. */
async function install(id: string, change: object = {}): Promise<string> {
  const directory = join(dataDir, 'models', id);
  await mkdir(directory, { recursive: true });
  const content = `weights of ${id}`;
  await writeFile(join(directory, 'model.onnx'), content);
  const sha256 = createHash('sha256').update(content).digest('hex');
  const manifest = {
    schema: 1,
    id,
    name: id,
    format: 'onnx',
    files: [{ path: 'model.onnx', sha256 }],
    input: { width: 64, height: 64, layout: 'nchw', colour: 'rgb' },
    decoder: { name: 'yolo' },
    labels: ['thing'],
    licence: 'MIT',
    source: 'https://example.org',
    ...change,
  };
  await writeFile(join(directory, 'model.yaml'), stringify(manifest));
  return directory;
}

/** Chooses with speeds as given; `asked` lists what was measured. */
async function decide(
  settings: { model: string; backend: BackendName | 'auto' },
  speeds: Readonly<Record<string, number>>,
) {
  const asked: string[] = [];
  const { model, backend } = await choose({
    settings,
    dataDir,
    digests: freshDigests,
    log,
    measure: async ({ manifest }, backend): Promise<Measured> => {
      const key = `${manifest.id} ${backend}`;
      asked.push(key);
      const inferenceMs = speeds[key];
      if (inferenceMs === undefined) throw new CodedError('BACKEND_UNAVAILABLE', key);
      return { inferenceMs, startMs: 0, overheadMs: 0 };
    },
  });
  return { chosen: `${model.manifest.id} ${backend}`, asked };
}

const AUTO = { model: 'centernet', backend: 'auto' } as const;

test('what is named is taken without a measurement', async () => {
  expect(await decide({ model: 'centernet', backend: 'tfjs-wasm' }, {})).toEqual({
    chosen: 'centernet tfjs-wasm',
    asked: [],
  });
});

test('auto takes the fastest backend that works, and remembers it', async () => {
  const speeds = { 'centernet tfjs-wasm': 300, 'centernet tfjs-webgpu': 20 };
  expect(await decide(AUTO, speeds)).toEqual({
    chosen: 'centernet tfjs-webgpu',
    asked: ['centernet tfjs-webgpu', 'centernet tfjs-node', 'centernet tfjs-wasm'],
  });
  expect(await decide(AUTO, {})).toEqual({ chosen: 'centernet tfjs-webgpu', asked: [] });
});

test('a GPU slower than the processor is not used', async () => {
  const speeds = { 'centernet tfjs-wasm': 300, 'centernet tfjs-webgpu': 4000 };
  expect(await decide(AUTO, speeds)).toMatchObject({ chosen: 'centernet tfjs-wasm' });
});

test('where only the last backend is left, it is taken without a measurement', async () => {
  expect(await decide(AUTO, {})).toEqual({
    chosen: 'centernet tfjs-wasm',
    asked: ['centernet tfjs-webgpu', 'centernet tfjs-node'],
  });
  expect(await decide(AUTO, {})).toEqual({ chosen: 'centernet tfjs-wasm', asked: [] });
});

test('a driver that is installed later is tried', async () => {
  await decide(AUTO, {});
  const before = process.env['VK_DRIVER_FILES'];
  process.env['VK_DRIVER_FILES'] = '/somewhere/new_icd.json';
  onTestFinished(() => {
    if (before === undefined) delete process.env['VK_DRIVER_FILES'];
    else process.env['VK_DRIVER_FILES'] = before;
  });
  expect((await decide(AUTO, {})).asked).toContain('centernet tfjs-webgpu');
});

test('a backend that takes the process down is left alone after two tries', async () => {
  const path = join(dataDir, 'detect', 'auto.json');
  /** What is on disk while a backend is measured is what a crash leaves behind. */
  const crash = async (): Promise<string | null> => {
    let left: string | null = null;
    await choose({
      settings: AUTO,
      dataDir,
      digests: freshDigests,
      log,
      measure: async (_, backend) => {
        if (backend === 'tfjs-webgpu') left = await readFile(path, 'utf8');
        throw new Error('not this time');
      },
    });
    if (left !== null) await writeFile(path, left);
    return left;
  };
  expect(await crash()).not.toBeNull();
  expect(await crash()).not.toBeNull();
  expect(await decide(AUTO, { 'centernet tfjs-webgpu': 1 })).toEqual({
    chosen: 'centernet tfjs-wasm',
    asked: ['centernet tfjs-node'],
  });
});

test('a damaged memory of measurements is as good as none', async () => {
  await mkdir(join(dataDir, 'detect'));
  for (const text of ['{', '[]', 'null', '{"x": {"state": "measured"}}']) {
    await writeFile(join(dataDir, 'detect', 'auto.json'), text);
    expect((await decide(AUTO, {})).chosen).toBe('centernet tfjs-wasm');
  }
});

test('model auto takes the most accurate model that is fast enough, else the fastest', async () => {
  const auto = { model: 'auto', backend: 'auto' } as const;
  expect((await decide(auto, {})).chosen).toBe('centernet tfjs-wasm');
  await install('good', { accuracy: 30 });
  await install('best', { accuracy: 50 });
  const speeds = { 'centernet tfjs-wasm': 250, 'good onnx': 300, 'best onnx': 900 };
  expect((await decide(auto, speeds)).chosen).toBe('good onnx');
  await rm(join(dataDir, 'detect'), { recursive: true });
  const slow = { 'centernet tfjs-wasm': 2500, 'good onnx': 3000, 'best onnx': 9000 };
  expect((await decide(auto, slow)).chosen).toBe('centernet tfjs-wasm');
  expect((await decide({ model: 'auto', backend: 'onnx' }, slow)).chosen).toBe('good onnx');
});

test.each<[string, string, () => Promise<unknown>, { model: string; backend: BackendName | 'auto' }]>([
  ['an unknown model', 'MODEL_UNKNOWN', async () => {}, { model: 'nothing', backend: 'auto' }],
  [
    'an id that is a path',
    'MODEL_UNKNOWN',
    async () => {},
    { model: '../models/centernet', backend: 'auto' },
  ],
  [
    'a model that was never fetched',
    'MODEL_FILE_MISSING',
    async () => {},
    { model: 'yolox-nano', backend: 'auto' },
  ],
  [
    'a backend for another format',
    'BACKEND_UNAVAILABLE',
    async () => {},
    { model: 'centernet', backend: 'onnx' },
  ],
  [
    'another file than described',
    'MODEL_CORRUPT',
    async () => writeFile(join(await install('x'), 'model.onnx'), 'cut off'),
    { model: 'x', backend: 'auto' },
  ],
  [
    'a missing label file',
    'MODEL_FILE_MISSING',
    () => install('x', { labels: { file: 'labels.txt' } }),
    { model: 'x', backend: 'auto' },
  ],
  [
    'a package that is not installed',
    'MODEL_FILE_MISSING',
    () => install('x', { files: [{ path: 'a', package: 'no-such-package', sha256: 'a'.repeat(64) }] }),
    { model: 'x', backend: 'auto' },
  ],
  [
    'a description of another model',
    'MODEL_MANIFEST_INVALID',
    async () => cp(await install('y'), join(dataDir, 'models', 'x'), { recursive: true }),
    { model: 'x', backend: 'auto' },
  ],
])('%s is %s', async (_, code, prepare, settings) => {
  await prepare();
  await expect(decide(settings, {})).rejects.toMatchObject({ code });
});

test('the list tells installed, available and damaged apart', async () => {
  await install('good');
  await writeFile(join(await install('bad'), 'model.onnx'), 'cut off');
  await writeFile(join(await install('worse'), 'model.yaml'), 'schema: 2');
  const states = (await listModels(dataDir)).map(({ id, state, problem }) => [id, state, problem?.code]);
  expect(states).toEqual([
    ['bad', 'damaged', 'MODEL_CORRUPT'],
    ['centernet', 'installed', undefined],
    ['good', 'installed', undefined],
    ['worse', 'damaged', 'MODEL_MANIFEST_INVALID'],
    ['yolox-nano', 'available', 'MODEL_FILE_MISSING'],
  ]);
  expect(await verifyModel(dataDir, 'good')).toMatchObject({ state: 'installed', origin: 'added' });
  await expect(verifyModel(dataDir, 'unheard-of')).rejects.toMatchObject({ code: 'MODEL_UNKNOWN' });
});

test('a digest is remembered until the file changes', async () => {
  const file = join(dataDir, 'file');
  const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
  await writeFile(file, 'one');
  expect(await (await rememberedDigests(dataDir)).sha256(file)).toBe(sha256('one'));
  const memory = join(dataDir, 'detect', 'digests.json');
  const { ino } = await stat(memory);
  expect(await (await rememberedDigests(dataDir)).sha256(file)).toBe(sha256('one'));
  expect((await stat(memory)).ino, 'nothing was computed, so nothing was written').toBe(ino);
  await writeFile(file, 'other');
  expect(await (await rememberedDigests(dataDir)).sha256(file)).toBe(sha256('other'));
});
