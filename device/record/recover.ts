import { createHash } from 'node:crypto';
import { createReadStream, existsSync } from 'node:fs';
import { open, readdir } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { ClipReadyFact, FootageKind, SegmentReadyFact } from '../contract/facts.ts';
import type { Clock } from '../kernel/clock.ts';
import { renameDurable } from '../kernel/durable-file.ts';
import { coverageOf, durationMsOf, clipsOver, readerOf } from '../kernel/fmp4/describe.ts';
import type { FootageNote } from '../kernel/fmp4/note.ts';
import { scanFile, untorn, type ScannedFile } from '../kernel/fmp4/scan.ts';
import type { Log } from '../kernel/log.ts';
import { cameraFolder, PART_SUFFIX, READY_SUFFIX, runOf } from './footage-path.ts';
import { expectMedia, type MediaPlace } from './media-guard.ts';

export interface RecoverOptions extends MediaPlace {
  readonly cameraId: string;
  /** Of the process that records now: its files are not touched. */
  readonly run: string;
  readonly clock: Clock;
  readonly log: Log;
  emit(fact: ClipReadyFact | SegmentReadyFact): void;
}

const MEDIA_POLL_MS = 5000;

/**
 * Completes files whose writer died: cut to whole fragments, made durable, renamed, told; then the clips that ranged
 * over segments at that moment. Works beside a recorder of the same camera; waits for the disk when it is not there.
 * A file without a whole fragment is set aside under another name (`.broken`), one that cannot be handled now stays
 * for the next time; nothing is deleted.
 */
export async function recoverFootage(options: RecoverOptions, signal: AbortSignal): Promise<void> {
  await untilMedia(options, signal);
  for await (const { path, isUnfinished } of earlierFiles('clip', options)) {
    if (signal.aborted) return;
    const recovered = isUnfinished && (await complete(path, options));
    if (recovered) options.emit(recovered.fact);
  }
  const unfinished: string[] = [];
  let finishedPath = '';
  for await (const { path, isUnfinished } of earlierFiles('segment', options)) {
    if (signal.aborted) return;
    if (isUnfinished) unfinished.push(path);
    else finishedPath = path;
  }
  const segments: Recovered[] = [];
  for (const path of unfinished) {
    if (signal.aborted) break;
    const recovered = await complete(path, options);
    if (recovered) segments.push(recovered);
  }
  tellSegments(segments, options);
  // The newest of all: its writer may have died when the next file held nothing yet.
  if (finishedPath > (segments.at(-1)?.path ?? '')) await tellClipsOver(finishedPath, options);
}

/** Clips before their segment: whoever knows a segment does not look into it again. */
function tellSegments(segments: readonly Recovered[], options: RecoverOptions): void {
  for (const [i, { fact, note }] of segments.entries()) {
    // What goes on in a later one is told by that.
    const later = new Set(
      segments.slice(i + 1).flatMap(({ note }) => note.clips.map(({ clipId }) => clipId)),
    );
    const clips = note.clips.filter(({ clipId }) => !later.has(clipId));
    for (const clip of clipsOver({ ...note, clips }, fact.coverage)) options.emit(clip);
    options.emit(fact);
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

interface EarlierFile {
  readonly path: string;
  readonly isUnfinished: boolean;
}

/** Files of other runs, oldest first, a day at a time. */
async function* earlierFiles(
  kind: FootageKind,
  { cameraId, dataDir, log, run }: RecoverOptions,
): AsyncGenerator<EarlierFile> {
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
      const isUnfinished = name.endsWith(PART_SUFFIX);
      if (!isUnfinished && !name.endsWith(READY_SUFFIX)) continue;
      const id = name.slice(0, isUnfinished ? -PART_SUFFIX.length : -READY_SUFFIX.length);
      if (runOf(id) !== run) yield { path: join(folder, day, name), isUnfinished };
    }
  }
}

/** null when it holds nothing, or cannot be handled now. */
async function complete(path: string, options: RecoverOptions): Promise<Recovered | null> {
  const { log } = options;
  try {
    const recovered = await recoverFile(path, options);
    if (!recovered) log.warn({ path }, 'a file that holds nothing playable was set aside');
    return recovered;
  } catch (error) {
    log.error({ err: error, path }, 'an unfinished file cannot be completed now');
    return null;
  }
}

async function tellClipsOver(segmentPath: string, options: RecoverOptions): Promise<void> {
  try {
    await using handle = await open(segmentPath, 'r');
    const file = await scanFile(readerOf(handle), (await handle.stat()).size);
    const note = file?.notes.at(-1)?.note;
    if (!note) return;
    for (const clip of clipsOver(note, coverageOf(file, note.startUtcMs))) options.emit(clip);
  } catch (error) {
    options.log.error({ err: error, path: segmentPath }, 'the clips over a segment cannot be read now');
  }
}

interface Recovered {
  /** Where it is now. */
  readonly path: string;
  readonly fact: ClipReadyFact | SegmentReadyFact;
  readonly note: FootageNote;
}

async function recoverFile(path: string, { cameraId, dataDir }: RecoverOptions): Promise<Recovered | null> {
  const whole = await cutToWhole(path);
  if (!whole) {
    await renameDurable(path, `${path}.broken`);
    return null;
  }
  const { note, sizeBytes, file } = whole;
  const sha256 = await hashFile(path);
  const readyPath = readyPathOf(path);
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
  return {
    note,
    path: readyPath,
    fact:
      note.kind === 'clip'
        ? { type: 'clip.ready', clip: { ...state, clipId: note.id, eventIds: note.eventIds }, ...told }
        : { type: 'segment.ready', segment: { ...state, segmentId: note.id }, ...told },
  };
}

const readyPathOf = (partPath: string): string => partPath.slice(0, -PART_SUFFIX.length) + READY_SUFFIX;

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
