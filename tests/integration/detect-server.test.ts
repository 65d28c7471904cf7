import { once } from 'node:events';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, expect, onTestFinished, test } from 'vitest';
import type { DetectorInfo } from '../../device/contract/detect.ts';
import { noMeter, type Meter } from '../../device/contract/metrics.ts';
import type { DetectionSettings } from '../../device/contract/settings.ts';
import { Detector } from '../../device/detect/detector.ts';
import { freshDigests } from '../../device/detect/digests.ts';
import { encodeHead } from '../../device/detect/frames.ts';
import { connectDetector, createDetectServer, type DetectServer } from '../../device/detect/index.ts';
import { ModelWorker } from '../../device/detect/model-worker.ts';
import { findModel, verifyFiles } from '../../device/detect/models.ts';
import { systemClock as clock, type Clock } from '../../device/kernel/clock.ts';
import { createLog } from '../../device/kernel/log.ts';
import { installColourModel, LABELS, paint, SIDE } from './detect/colour-model.ts';

const log = createLog({ name: 'test', level: 'silent' });
let dataDir: string;
let socket: string;

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'spyoncino-'));
  socket = join(dataDir, 'detect.sock');
  onTestFinished(() => rm(dataDir, { recursive: true }));
});

const start = (change: Partial<DetectionSettings> = {}, meter: Meter = noMeter): Promise<DetectServer> =>
  createDetectServer({
    settings: { model: 'colour', backend: 'tfjs-wasm', workers: 1, ...change },
    dataDir,
    socket,
    meter,
    log,
    clock,
  });
const join_ = (cameraId: string, onInfo: (info: DetectorInfo | null) => void = () => {}) =>
  connectDetector({ socket, cameraId, meter: noMeter, log, clock, onInfo });

