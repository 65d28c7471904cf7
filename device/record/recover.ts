import { createHash } from 'node:crypto';
import { createReadStream, existsSync } from 'node:fs';
import { open, readdir } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { ClipReadyFact } from '../contract/facts.ts';
import { renameDurable } from '../kernel/durable-file.ts';
import type { Log } from '../kernel/log.ts';
import { cameraFolder, PART_SUFFIX } from './clip-path.ts';
import { coverageOf, durationMsOf, readerOf } from '../kernel/fmp4/describe.ts';
import type { FootageNote } from '../kernel/fmp4/note.ts';
import { isSealed, scanFile, type ScannedFile } from '../kernel/fmp4/scan.ts';

export interface RecoverOptions {
  readonly cameraId: string;
  readonly dataDir: string;
  readonly log: Log;
  emit(fact: ClipReadyFact): void;
}

/**
 * Completes clips whose writer died: cut to whole fragments, made durable, renamed, told. Must be over
 * before a recorder of the same camera begins. A file without a whole fragment is set aside under another
 * name (`.broken`), one that cannot be handled now stays for the next time; nothing is deleted.
 */
export async function recoverClips(options: RecoverOptions): Promise<void> {
  const { cameraId, dataDir, log } = options;
  const folder = join(dataDir, cameraFolder(cameraId));
  const names = await readdir(folder, { recursive: true }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') log.error({ err: error, folder }, 'clips cannot be looked through');
    return [];
  });
  for (const name of names.filter((name) => name.endsWith(PART_SUFFIX)).toSorted()) {
    const path = join(folder, name);
    try {
      const fact = await recoverClip(path, options);
      if (fact) options.emit(fact);
      else log.warn({ path }, 'a clip that holds nothing playable was set aside');
    } catch (error) {
      log.error({ err: error, path }, 'an unfinished clip cannot be completed now');
    }
  }
}

async function recoverClip(
  path: string,
  { cameraId, dataDir }: RecoverOptions,
): Promise<ClipReadyFact | null> {
  const clip = await cutToWhole(path);
  if (!clip) {
    await renameDurable(path, `${path}.broken`);
    return null;
  }
  const { note, sizeBytes, file } = clip;
  const sha256 = await hashFile(path);
  const readyPath = `${path.slice(0, -PART_SUFFIX.length)}.mp4`;
  if (existsSync(readyPath)) throw new Error(`${readyPath} is there already and would be lost`);
  await renameDurable(path, readyPath);
  return {
    type: 'clip.ready',
    clip: {
      clipId: note.id,
      cameraId,
      eventIds: note.eventIds,
      path: relative(dataDir, readyPath),
      startUtcMs: Math.round(note.startUtcMs),
      durationMs: durationMsOf(file),
      sizeBytes,
    },
    sha256,
    coverage: coverageOf(file, note.startUtcMs),
    recovered: true,
  };
}

interface WholeClip {
  /** Only its whole fragments. */
  readonly file: ScannedFile;
  readonly note: FootageNote;
  readonly sizeBytes: number;
}

/** Null, and the file untouched, when nothing in it is whole. */
async function cutToWhole(path: string): Promise<WholeClip | null> {
  await using handle = await open(path, 'r+');
  const { size: fileBytes } = await handle.stat();
  const read = readerOf(handle);
  const scanned = await scanFile(read, fileBytes);
  if (!scanned) return null;
  const fragments = [...scanned.fragments];
  // From the end: damage further inside is no torn write, and cutting there would cost good footage.
  while (fragments.length > 0 && !(await isSealed(read, fragments.at(-1)!))) fragments.pop();
  const isCut = fragments.length < scanned.fragments.length;
  const sizeBytes = isCut ? (fragments.at(-1)?.endBytes ?? 0) : scanned.wholeBytes;
  const note = scanned.notes.findLast(({ endBytes }) => endBytes <= sizeBytes)?.note;
  if (!note || fragments.length === 0) return null;
  if (sizeBytes < fileBytes) await handle.truncate(sizeBytes);
  await handle.sync();
  return { file: { ...scanned, fragments }, note, sizeBytes };
}

async function hashFile(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
}
