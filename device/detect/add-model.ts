import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { copyFile, mkdir, mkdtemp, open, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { ReadableStream } from 'node:stream/web';
import { CodedError } from '../contract/errors.ts';
import { makeDirectoryDurable, renameDurable, syncDirectory } from '../kernel/durable-file.ts';
import type { ManifestFile } from './manifest.ts';
import { addedModelsDirectory, findModel, MANIFEST, readManifest, type Model } from './models.ts';

/** Larger than any model for such machines; ends a download that never would. */
const MAX_FILE_BYTES = 1024 * 1024 * 1024;

export interface AddProgress {
  readonly file: string;
  readonly doneBytes: number;
  /** null when the server does not say. */
  readonly totalBytes: number | null;
}

export interface AddModelOptions {
  readonly dataDir: string;
  readonly id: string;
  /** The model's file, or a directory with its files and perhaps a model.yaml; else it is downloaded. */
  readonly from?: string;
  readonly onProgress?: (progress: AddProgress) => void;
  readonly signal?: AbortSignal;
}

/**
 * Installs a model into `<dataDir>/models/<id>`: all of it or nothing, also after a power cut. Returns its
 * directory. @throws CodedError MODEL_UNKNOWN | MODEL_MANIFEST_INVALID | MODEL_FILE_MISSING | MODEL_CORRUPT |
 * MODEL_DOWNLOAD_FAILED, or the reason of `signal`
 */
export async function addModel(options: AddModelOptions): Promise<string> {
  const { dataDir, id, from } = options;
  const fromDirectory = from !== undefined && (await isDirectory(from));
  const model = fromDirectory ? await describedIn(from, options) : await findModel(dataDir, id);
  const ownFiles = model.manifest.files.filter((file) => file.package === undefined);
  if (ownFiles.length === 0) return model.directory;
  if (from !== undefined && !fromDirectory && ownFiles.length > 1)
    throw new CodedError('MODEL_FILE_MISSING', `${id} has ${ownFiles.length} files: name their directory`);

  const parent = addedModelsDirectory(dataDir);
  await makeDirectoryDurable(parent);
  const unfinished = await mkdtemp(join(parent, '.adding-'));
  try {
    for (const file of ownFiles) {
      const source = await openSource(file, fromDirectory ? join(from, file.path) : from, options.signal);
      const target = join(unfinished, file.path);
      await mkdir(dirname(target), { recursive: true });
      await store(file, source, target, options);
    }
    await copyDescription(model, unfinished);
    await putInPlace(unfinished, join(parent, id));
  } finally {
    await rm(unfinished, { recursive: true, force: true });
  }
  return join(parent, id);
}

/** The model.yaml in `directory`, or without one the model of this id that we know. */
async function describedIn(directory: string, { dataDir, id }: AddModelOptions): Promise<Model> {
  if (!(await exists(join(directory, MANIFEST)))) return findModel(dataDir, id);
  const manifest = await readManifest(directory);
  if (manifest.id !== id)
    throw new CodedError('MODEL_MANIFEST_INVALID', `its id is ${manifest.id}, not ${id}`);
  return { manifest, directory, origin: 'added' };
}

interface Source {
  readonly chunks: AsyncIterable<Uint8Array>;
  readonly totalBytes: number | null;
}

async function openSource(
  file: ManifestFile,
  path: string | undefined,
  signal?: AbortSignal,
): Promise<Source> {
  if (path !== undefined) {
    const { size } = await stat(path).catch((error: unknown) => {
      throw new CodedError('MODEL_FILE_MISSING', (error as Error).message, { cause: error });
    });
    return { chunks: createReadStream(path), totalBytes: size };
  }
  if (file.url === undefined)
    throw new CodedError('MODEL_FILE_MISSING', `${file.path} has no address to fetch it from`);
  // A server that falls silent is given up by fetch itself, after five minutes.
  const response = await fetch(file.url, signal ? { signal } : {}).catch((error: unknown) => {
    signal?.throwIfAborted();
    const { cause, message } = error as Error;
    throw downloadFailed(cause instanceof Error ? cause.message : message, error);
  });
  const { ok, status, body, headers } = response;
  if (!ok || !body) {
    await body?.cancel();
    throw downloadFailed(`${file.url} answers ${status}`);
  }
  const length = headers.get('content-length');
  return { chunks: body as ReadableStream<Uint8Array>, totalBytes: length === null ? null : Number(length) };
}

/** Writes, hashes and syncs in one pass. */
async function store(
  file: ManifestFile,
  { chunks, totalBytes }: Source,
  target: string,
  { onProgress, signal }: AddModelOptions,
): Promise<void> {
  const hash = createHash('sha256');
  let doneBytes = 0;
  await using handle = await open(target, 'wx');
  try {
    for await (const chunk of chunks) {
      signal?.throwIfAborted();
      doneBytes += chunk.byteLength;
      if (doneBytes > MAX_FILE_BYTES) throw new CodedError('MODEL_CORRUPT', `${file.path} does not end`);
      hash.update(chunk);
      await handle.writeFile(chunk);
      onProgress?.({ file: file.path, doneBytes, totalBytes });
    }
  } catch (error) {
    signal?.throwIfAborted();
    throw error instanceof CodedError ? error : downloadFailed((error as Error).message, error);
  }
  if (hash.digest('hex') !== file.sha256) throw new CodedError('MODEL_CORRUPT', basename(file.path));
  await handle.sync();
}

async function copyDescription({ manifest: { labels }, directory }: Model, target: string): Promise<void> {
  const names = [MANIFEST, ...(typeof labels === 'object' && 'file' in labels ? [labels.file] : [])];
  for (const name of names) {
    const copy = join(target, name);
    await mkdir(dirname(copy), { recursive: true });
    await copyFile(join(directory, name), copy);
    await using handle = await open(copy, 'r+');
    await handle.sync();
  }
  await syncDirectory(target);
}

/** A directory cannot be renamed over another: an older copy steps aside first, under a name nobody reads. */
async function putInPlace(unfinished: string, target: string): Promise<void> {
  const old = `${unfinished}-old`;
  const replaced = await exists(target);
  if (replaced) await rename(target, old);
  await renameDurable(unfinished, target);
  if (replaced) await rm(old, { recursive: true });
}

const downloadFailed = (detail: string, cause?: unknown): CodedError =>
  new CodedError('MODEL_DOWNLOAD_FAILED', detail, { cause });

const isDirectory = async (path: string): Promise<boolean> =>
  (await stat(path).catch(() => null))?.isDirectory() ?? false;

const exists = async (path: string): Promise<boolean> => (await stat(path).catch(() => null)) !== null;