/** Resolves when `condition` holds; the clock is only asked how long to look away. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await clock.sleep(5);
}

test('crops go in, labelled boxes come out, in order; only the owner may connect', async () => {
  await installColourModel(dataDir);
  const observed: string[] = [];
  await using server = await start({}, { ...noMeter, observe: (name) => void observed.push(name) });
  expect(server.info).toEqual({
    modelId: 'colour',
    backend: 'tfjs-wasm',
    inputWidth: SIDE,
    inputHeight: SIDE,
    labels: LABELS,
  });
  expect((await stat(socket)).mode & 0o777).toBe(0o600);
  await using client = join_('porch');
  expect(await client.ready()).toEqual(server.info);
  const result = await client.detect([paint(0.8, 1), paint(0, 0), paint(0.4, 3)]);
  const seen = result?.detections.map((detections) =>
    detections.map(({ label, score }) => [label, Math.round(score * 100)]),
  );
  expect(seen).toEqual([[['moss', 80]], [], [['grass', 40]]]);
  expect(result?.detections[0]?.[0]?.box).toEqual([0, 0, 1, 1]);
  expect(observed.sort()).toEqual(['spyoncino_inference_ms', 'spyoncino_queue_wait_ms']);
});

test('cameras come before the detector, outlive it, and find its successor', async () => {
  await installColourModel(dataDir);
  const told: boolean[] = [];
  await using client = join_('porch', (info) => void told.push(info !== null));
  expect(client.info).toBeNull();
  await expect(client.detect([paint(1, 0)])).rejects.toMatchObject({ code: 'DETECTOR_FAILED' });
  const first = await start();
  await client.ready();
  const pending = client.detect([paint(1, 0)]);
  const outcome = pending.then(
    () => 'answered',
    (error: { code: string }) => error.code,
  );
  await first[Symbol.asyncDispose]();
  expect(await outcome).toMatch(/answered|DETECTOR_FAILED/);
  await until(() => client.info === null);
  await using _ = await start();
  await client.ready();
  expect((await client.detect([paint(1, 2)]))?.detections[0]?.[0]?.label).toBe('leaf');
  expect(told).toEqual([true, false, true]);
});

test('a camera that asks faster than it is answered gets the newest looked at', async () => {
  await installColourModel(dataDir);
  await using _ = await start();
  await using client = join_('porch');
  await client.ready();
  const answers = await Promise.all(Array.from({ length: 20 }, (_, i) => client.detect([paint(1, i % 4)])));
  const answered = answers.flatMap((answer, i) => (answer ? [[i, answer.detections[0]?.[0]?.label]] : []));
  for (const [i, label] of answered) expect(label).toBe(LABELS[(i as number) % 4]);
  expect(answered.at(-1)?.[0], 'the newest is never given up').toBe(19);
  expect(answered.length).toBeLessThan(20);
});

test('crops of another size are refused by the client before they are sent', async () => {
  await installColourModel(dataDir);
  await using _ = await start();
  await using client = join_('porch');
  await client.ready();
  const rgb = new Uint8Array(12);
  await expect(client.detect([{ width: 2, height: 2, rgb }])).rejects.toMatchObject({
    code: 'DETECTOR_FAILED',
  });
  await expect(client.detect(Array.from({ length: 9 }, () => paint(1, 1)))).rejects.toThrow('at most 8');
  expect(await client.detect([])).toMatchObject({ detections: [] });
});

const part = paint(1, 1).rgb;
test.each<[string, Uint8Array]>([
  ['noise', Buffer.from('GET / HTTP/1.1\r\nHost: detector\r\n\r\n')],
  ['an endless header', Buffer.from([0xff, 0xff, 0xff, 0x7f])],
  ['a crop of another size', encodeHead({ type: 'detect', id: 1 }, [part.subarray(1)])],
  [
    'too many crops',
    encodeHead(
      { type: 'detect', id: 1 },
      Array.from({ length: 9 }, () => part),
    ),
  ],
  ['an unknown message', encodeHead({ type: 'explode' })],
  ['a request without a number', Buffer.concat([encodeHead({ type: 'detect' }, [part]), part])],
])('a peer that sends %s is dropped, and nobody else notices', async (_, bytes) => {
  await installColourModel(dataDir);
  await using __ = await start();
  await using client = join_('porch');
  await client.ready();
  const hostile = connect(socket);
  onTestFinished(() => void hostile.destroy());
  hostile.resume();
  hostile.write(bytes);
  await once(hostile, 'close');
  expect((await client.detect([paint(1, 2)]))?.detections[0]?.[0]?.label).toBe('leaf');
});

test('a peer that dies in the middle of a crop costs nothing', async () => {
  await installColourModel(dataDir);
  await using _ = await start();
  const dying = connect(socket);
  dying.write(encodeHead({ type: 'detect', id: 1 }, [part]));
  dying.write(part.subarray(0, 100));
  await once(dying, 'data');
  dying.destroy();
  await once(dying, 'close');
  await using client = join_('porch');
  await client.ready();
  expect((await client.detect([paint(1, 2)]))?.detections[0]).toHaveLength(1);
});

test('a client that is closed rejects what is pending, and leaves nothing that waits', async () => {
  await installColourModel(dataDir);
  await using _ = await start();
  const client = join_('porch');
  await client.ready();
  const pending = Promise.allSettled([1, 2, 3, 4, 5].map((i) => client.detect([paint(1, i % 4)])));
  await client[Symbol.asyncDispose]();
  await client[Symbol.asyncDispose]();
  expect((await pending).map(({ status }) => status)).toContain('rejected');
  await expect(client.ready()).rejects.toMatchObject({ code: 'DETECTOR_FAILED' });
});

test('waiting for a detector can be given up', async () => {
  await using client = join_('porch');
  const stop = new AbortController();
  const waiting = client.ready(stop.signal);
  stop.abort();
  await expect(waiting).rejects.toMatchObject({ name: 'AbortError' });
});

const input = { width: SIDE, height: SIDE, layout: 'nhwc', colour: 'rgb' };
test.each<[string, string, () => Promise<void>, Partial<DetectionSettings>]>([
  [
    'another input size',
    'MODEL_SHAPE',
    () => installColourModel(dataDir, { input: { ...input, width: 64 } }),
    {},
  ],
  [
    'another layout',
    'MODEL_SHAPE',
    () => installColourModel(dataDir, { input: { ...input, layout: 'nchw' } }),
    {},
  ],
  [
    'an output that is not there',
    'MODEL_SHAPE',
    () => installColourModel(dataDir, { decoder: { name: 'centernet', output: 'x' } }),
    {},
  ],
  [
    'the decoder of another model',
    'MODEL_SHAPE',
    () => installColourModel(dataDir, { decoder: { name: 'yolox', output: 'seen' } }),
    {},
  ],
  [
    'a file that is no graph',
    'MODEL_CORRUPT',
    () => installColourModel(dataDir, {}, '{"modelTopology": 3}'),
    {},
  ],
  ['a file that is no JSON', 'MODEL_CORRUPT', () => installColourModel(dataDir, {}, 'PK'), {}],
  [
    'a file that is no ONNX',
    'MODEL_CORRUPT',
    () => installColourModel(dataDir, { format: 'onnx' }),
    { backend: 'onnx' },
  ],
  [
    'a backend that is not installed',
    'BACKEND_UNAVAILABLE',
    () => installColourModel(dataDir),
    { backend: 'tfjs-node' },
  ],
])('%s ends the start with %s and leaves nothing behind', async (_, code, prepare, settings) => {
  await prepare();
  await expect(start(settings)).rejects.toMatchObject({ code });
  await expect(stat(socket)).rejects.toMatchObject({ code: 'ENOENT' });
});

async function colourWorker(workerClock: Clock = clock): Promise<ModelWorker> {
  const { manifest, files, labels } = await verifyFiles(await findModel(dataDir, 'colour'), freshDigests);
  const start = { backend: 'tfjs-wasm', manifest, files, labels, threads: 1 } as const;
  return ModelWorker.create({ start, clock: workerClock });
}
const bytes = (score: number, label: number): Uint8Array<ArrayBuffer> =>
  Uint8Array.from(paint(score, label).rgb);

test('a worker that is killed at work is replaced, and only its request is lost', async () => {
  await installColourModel(dataDir);
  const made: ModelWorker[] = [];
  await using detector = await Detector.create({
    workers: 1,
    createWorker: async () => {
      const worker = await colourWorker();
      made.push(worker);
      return worker;
    },
    meter: noMeter,
    log,
    clock,
  });
  const lost = detector.detect('porch', [bytes(1, 1)]);
  const kept = detector.detect('garden', [bytes(1, 2)]);
  await Promise.all([
    made[0]![Symbol.asyncDispose](),
    expect(lost).rejects.toMatchObject({ code: 'DETECTOR_FAILED' }),
  ]);
  expect((await kept)?.detections[0]?.[0]?.label).toBe('leaf');
  expect(made).toHaveLength(2);
});

test('a worker that does not answer in time is given up', async () => {
  await installColourModel(dataDir);
  // Ten seconds pass at once.
  const hasty: Clock = {
    ...clock,
    sleep: (ms, signal) => (ms === 10_000 ? Promise.resolve() : clock.sleep(ms, signal)),
  };
  await using worker = await colourWorker(hasty);
  await expect(worker.run(bytes(1, 1))).rejects.toMatchObject({
    code: 'DETECTOR_FAILED',
    message: expect.stringContaining('no answer') as string,
  });
  expect(worker.alive).toBe(false);
});

test('a crop that breaks the model breaks its worker, and says why', async () => {
  await installColourModel(dataDir);
  await using worker = await colourWorker();
  await expect(worker.run(new Uint8Array(SIDE * SIDE * 3 + 3))).rejects.toMatchObject({
    code: 'DETECTOR_FAILED',
  });
  expect(worker.alive).toBe(false);
});
