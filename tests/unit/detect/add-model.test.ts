import { once } from 'node:events';
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, expect, onTestFinished, test } from 'vitest';
import { stringify } from 'yaml';
import { addModel, type AddProgress } from '../../../device/detect/index.ts';

const WEIGHTS = Buffer.alloc(300_000, 'weights');
const SHA256 = createHash('sha256').update(WEIGHTS).digest('hex');
let dataDir: string;
let source: string;

beforeEach(async () => {
  const directory = await mkdtemp(join(tmpdir(), 'spyoncino-'));
  onTestFinished(() => rm(directory, { recursive: true }));
  dataDir = join(directory, 'data');
  source = join(directory, 'source');
  await mkdir(source);
});

/** A directory as somebody makes it for a model of their own. */
async function describe(id: string, change: object = {}): Promise<void> {
  const manifest = {
    schema: 1,
    id,
    name: id,
    format: 'onnx',
    files: [{ path: 'weights/model.onnx', sha256: SHA256, ...change }],
    input: { width: 64, height: 64, layout: 'nchw', colour: 'rgb' },
    decoder: { name: 'yolo' },
    labels: { file: 'labels.txt' },
    licence: 'MIT',
    source: 'https://example.org',
  };
  await writeFile(join(source, 'model.yaml'), stringify(manifest));
  await writeFile(join(source, 'labels.txt'), 'thing\nother thing\n');
}

/** Installs a model that is described with this address only, as the built-in catalogue does. */
async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener).listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(async () => {
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/model.onnx`;
}

/** What is left in the directory of added models, also unfinished things. */
const found = (): Promise<string[]> => readdir(join(dataDir, 'models')).catch(() => []);

/** A first, complete installation from the directory, described with `url`; then its file goes. */
async function known(url: string): Promise<void> {
  await describe('mine', { url });
  await mkdir(join(source, 'weights'));
  await writeFile(join(source, 'weights/model.onnx'), WEIGHTS);
  await addModel({ dataDir, id: 'mine', from: source });
  await rm(join(dataDir, 'models/mine/weights'), { recursive: true });
}

test('a directory with a description of its own is installed whole', async () => {
  await describe('mine');
  await mkdir(join(source, 'weights'));
  await writeFile(join(source, 'weights/model.onnx'), WEIGHTS);
  const progress: AddProgress[] = [];
  const directory = await addModel({
    dataDir,
    id: 'mine',
    from: source,
    onProgress: (step) => void progress.push(step),
  });
  expect(directory).toBe(join(dataDir, 'models/mine'));
  expect(await readFile(join(directory, 'weights/model.onnx'))).toEqual(WEIGHTS);
  expect(await readFile(join(directory, 'labels.txt'), 'utf8')).toContain('other thing');
  expect(progress.at(-1)).toEqual({
    file: 'weights/model.onnx',
    doneBytes: WEIGHTS.length,
    totalBytes: WEIGHTS.length,
  });
  expect(await found()).toEqual(['mine']);
});

test('adding again replaces what was there', async () => {
  await known('http://127.0.0.1:9/');
  await addModel({ dataDir, id: 'mine', from: source });
  expect(await readFile(join(dataDir, 'models/mine/weights/model.onnx'))).toEqual(WEIGHTS);
  expect(await found()).toEqual(['mine']);
});

test('a file is fetched from its address', async () => {
  const url = await serve((_, response) => response.end(WEIGHTS));
  await known(url);
  await addModel({ dataDir, id: 'mine' });
  expect(await readFile(join(dataDir, 'models/mine/weights/model.onnx'))).toEqual(WEIGHTS);
});

test.each<[string, string, RequestListener]>([
  ['a server that has no such file', 'MODEL_DOWNLOAD_FAILED', (_, res) => res.writeHead(404).end('no')],
  ['another file', 'MODEL_CORRUPT', (_, res) => res.end('something else')],
  [
    'a connection that breaks',
    'MODEL_DOWNLOAD_FAILED',
    (_, res) => {
      res.writeHead(200, { 'content-length': String(WEIGHTS.length) });
      res.write(WEIGHTS.subarray(0, 1000), () => res.destroy());
    },
  ],
])('%s leaves nothing behind', async (_, code, listener) => {
  await known(await serve(listener));
  await expect(addModel({ dataDir, id: 'mine' })).rejects.toMatchObject({ code });
  expect(await found()).toEqual(['mine']);
});

test('nobody at the address is told plainly', async () => {
  await known('http://127.0.0.1:9/');
  await expect(addModel({ dataDir, id: 'mine' })).rejects.toMatchObject({
    code: 'MODEL_DOWNLOAD_FAILED',
    message: expect.not.stringContaining('fetch failed') as string,
  });
});

test('a download can be stopped half-way', async () => {
  const stop = new AbortController();
  const url = await serve((_, response) => void response.write(WEIGHTS.subarray(0, 70_000)));
  await known(url);
  const adding = addModel({ dataDir, id: 'mine', signal: stop.signal, onProgress: () => stop.abort() });
  await expect(adding).rejects.toMatchObject({ name: 'AbortError' });
  expect(await found()).toEqual(['mine']);
});

test('a known model takes a local file, if it is the right one', async () => {
  const file = join(source, 'yolox_nano.onnx');
  await writeFile(file, WEIGHTS);
  await expect(addModel({ dataDir, id: 'yolox-nano', from: file })).rejects.toMatchObject({
    code: 'MODEL_CORRUPT',
  });
  await expect(addModel({ dataDir, id: 'yolox-nano', from: `${file}.gone` })).rejects.toMatchObject({
    code: 'MODEL_FILE_MISSING',
  });
  expect(await found()).toEqual([]);
});

test.each([
  ['an unknown model', 'unheard-of', 'MODEL_UNKNOWN'],
  ['a directory that describes another model', 'other', 'MODEL_MANIFEST_INVALID'],
])('%s is refused', async (_, id, code) => {
  await describe('mine');
  const from = code === 'MODEL_UNKNOWN' ? {} : { from: source };
  await expect(addModel({ dataDir, id, ...from })).rejects.toMatchObject({ code });
});

test('a model that came with us needs nothing', async () => {
  expect(await addModel({ dataDir, id: 'centernet' })).toMatch(/models\/centernet$/);
  expect(await found()).toEqual([]);
});
