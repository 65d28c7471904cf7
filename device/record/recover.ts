import { createHash } from 'node:crypto';
import { createReadStream, existsSync } from 'node:fs';
import { open, readdir } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { ClipReadyFact, FootageKind, SegmentReadyFact } from '../contract/facts.ts';
import type { Clock } from '../kernel/clock.ts';
import { renameDurable } from '../kernel/durable-file.ts';
import { coverageOf, durationMsOf, openClipsOf, readerOf } from '../kernel/fmp4/describe.ts';
import type { FootageNote } from '../kernel/fmp4/note.ts';
import { scanFile, untorn, type ScannedFile } from '../kernel/fmp4/scan.ts';
import type { Log } from '../kernel/log.ts';
import { cameraFolder, isOfRun, PART_SUFFIX } from './footage-path.ts';
import { expectMedia, type MediaPlace } from './media-guard.ts';

export interface RecoverOptions extends MediaPlace {
  readonly cameraId: string;
  /** Of the process that records now: its files are not touched. */
  readonly run: string;
  readonly clock: Clock;
  readonly log: Log;
  emit(fact: ClipReadyFact | SegmentReadyFact): void;
}

const KINDS: readonly FootageKind[] = ['clip', 'segment'];
const MEDIA_POLL_MS = 5000;

/**
 * Completes files whose writer died: cut to whole fragments, made durable, renamed, told. Works beside a
 * recorder of the same camera; waits for the disk when it is not there. A file without a whole fragment is
 * set aside under another name (`.broken`), one that cannot be handled now stays for the next time; nothing
 * is deleted.
 */
export async function recoverFootage(options: RecoverOptions, signal: AbortSignal): Promise<void> {
  await untilMedia(options, signal);
  for (const kind of KINDS) {
    for await (const path of unfinished(kind, options)) {
      if (signal.aborted) return;
      await complete(path, options);
    }
  }
}

async function untilMedia(options: RecoverOptions, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    try {
      return await expectMedia(options);
    } catch {
      // Told by whoever wants to write.
      await options.clock.sleep(MEDIA_POLL_MS, signal).catch(() => {});
    }
  }
}

/** Files that another process left unfinished, oldest first, a day at a time. */
async function* unfinished(
  kind: FootageKind,
  { cameraId, dataDir, log, run }: RecoverOptions,
): AsyncGenerator<string> {
  const folder = join(dataDir, cameraFolder(kind, cameraId));
  const names = async (path: string): Promise<readonly string[]> =>
    (
      await readdir(path).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== 'ENOENT' && error.code !== 'ENOTDIR') {
          log.error({ err: error, path }, 'footage cannot be looked through');
        }
        return [];
      })
    ).toSorted((a, b) => (a < b ? -1 : 1));
  for (const day of await names(folder)) {
    for (const name of await names(join(folder, day))) {
      if (!name.endsWith(PART_SUFFIX) || isOfRun(name.slice(0, -PART_SUFFIX.length), run)) continue;
      yield join(folder, day, name);
    }
  }
}

async function complete(path: string, options: RecoverOptions): Promise<void> {
  const { log } = options;
  try {
    const facts = await recoverFile(path, options);
    for (const fact of facts) options.emit(fact);
    if (facts.length === 0) log.warn({ path }, 'a file that holds nothing playable was set aside');
  } catch (error) {
    log.error({ err: error, path }, 'an unfinished file cannot be completed now');
  }
}

async function recoverFile(
  path: string,
  { cameraId, dataDir }: RecoverOptions,
): Promise<readonly (ClipReadyFact | SegmentReadyFact)[]> {
  const whole = await cutToWhole(path);
  if (!whole) {
    await renameDurable(path, `${path}.broken`);
    return [];
  }
  const { note, sizeBytes, file } = whole;
  const sha256 = await hashFile(path);
  const readyPath = `${path.slice(0, -PART_SUFFIX.length)}.mp4`;
  if (existsSync(readyPath)) throw new Error(`${readyPath} is there already and would be lost`);
  await renameDurable(path, readyPath);
  const state = {
    cameraId,
    path: relative(dataDir, readyPath),
    startUtcMs: Math.round(note.startUtcMs),
    durationMs: durationMsOf(file),
    sizeBytes,
  };
  const told = { sha256, coverage: coverageOf(file, note.startUtcMs), recovered: true };
  return note.kind === 'clip'
    ? [{ type: 'clip.ready', clip: { ...state, clipId: note.id, eventIds: note.eventIds }, ...told }]
    : [
        { type: 'segment.ready', segment: { ...state, segmentId: note.id }, ...told },
        ...openClipsOf(note, told.coverage),
      ];
}

interface WholeFile {
  /** Only its whole fragments. */
  readonly file: ScannedFile;
  readonly note: FootageNote;
  readonly sizeBytes: number;
}

/** Null, and the file untouched, when nothing in it is whole. */
async function cutToWhole(path: string): Promise<WholeFile | null> {
  await using handle = await open(path, 'r+');
  const { size: fileBytes } = await handle.stat();
  const read = readerOf(handle);
  const scanned = await scanFile(read, fileBytes);
  if (!scanned) return null;
  const fragments = await untorn(read, scanned.fragments);
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
