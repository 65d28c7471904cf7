import { CodedError, type ErrorReport } from '../contract/errors.ts';
import { freshDigests } from './digests.ts';
import type { Manifest } from './manifest.ts';
import { findModel, modelIds, verifyFiles } from './models.ts';

export interface ModelSummary {
  readonly id: string;
  /** null when model.yaml cannot be read; `problem` says why. */
  readonly manifest: Manifest | null;
  readonly origin: 'built-in' | 'added';
  /** `available`: known, not installed; `spyoncino models add` fetches it. */
  readonly state: 'installed' | 'available' | 'damaged';
  readonly problem: ErrorReport | null;
}

/** All models we know of, sorted by id; every byte of them is read and compared. Never throws for a bad model: its summary says what is wrong. */
export async function listModels(dataDir: string): Promise<readonly ModelSummary[]> {
  const summaries: ModelSummary[] = [];
  for (const id of await modelIds(dataDir)) summaries.push(await summarize(dataDir, id));
  return summaries;
}

/** Rejects with MODEL_UNKNOWN for an unknown id only. */
export async function verifyModel(dataDir: string, id: string): Promise<ModelSummary> {
  if (!(await modelIds(dataDir)).includes(id)) throw new CodedError('MODEL_UNKNOWN', id);
  return summarize(dataDir, id);
}

async function summarize(dataDir: string, id: string): Promise<ModelSummary> {
  let model;
  try {
    model = await findModel(dataDir, id);
  } catch (error) {
    const problem = CodedError.from(error, 'MODEL_MANIFEST_INVALID').report();
    return { id, manifest: null, origin: 'added', state: 'damaged', problem };
  }
  const { manifest, origin } = model;
  try {
    await verifyFiles(model, freshDigests);
    return { id, manifest, origin, state: 'installed', problem: null };
  } catch (error) {
    const coded = CodedError.from(error, 'MODEL_CORRUPT');
    const available =
      origin === 'built-in' &&
      coded.code === 'MODEL_FILE_MISSING' &&
      manifest.files.some(({ url }) => url !== undefined);
    return { id, manifest, origin, state: available ? 'available' : 'damaged', problem: coded.report() };
  }
}
