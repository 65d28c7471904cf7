/**
 * How long a picture takes to become an event: a real agent on looped footage, one camera, an MQTT client. Also what
 * surrounds the model: waiting for a worker, and cutting, moving and reading (`overhead`).
 */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { subscribe } from '../../device/bus/index.ts';
import type { Payload } from '../../device/contract/topics.ts';
import { addModel } from '../../device/detect/index.ts';
import { startAgent, type TestAgent } from '../harness/agent.ts';
import { requireFootage } from '../harness/footage.ts';
import { missingPackages } from '../harness/packages.ts';
import { table } from './facts.ts';

/** Models that are not ours to ship; they are measured where somebody put them. */
const MODELS = process.env['SPYONCINO_TEST_MODELS'] ?? join(import.meta.dirname, '../../../shared/models');
const YOLOX = join(MODELS, 'yolox_nano.onnx');
const ENOUGH_EVENTS = 21;
/** One loop of the footage, with 22 to 25 events. */
const LONGEST_MS = 85_000;
/** Code that has just begun is slow; it is not what a camera lives with. */
const WARM_UP_MS = 1_000;

const CONTESTANTS = [
  { model: 'centernet', backend: 'tfjs-wasm', file: null },
  { model: 'yolox-nano', backend: 'onnx', file: YOLOX },
] as const;

interface Sum {
  readonly count: number;
  readonly ms: number;
}

type Sums = Readonly<Record<'inference_ms' | 'queue_wait_ms' | 'detect_overhead_ms', Sum>>;

async function sums(agent: TestAgent): Promise<Sums> {
  const answer = await fetch(`http://127.0.0.1:${agent.metricsPort}/metrics`);
  const lines = (await answer.text()).split('\n');
  const total = (name: string): number =>
    lines
      .filter((line) => line.startsWith(`spyoncino_${name}{`) || line.startsWith(`spyoncino_${name} `))
      .reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
  const sum = (name: string): Sum => ({ count: total(`${name}_count`), ms: total(`${name}_sum`) });
  return {
    inference_ms: sum('inference_ms'),
    queue_wait_ms: sum('queue_wait_ms'),
    detect_overhead_ms: sum('detect_overhead_ms'),
  };
}

interface Outcome {
  /** From the moment of the picture to the client that hears of it. */
  readonly latenciesMs: readonly number[];
  readonly requests: number;
  readonly inferenceMs: number;
  readonly queueMs: number;
  readonly overheadMs: number;
}

/** As cameras send it: to be copied, not encoded. */
async function encodedFootage(dir: string): Promise<string> {
  const film = join(dir, 'street.mp4');
  await promisify(execFile)('ffmpeg', [
    ...['-v', 'error', '-i', await requireFootage(), '-an', '-c:v', 'libx264', '-preset', 'veryfast'],
    ...['-crf', '20', '-g', '10', '-bf', '0', film],
  ]);
  return film;
}

async function measure(
  { model, backend, file }: (typeof CONTESTANTS)[number],
  film: string,
): Promise<Outcome> {
  const dataDir = await mkdtemp(join(tmpdir(), 'spyoncino-bench-'));
  try {
    if (file) await addModel({ dataDir, id: model, from: file });
    await using agent = await startAgent({
      dataDir,
      config: {
        detection: { model, backend },
        cameras: [{ camera_id: 'street', video_file: film }],
      },
    });
    await agent.message(({ topic }) => topic === 'event.new');
    await delay(WARM_UP_MS);
    const before = await sums(agent);
    const latenciesMs = await listen(agent);
    const after = await sums(agent);
    const mean = (name: keyof Sums): number =>
      (after[name].ms - before[name].ms) / (after[name].count - before[name].count);
    return {
      latenciesMs,
      requests: after.inference_ms.count - before.inference_ms.count,
      inferenceMs: mean('inference_ms'),
      queueMs: mean('queue_wait_ms'),
      overheadMs: mean('detect_overhead_ms'),
    };
  } finally {
    await rm(dataDir, { recursive: true, force: true });
  }
}

/** Latencies of new events, as a client of its own meets them. */
async function listen(agent: TestAgent): Promise<readonly number[]> {
  const latenciesMs: number[] = [];
  const enough = new AbortController();
  const timeout = AbortSignal.timeout(LONGEST_MS);
  await subscribe({
    host: '127.0.0.1',
    port: agent.busPort,
    globs: ['event.new'],
    signal: AbortSignal.any([enough.signal, timeout]),
    onMessage({ payload }) {
      // A played file comes at the moment that its pictures carry, so this is when the picture arrived.
      latenciesMs.push(Date.now() - (payload as Payload<'event.new'>).last_seen_ts);
      if (latenciesMs.length >= ENOUGH_EVENTS) enough.abort();
    },
  });
  return latenciesMs;
}

export async function benchDetect(): Promise<string> {
  const missing = missingPackages(['ffmpeg']);
  if (missing.length > 0) return `left out: needs Debian packages ${missing.join(', ')}`;
  const dir = await mkdtemp(join(tmpdir(), 'spyoncino-bench-'));
  try {
    return await compare(await encodedFootage(dir));
  } finally {
    await rm(dir, { recursive: true });
  }
}

async function compare(film: string): Promise<string> {
  const rows = [
    [
      'one camera, 768×576@10, looked at 5 times a second',
      'events',
      'p50 ms',
      'p95 ms',
      'looks',
      'inference ms',
      'queue ms',
      'overhead ms',
      '% of inference',
      'p95 − inference',
    ],
  ];
  for (const contestant of CONTESTANTS) {
    const name = `${contestant.model} on ${contestant.backend}`;
    if (contestant.file && !existsSync(contestant.file)) {
      rows.push([`${name}: left out, no ${contestant.file.split('/').at(-1)}`]);
      continue;
    }
    process.stderr.write(`${name} … `);
    const { latenciesMs, requests, inferenceMs, queueMs, overheadMs } = await measure(contestant, film);
    process.stderr.write(`${latenciesMs.length} events\n`);
    const p95 = quantile(latenciesMs, 0.95);
    rows.push([
      name,
      String(latenciesMs.length),
      quantile(latenciesMs, 0.5).toFixed(0),
      p95.toFixed(0),
      String(requests),
      inferenceMs.toFixed(1),
      queueMs.toFixed(2),
      overheadMs.toFixed(2),
      ((100 * overheadMs) / inferenceMs).toFixed(1),
      (p95 - inferenceMs).toFixed(0),
    ]);
  }
  return `${table(rows)}\np50, p95: moment of the picture → event.new at an MQTT client. The rest: means over all looks.`;
}

/** The smallest value that at least `share` of all do not exceed. */
function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN;
}
