import { createHash } from 'node:crypto';
import { open, rm } from 'node:fs/promises';
import { parse } from 'node:path';
import { CodedError } from '../contract/errors.ts';
import type { Coverage } from '../contract/facts.ts';
import { renameDurable } from '../kernel/durable-file.ts';
import { sameTracks } from '../kernel/fmp4/stored.ts';
import { movieHead, planMovie, type PlannedMovie } from './export-movie.ts';
import { exportNoteBox } from './export-note.ts';
import { planPieces, type Piece } from './export-plan.ts';
import { samplesOf, shownUtcMs } from './export-samples.ts';
import { survey, type FootageSource, type Surveyed } from './export-survey.ts';

export interface CutRequest {
  readonly cameraId: string;
  /** Those that may show something of the range. */
  readonly sources: readonly FootageSource[];
  /** Whole milliseconds. */
  readonly fromUtcMs: number;
  readonly toUtcMs: number;
  readonly signal?: AbortSignal | undefined;
}

/** Footage whose bytes are not those that were written. */
export interface Damage extends Coverage {
  readonly sourceId: string;
}

export interface PlannedCut {
  readonly movies: readonly { readonly movie: PlannedMovie; readonly note: Uint8Array }[];
  readonly coverage: readonly Coverage[];
  /** Stretches of the range without footage. */
  readonly gaps: readonly Coverage[];
  readonly dataBytes: number;
}

/** Shorter ones are how cameras are. */
const MIN_GAP_MS = 200;

/**
 * How to show the range; reads headers only. More than one movie where the camera's picture changed (codec,
 * size): players do not follow such a change inside of one. Rejects FOOTAGE_NOT_FOUND when there is none.
 */
export async function planCut(request: CutRequest): Promise<PlannedCut> {
  const { cameraId, fromUtcMs, toUtcMs, signal } = request;
  const surveyed = await surveyAll(request.sources, signal);
  const runs = byTracks(planPieces(surveyed, fromUtcMs, toUtcMs));
  const movies: PlannedCut['movies'][number][] = [];
  for (const [i, pieces] of runs.entries()) {
    const range = {
      fromUtcMs: i === 0 ? fromUtcMs : pieces[0]!.fromUtcMs,
      toUtcMs: pieces.at(-1)!.untilUtcMs,
    };
    const movie = await planMovie(pieces, range.fromUtcMs, { signal });
    if (!movie) continue;
    const sources = pieces.map(({ source: { source } }) => source);
    const { endUtcMs } = movie;
    const startUtcMs = Math.round(movie.startUtcMs);
    movies.push({ movie, note: exportNoteBox({ cameraId, ...range, startUtcMs, endUtcMs, sources }) });
  }
  const coverage = movies.flatMap(({ movie }) => movie.coverage);
  if (coverage.length === 0) throw new CodedError('FOOTAGE_NOT_FOUND');
  return {
    ...{ movies, coverage },
    gaps: gapsIn(coverage, fromUtcMs, toUtcMs),
    dataBytes: movies.reduce((sum, { movie }) => sum + movie.dataBytes, 0),
  };
}

/** Those that are there and show something; in an order that depends on nothing but themselves. */
export async function surveyAll(
  sources: readonly FootageSource[],
  signal?: AbortSignal,
): Promise<readonly Surveyed[]> {
  const surveyed: Surveyed[] = [];
  for (const source of sources.toSorted((a, b) => (a.id < b.id ? -1 : 1))) {
    signal?.throwIfAborted();
    const file = await survey(source);
    if (file) surveyed.push(file);
  }
  return surveyed;
}

/** Runs of pieces that can go into one file. */
export function byTracks(pieces: readonly Piece<Surveyed>[]): readonly (readonly Piece<Surveyed>[])[] {
  const runs: Piece<Surveyed>[][] = [];
  for (const piece of pieces) {
    const run = runs.at(-1);
    if (run && sameTracks(run[0]!.source.tracks, piece.source.tracks)) run.push(piece);
    else runs.push([piece]);
  }
  return runs;
}

function gapsIn(coverage: readonly Coverage[], fromUtcMs: number, toUtcMs: number): readonly Coverage[] {
  const edges = [
    fromUtcMs,
    ...coverage.flatMap(({ startUtcMs, endUtcMs }) => [startUtcMs, endUtcMs]),
    toUtcMs,
  ];
  const gaps: Coverage[] = [];
  for (let i = 0; i < edges.length; i += 2) {
    const gap = { startUtcMs: Math.round(edges[i]!), endUtcMs: Math.round(edges[i + 1]!) };
    if (gap.endUtcMs - gap.startUtcMs >= MIN_GAP_MS) gaps.push(gap);
  }
  return gaps;
}

