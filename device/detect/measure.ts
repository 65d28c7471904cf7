import { availableParallelism } from 'node:os';
import type { BackendName } from '../contract/detect.ts';
import type { Clock } from '../kernel/clock.ts';
import { ModelWorker } from './model-worker.ts';
import { cropBytes } from './tensor.ts';
import type { VerifiedModel } from './models.ts';

/** At least so many, and for so long: code that has just begun is slow, and would be measured with it. */
const RUNS = 5;
const LEAST_MS = 500;
/** Enough to tell backends apart; slow ones are not asked five times. */
const BUDGET_MS = 3000;

export interface Measured {
  /** Median time in the model, one crop at a time. */
  readonly inferenceMs: number;
  /** From nothing to the first answer. */
  readonly startMs: number;
  /** Median time around the model: moving the crop to its thread, preparing it, reading boxes. */
  readonly overheadMs: number;
}

/** Starts `model` on `backend`, times a few warm inferences, and ends it. @throws as ModelWorker.create and run */
export async function measure(
  model: VerifiedModel,
  backend: BackendName,
  { clock, signal }: { clock: Clock; signal?: AbortSignal | undefined },
): Promise<Measured> {
  const { manifest, files, labels } = model;
  const startedMs = clock.monotonicMs();
  await using worker = await ModelWorker.create({
    start: { backend, manifest, files, labels, threads: threadsPerWorker(1) },
    clock,
    ...(signal && { signal }),
  });
  const warmMs = clock.monotonicMs();
  const inference: number[] = [];
  const overhead: number[] = [];
  const isEnough = (): boolean => {
    const passedMs = clock.monotonicMs() - warmMs;
    return (
      inference.length > 0 && (passedMs >= BUDGET_MS || (inference.length >= RUNS && passedMs >= LEAST_MS))
    );
  };
  while (!isEnough()) {
    signal?.throwIfAborted();
    const fromMs = clock.monotonicMs();
    const { runMs } = await worker.run(new Uint8Array(cropBytes(manifest.input)).fill(114));
    inference.push(runMs);
    overhead.push(clock.monotonicMs() - fromMs - runMs);
  }
  return { inferenceMs: median(inference), startMs: warmMs - startedMs, overheadMs: median(overhead) };
}

/** Workers × threads never exceeds the cores. */
export const threadsPerWorker = (workers: number): number =>
  Math.max(1, Math.floor(availableParallelism() / workers));

const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
