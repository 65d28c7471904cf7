/**
 * Where models are: those that come with us in `models/` beside this file, those that were added in
 * `<dataDir>/models/`. Each is a directory with a model.yaml; an added one hides one that came with us.
 */
import { createHash } from 'node:crypto';
import { access, readdir, readFile } from 'node:fs/promises';
import { findPackageJSON } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CodedError } from '../contract/errors.ts';
import type { FileDigests } from './digests.ts';
import { COCO_80 } from './labels.ts';
import { parseManifest, type Manifest, type ManifestFile } from './manifest.ts';

const BUILT_IN_DIRECTORY = fileURLToPath(new URL('./models/', import.meta.url));
export const MANIFEST = 'model.yaml';

export interface Model {
  readonly manifest: Manifest;
  readonly directory: string;
  readonly origin: 'built-in' | 'added';
}

/** A model whose files were found to be what the manifest says. */
export interface VerifiedModel {
  readonly manifest: Manifest;
  /** Absolute, in the order of the manifest. */
  readonly files: readonly string[];
  readonly labels: readonly string[];
  /** Names exactly this model with exactly this manifest: hexadecimal SHA-256. */
  readonly digest: string;
}

export const addedModelsDirectory = (dataDir: string): string => join(dataDir, 'models');

/** Ids of all models we know of, installed or not, sorted. */
export async function modelIds(dataDir: string): Promise<readonly string[]> {
  const ids = await Promise.all(
    [BUILT_IN_DIRECTORY, addedModelsDirectory(dataDir)].map(async (parent) => {
      const entries = await readdir(parent, { withFileTypes: true }).catch(() => []);
      // Names with a dot in front are unfinished.
      return entries
        .filter((entry) => entry.isDirectory() && !entry.name.startsWith('.'))
        .map(({ name }) => name);
    }),
  );
  return [...new Set(ids.flat())].sort();
}

/** @throws CodedError MODEL_UNKNOWN | MODEL_MANIFEST_INVALID */
export async function findModel(dataDir: string, id: string): Promise<Model> {
  if (!(await modelIds(dataDir)).includes(id)) throw new CodedError('MODEL_UNKNOWN', id);
  const added = join(addedModelsDirectory(dataDir), id);
  const isAdded = await access(join(added, MANIFEST)).then(
    () => true,
    () => false,
  );
  const directory = isAdded ? added : join(BUILT_IN_DIRECTORY, id);
  const manifest = await readManifest(directory);
  if (manifest.id !== id)
    throw new CodedError('MODEL_MANIFEST_INVALID', `${id}/${MANIFEST}: id is ${manifest.id}`);
  return { manifest, directory, origin: isAdded ? 'added' : 'built-in' };
}

/** @throws CodedError MODEL_MANIFEST_INVALID */
export async function readManifest(directory: string): Promise<Manifest> {
  const path = join(directory, MANIFEST);
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    throw new CodedError('MODEL_MANIFEST_INVALID', (error as Error).message, { cause: error });
  });
  return parseManifest(text, path);
}

/** Where a file of the model should be, whether it is there or not. */
export function locateFile(model: Pick<Model, 'directory'>, { path, package: name }: ManifestFile): string {
  if (name === undefined) return join(model.directory, path);
  const directory = packageDirectory(name);
  if (directory === null) throw new CodedError('MODEL_FILE_MISSING', `package ${name} is not installed`);
  return join(directory, path);
}

function packageDirectory(name: string): string | null {
  try {
    const packageJson = findPackageJSON(name, import.meta.url);
    return packageJson === undefined ? null : dirname(packageJson);
  } catch {
    return null;
  }
}

/** @throws CodedError MODEL_FILE_MISSING | MODEL_CORRUPT */
export async function verifyFiles(model: Model, digests: FileDigests): Promise<VerifiedModel> {
  const { manifest } = model;
  const files: string[] = [];
  for (const file of manifest.files) {
    const path = locateFile(model, file);
    const sha256 = await digests.sha256(path).catch((error: unknown) => {
      throw new CodedError('MODEL_FILE_MISSING', (error as Error).message, { cause: error });
    });
    if (sha256 !== file.sha256) throw new CodedError('MODEL_CORRUPT', path);
    files.push(path);
  }
  const labels = await readLabels(model);
  const digest = createHash('sha256')
    .update(JSON.stringify([manifest, labels]))
    .digest('hex');
  return { manifest, files, labels, digest };
}

async function readLabels({ manifest: { labels }, directory }: Model): Promise<readonly string[]> {
  if (labels === 'coco-80') return COCO_80;
  if (Array.isArray(labels)) return labels;
  const text = await readFile(join(directory, labels.file), 'utf8').catch((error: unknown) => {
    throw new CodedError('MODEL_FILE_MISSING', (error as Error).message, { cause: error });
  });
  return text.trim().split(/\r?\n/);
}