export interface MovieOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onDamage?: (damage: Damage) => void;
}

export interface MovieChunk {
  readonly bytes: Uint8Array;
  /** When what it holds is shown; null for the head of the file. */
  readonly utcMs: number | null;
}

/** The file, a fragment of the footage at a time; the same whenever the sources are. */
export async function* movieChunks(
  { movie, note }: PlannedCut['movies'][number],
  { signal, onDamage }: MovieOptions,
): AsyncGenerator<MovieChunk> {
  yield { bytes: movieHead(movie, note), utcMs: null };
  const read = samplesOf(movie.cut, {
    ...{ withData: true, signal },
    onDamage({ source }, no) {
      const { startUtcMs, endUtcMs } = source.fragments[no]!;
      onDamage?.({ sourceId: source.source.id, startUtcMs, endUtcMs });
    },
  });
  let utcMs = movie.startUtcMs;
  for await (const { video, audio } of read) {
    if (video[0]) utcMs = Math.max(utcMs, shownUtcMs(movie.cut, video[0].shownTicks));
    yield { bytes: Buffer.concat([...video, ...audio].map(({ data }) => data)), utcMs };
  }
}

export interface CutFile {
  readonly path: string;
  readonly startUtcMs: number;
  readonly endUtcMs: number;
  readonly sizeBytes: number;
  readonly sha256: string;
  readonly pictures: number;
}

export interface WriteOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: (doneBytes: number) => void;
}

/** Writes the movies to `path` and, where there are several, `NAME.2.mp4` … beside it. Durable once it resolves. */
export async function writeCut(
  cut: PlannedCut,
  path: string,
  { signal, onProgress }: WriteOptions = {},
): Promise<{ files: readonly CutFile[]; damaged: readonly Damage[] }> {
  const files: CutFile[] = [];
  const damaged: Damage[] = [];
  let doneBytes = 0;
  for (const [i, planned] of cut.movies.entries()) {
    const { movie } = planned;
    const chunks = movieChunks(planned, { signal, onDamage: (damage) => damaged.push(damage) });
    const at = partName(path, i + 1);
    const written = await writeDurable(at, bytesOf(chunks), {
      onBytes: (bytes) => onProgress?.((doneBytes += bytes)),
    });
    const { endUtcMs, pictures } = movie;
    files.push({ path: at, startUtcMs: Math.round(movie.startUtcMs), endUtcMs, pictures, ...written });
  }
  return { files, damaged };
}

async function* bytesOf(chunks: AsyncIterable<MovieChunk>): AsyncGenerator<Uint8Array> {
  for await (const { bytes } of chunks) yield bytes;
}

function partName(path: string, part: number): string {
  if (part === 1) return path;
  const { dir, name, ext } = parse(path);
  return `${dir === '' ? '' : `${dir}/`}${name}.${part}${ext}`;
}

interface DurableOptions {
  readonly onBytes?: (bytes: number) => void;
  /** Throws when a file with this hash must not be there. */
  readonly accept?: (sha256: string) => void;
}

/** Under its name only when it is whole and durable. */
export async function writeDurable(
  path: string,
  chunks: AsyncIterable<Uint8Array>,
  { onBytes, accept }: DurableOptions = {},
): Promise<{ sizeBytes: number; sha256: string }> {
  const temporary = `${path}.tmp`;
  const hash = createHash('sha256');
  let sizeBytes = 0;
  try {
    {
      await using file = await open(temporary, 'w');
      for await (const chunk of chunks) {
        hash.update(chunk);
        for (let at = 0; at < chunk.byteLength;) at += (await file.write(chunk, at)).bytesWritten;
        sizeBytes += chunk.byteLength;
        onBytes?.(chunk.byteLength);
      }
      await file.sync();
    }
    const sha256 = hash.digest('hex');
    accept?.(sha256);
    await renameDurable(temporary, path);
    return { sizeBytes, sha256 };
  } catch (error) {
    await rm(temporary, { force: true });
    throw isDiskError(error) ? CodedError.from(error, 'DISK_WRITE_FAILED') : error;
  }
}

const isDiskError = (error: unknown): boolean =>
  error instanceof Error && 'syscall' in error && error.syscall !== 'read';
