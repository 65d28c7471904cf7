import { expect, test } from 'vitest';
import { noMeter, type Meter } from '../../../device/contract/metrics.ts';
import { Detector, type CropWorker } from '../../../device/detect/detector.ts';
import { coveredMs } from '../../../device/detect/job.ts';
import type { CropResult } from '../../../device/detect/model-worker.ts';
import { systemClock, type Clock } from '../../../device/kernel/clock.ts';
import { createLog } from '../../../device/kernel/log.ts';

/** A worker whose crops the test answers, one by one. */
class HandWorker implements CropWorker {
  disposed = false;
  readonly crops: string[] = [];
  #inside: PromiseWithResolvers<CropResult> | null = null;

  run(rgb: Uint8Array): Promise<CropResult> {
    expect(this.#inside, 'one crop at a time').toBeNull();
    this.crops.push(Buffer.from(rgb).toString());
    this.#inside = Promise.withResolvers();
    return this.#inside.promise;
  }

  answer(runMs = 5): void {
    const inside = this.#inside!;
    this.#inside = null;
    const label = this.crops.at(-1)!;
    inside.resolve({ detections: [{ label, score: 1, box: [0, 0, 1, 1] }], runMs });
  }

  fail(): void {
    const inside = this.#inside!;
    this.#inside = null;
    inside.reject(new Error('broken'));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.disposed = true;
    this.#inside?.reject(new Error('stopped'));
  }
}

const log = createLog({ name: 'test', level: 'silent' });
const crop = (name: string): Uint8Array<ArrayBuffer> => Uint8Array.from(Buffer.from(name));
const labels = (result: Awaited<ReturnType<Detector['detect']>>) =>
  result?.detections.map(([first]) => first?.label);
/** Lets everything that is ready to run do so. */
const settle = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

async function setUp(options: {
  workers?: number;
  create?: (index: number) => Promise<CropWorker>;
  meter?: Meter;
  clock?: Clock;
}) {
  const made: HandWorker[] = [];
  const createWorker = async (): Promise<CropWorker> => {
    if (options.create) return options.create(made.push(new HandWorker()) - 1);
    const worker = new HandWorker();
    made.push(worker);
    return worker;
  };
  const detector = await Detector.create({
    workers: options.workers ?? 1,
    createWorker,
    meter: options.meter ?? noMeter,
    log,
    clock: options.clock ?? systemClock,
  });
  await settle();
  return { detector, made };
}

test('crops of one request are answered in their order, whoever looks at them', async () => {
  const { detector, made } = await setUp({ workers: 2 });
  await using _ = detector;
  const answer = detector.detect('a', [crop('1'), crop('2'), crop('3')]);
  const [first, second] = made as [HandWorker, HandWorker];
  second.answer();
  await settle();
  const busy = second.crops.length === 2 ? [second, first] : [first, second];
  for (const worker of busy) worker.answer();
  expect(labels(await answer)).toEqual(['1', '2', '3']);
});

test('busy cameras share one worker evenly, and what is too old is not looked at', async () => {
  const drops: unknown[] = [];
  const meter: Meter = { ...noMeter, count: (_, reasons) => void drops.push(reasons) };
  const { detector, made } = await setUp({ meter });
  await using _ = detector;
  const worker = made[0]!;
  const stale: Promise<unknown>[] = [];
  for (let round = 0; round < 4; round++) {
    // Camera a is ten times as fast as b.
    for (let i = 0; i < 10; i++)
      stale.push(detector.detect('a', [crop(`a${round}.${i}`)]).catch(() => 'failed'));
    stale.push(detector.detect('b', [crop(`b${round}`)]).catch(() => 'failed'));
    for (let i = 0; i < 2; i++) {
      await settle();
      worker.answer();
    }
    await settle();
  }
  const served = worker.crops.map((name) => name[0]).slice(0, 8);
  expect(served.filter((camera) => camera === 'a')).toHaveLength(4);
  expect(served.join('')).not.toMatch(/aaa|bbb/);
  expect(worker.crops.slice(1)).not.toContain('a1.3');
  expect(drops).toContainEqual({ stage: 'detect', reason: 'superseded' });
  expect(await Promise.race([stale[1], settle().then(() => 'waiting')])).toBeNull();
});

test('a broken worker costs its request only, and is replaced', async () => {
  const { detector, made } = await setUp({});
  await using _ = detector;
  const lost = detector.detect('a', [crop('x'), crop('y')]);
  const kept = detector.detect('b', [crop('b')]);
  made[0]!.fail();
  await expect(lost).rejects.toMatchObject({ code: 'DETECTOR_FAILED' });
  await settle();
  expect(made[0]!.disposed).toBe(true);
  made[1]!.answer();
  expect(labels(await kept)).toEqual(['b']);
  expect(made[1]!.crops).toEqual(['b']);
});

test('when no worker can be made any more, requests are refused instead of left waiting', async () => {
  const refused = Promise.withResolvers<void>();
  const first = new HandWorker();
  const { detector } = await setUp({
    create: async (index) => {
      if (index === 0) return first;
      await refused.promise;
      throw new Error('no memory');
    },
  });
  await using _ = detector;
  const broken = detector.detect('a', [crop('a')]);
  first.fail();
  await expect(broken).rejects.toMatchObject({ code: 'DETECTOR_FAILED' });
  const hopeful = detector.detect('b', [crop('b')]);
  refused.resolve();
  await expect(hopeful).rejects.toMatchObject({ message: expect.stringContaining('no memory') as string });
  await expect(detector.detect('c', [crop('c')])).rejects.toMatchObject({ code: 'DETECTOR_FAILED' });
});

test('a camera that leaves gets an error, and its place is free', async () => {
  const { detector, made } = await setUp({});
  await using _ = detector;
  const gone = [detector.detect('a', [crop('a1'), crop('a2')]), detector.detect('a', [crop('a3')])];
  const other = detector.detect('b', [crop('b')]);
  detector.leave('a');
  for (const answer of gone) await expect(answer).rejects.toMatchObject({ code: 'DETECTOR_FAILED' });
  made[0]!.answer();
  await settle();
  made[0]!.answer();
  expect(labels(await other)).toEqual(['b']);
  expect(made[0]!.crops).toEqual(['a1', 'b']);
});

test('stopping fails what is open and ends every worker', async () => {
  const { detector, made } = await setUp({ workers: 2 });
  const open = [
    detector.detect('a', [crop('a')]),
    detector.detect('b', [crop('b')]),
    detector.detect('c', [crop('c')]),
  ];
  const outcomes = Promise.allSettled(open);
  await detector[Symbol.asyncDispose]();
  expect((await outcomes).map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected']);
  expect(made.map(({ disposed }) => disposed)).toEqual([true, true]);
});

test('waiting and inference are told apart, and crops side by side count once', async () => {
  let nowMs = 0;
  const clock: Clock = { ...systemClock, monotonicMs: () => nowMs };
  const { detector, made } = await setUp({ clock });
  await using _ = detector;
  const first = detector.detect('a', [crop('a')]);
  const second = detector.detect('b', [crop('b')]);
  nowMs = 100;
  made[0]!.answer(90);
  expect(await first).toMatchObject({ inferenceMs: 90, queueMs: 0 });
  await settle();
  nowMs = 150;
  made[0]!.answer(40);
  expect(await second).toMatchObject({ inferenceMs: 40, queueMs: 100 });
  expect(
    coveredMs([
      { fromMs: 0, toMs: 10 },
      { fromMs: 5, toMs: 20 },
      { fromMs: 30, toMs: 31 },
      { fromMs: 6, toMs: 7 },
    ]),
  ).toBe(21);
});

test('a request without crops needs no worker', async () => {
  const { detector } = await setUp({});
  await using _ = detector;
  expect(await detector.detect('a', [])).toEqual({ detections: [], inferenceMs: 0, queueMs: 0 });
});
