import type { BackendName } from '../contract/detect.ts';
import { CodedError, type ErrorReport } from '../contract/errors.ts';
import { systemClock, type Clock } from '../kernel/clock.ts';
import { BACKENDS_OF } from './backends/index.ts';
import { freshDigests } from './digests.ts';
import { measure, type Measured } from './measure.ts';
import { listModels } from './model-list.ts';
import { findModel, verifyFiles, type VerifiedModel } from './models.ts';

export interface BenchOptions {
  readonly dataDir: string;
  /** All installed models when absent. */
  readonly ids?: readonly string[];
  /** All that can run the model when absent. */
  readonly backends?: readonly BackendName[];
  /** After each measurement. */
  readonly onProgress?: (result: BenchResult) => void;
  readonly signal?: AbortSignal;
  readonly clock?: Clock;
}

export interface BenchResult {
  readonly modelId: string;
  readonly backend: BackendName;
  readonly outcome:
    | { readonly ok: true; readonly measured: Measured }
    | { readonly ok: false; readonly problem: ErrorReport };
}

/** Measures models on backends, one at a time. @throws CodedError MODEL_* for an id that cannot be used */
export async function benchModels(options: BenchOptions): Promise<readonly BenchResult[]> {
  const { dataDir, backends, onProgress, signal, clock = systemClock } = options;
  const ids = options.ids ?? (await installedIds(dataDir));
  const results: BenchResult[] = [];
  for (const id of ids) {
    const model = await verifyFiles(await findModel(dataDir, id), freshDigests);
    for (const backend of BACKENDS_OF[model.manifest.format]) {
      if (backends && !backends.includes(backend)) continue;
      signal?.throwIfAborted();
      const outcome = await tryToMeasure(model, backend, { clock, signal });
      const result = { modelId: id, backend, outcome };
      results.push(result);
      onProgress?.(result);
    }
  }
  return results;
}

async function tryToMeasure(
  model: VerifiedModel,
  backend: BackendName,
  options: { clock: Clock; signal?: AbortSignal | undefined },
): Promise<BenchResult['outcome']> {
  try {
    return { ok: true, measured: await measure(model, backend, options) };
  } catch (error) {
    options.signal?.throwIfAborted();
    return { ok: false, problem: CodedError.from(error, 'DETECTOR_FAILED').report() };
  }
}

async function installedIds(dataDir: string): Promise<readonly string[]> {
  const models = await listModels(dataDir);
  return models.filter(({ state }) => state === 'installed').map(({ id }) => id);
}
