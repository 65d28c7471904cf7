/**
 * Which model on which backend. What `auto` finds out by measuring is kept in `<dataDir>/detect/auto.json`, for this
 * model, these packages and this machine, so that only the first start pays for it.
 */
import { cpus } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import type { BackendName } from '../contract/detect.ts';
import { CodedError } from '../contract/errors.ts';
import type { DetectionSettings } from '../contract/settings.ts';
import type { Log } from '../kernel/log.ts';
import { BACKENDS_OF } from './backends/index.ts';
import { vulkanDrivers } from './backends/vulkan.ts';
import type { FileDigests } from './digests.ts';
import type { Measured } from './measure.ts';
import { findModel, modelIds, verifyFiles, type VerifiedModel } from './models.ts';
import { StateFile } from './state-file.ts';
import { backendVersions } from './versions.ts';

/** `model: auto` takes the most accurate model that is at least this fast. */
const FAST_ENOUGH_MS = 400;
/** A backend under which the process ended this often while it was measured is left alone. */
const MAX_INTERRUPTIONS = 2;

export interface Choice {
  readonly model: VerifiedModel;
  readonly backend: BackendName;
}

export interface ChooseOptions {
  readonly settings: Pick<DetectionSettings, 'model' | 'backend'>;
  readonly dataDir: string;
  readonly digests: FileDigests;
  readonly measure: (model: VerifiedModel, backend: BackendName) => Promise<Measured>;
  readonly log: Log;
}

/** @throws CodedError MODEL_* | BACKEND_UNAVAILABLE */
export async function choose(options: ChooseOptions): Promise<Choice> {
  const { settings, dataDir, digests } = options;
  if (settings.model !== 'auto') {
    const model = await verifyFiles(await findModel(dataDir, settings.model), digests);
    const { backend } = await chooseBackend(model, options, false);
    return { model, backend };
  }
  const measured = [];
  const models = await usableModels(options);
  for (const model of models) {
    const { backend, inferenceMs } = await chooseBackend(model, options, models.length > 1);
    if (inferenceMs <= FAST_ENOUGH_MS) return { model, backend };
    measured.push({ model, backend, inferenceMs });
  }
  const fastest = measured.toSorted((a, b) => a.inferenceMs - b.inferenceMs)[0];
  if (!fastest) throw new CodedError('MODEL_UNKNOWN', `no installed model runs on ${settings.backend}`);
  return fastest;
}

/** Installed, undamaged, and of a format the backend can run; most accurate first. */
async function usableModels({ settings, dataDir, digests, log }: ChooseOptions): Promise<VerifiedModel[]> {
  const models: VerifiedModel[] = [];
  for (const id of await modelIds(dataDir)) {
    try {
      const model = await verifyFiles(await findModel(dataDir, id), digests);
      if (candidates(model, settings.backend).length > 0) models.push(model);
    } catch (error) {
      log.debug({ err: error, model: id }, 'model is not used');
    }
  }
  return models.sort((a, b) => (b.manifest.accuracy ?? 0) - (a.manifest.accuracy ?? 0));
}

const candidates = ({ manifest }: VerifiedModel, wanted: BackendName | 'auto'): readonly BackendName[] =>
  BACKENDS_OF[manifest.format].filter((backend) => wanted === 'auto' || wanted === backend);

async function chooseBackend(
  model: VerifiedModel,
  options: ChooseOptions,
  mustMeasure: boolean,
): Promise<{ backend: BackendName; inferenceMs: number }> {
  const { settings, log } = options;
  const backends = candidates(model, settings.backend);
  const last = backends.at(-1);
  if (last === undefined) {
    const { id, format } = model.manifest;
    throw new CodedError('BACKEND_UNAVAILABLE', `${settings.backend} cannot run ${id}, which is ${format}`);
  }
  const speeds = await Speeds.open(options);
  // The last backend is the one to fall back on. Without a rival there is nothing to compare it with.
  let best = { backend: last, inferenceMs: Infinity };
  for (const backend of backends) {
    if (backend === last && best.inferenceMs === Infinity && !mustMeasure) return { backend, inferenceMs: 0 };
    const inferenceMs = await speeds.of(model, backend);
    if (inferenceMs < best.inferenceMs) best = { backend, inferenceMs };
  }
  log.info({ model: model.manifest.id, ...best }, 'detection backend chosen by speed');
  return best;
}

const speed = z.union([
  z.object({ state: z.literal('measured'), inferenceMs: z.number() }),
  z.object({ state: z.literal('failed'), why: z.string() }),
  /** Written before: whoever finds it knows that the process ended meanwhile, perhaps of this backend. */
  z.object({ state: z.literal('measuring'), attempt: z.number().int() }),
]);

type Speed = z.infer<typeof speed>;

class Speeds {
  readonly #o: ChooseOptions;
  readonly #state: StateFile<Speed>;
  readonly #machine = machine();

  private constructor(options: ChooseOptions, state: StateFile<Speed>) {
    this.#o = options;
    this.#state = state;
  }

  static async open(options: ChooseOptions): Promise<Speeds> {
    const path = join(options.dataDir, 'detect', 'auto.json');
    return new Speeds(
      options,
      await StateFile.open(path, (value): value is Speed => speed.safeParse(value).success),
    );
  }

  /** Milliseconds per crop; Infinity when this backend does not work here. */
  async of(model: VerifiedModel, backend: BackendName): Promise<number> {
    const key = [backend, model.digest, this.#machine].join(' | ');
    const known = this.#state.get(key);
    if (known?.state === 'measured') return known.inferenceMs;
    const interrupted = known?.state === 'measuring' ? known.attempt : 0;
    if (known?.state === 'failed' || interrupted >= MAX_INTERRUPTIONS) return Infinity;
    await this.#state.set(key, { state: 'measuring', attempt: interrupted + 1 });
    try {
      const { inferenceMs } = await this.#o.measure(model, backend);
      await this.#state.set(key, { state: 'measured', inferenceMs });
      return inferenceMs;
    } catch (error) {
      this.#o.log.info({ backend, why: (error as Error).message }, 'detection backend does not run here');
      await this.#state.set(key, { state: 'failed', why: (error as Error).message });
      return Infinity;
    }
  }
}

/** What the speed of a backend depends on, besides the model. A driver that is installed later is tried. */
function machine(): string {
  const [first, ...others] = cpus();
  return [
    `${others.length + 1}× ${first?.model.trim()}`,
    vulkanDrivers(process.env).join(' '),
    backendVersions(),
  ].join(' | ');
}
