import type { Coverage } from '../contract/facts.ts';
import { BoxWriter } from '../kernel/fmp4/boxes.ts';
import { CoverageTracker } from '../kernel/fmp4/coverage.ts';
import { AUDIO_TRACK_ID, VIDEO_TRACK_ID } from '../kernel/fmp4/init-segment.ts';
import { writeMovieHeader, writeTrack, type Edit, type Movie } from '../kernel/fmp4/movie.ts';
import type { StoredTrack } from '../kernel/fmp4/stored.ts';
import type { Piece } from './export-plan.ts';
import {
  beginCut,
  samplesOf,
  shownUtcMs,
  type Cut,
  type CutSample,
  type ReadOptions,
} from './export-samples.ts';
import type { Surveyed } from './export-survey.ts';
import { SampleTables } from './export-tables.ts';

/**
 * A movie of exactly one stretch of time, from pieces of the same tracks: its samples begin at the key frame
 * before, its edit list shows from the first to the last tick of the stretch. All sample tables stand in front
 * (a "progressive" file), because players honour an edit list only there; see design/exports.md.
 */
export interface PlannedMovie {
  readonly cut: Cut;
  /** What it shows. */
  readonly startUtcMs: number;
  readonly endUtcMs: number;
  readonly coverage: readonly Coverage[];
  readonly pictures: number;
  readonly video: SampleTables;
  readonly audio: SampleTables;
  readonly dataBytes: number;
  /** In ticks of the cut. */
  readonly startTicks: number;
  readonly endTicks: number;
  /** Shown before the stretch begins and still on the screen then: shown from its first tick on. */
  readonly onScreenTicks: number | null;
}

/** Reads the headers of all fragments of the stretch; null when nothing is to be seen in it. */
export async function planMovie(
  pieces: readonly Piece<Surveyed>[],
  fromUtcMs: number,
  options: Omit<ReadOptions, 'withData' | 'onPicture'>,
): Promise<PlannedMovie | null> {
  const cut = beginCut(pieces, fromUtcMs);
  const { untilUtcMs } = pieces.at(-1)!;
  const { timescale } = pieces[0]!.source.tracks.video;
  const ticksAt = (utcMs: number): number =>
    Math.round(((utcMs - cut.originUtcMs) / 1000) * timescale) + cut.leadTicks;
  const utcMsAt = (ticks: number): number => shownUtcMs(cut, ticks);

  const { startTicks, onScreenTicks } = await findStart(cut, ticksAt(fromUtcMs), options.signal);
  const startUtcMs = onScreenTicks === null ? utcMsAt(startTicks) : Math.max(fromUtcMs, cut.originUtcMs);
  const tracker = new CoverageTracker();
  const video = new SampleTables();
  const audio = new SampleTables();
  let dataBytes = 0;
  let pictures = 0;
  const read = samplesOf(cut, {
    ...options,
    withData: false,
    onPicture({ decodeTicks, shownTicks }, { source }) {
      tracker.add({
        generation: 0,
        decodeUtcMs: utcMsAt(decodeTicks),
        startUtcMs: utcMsAt(shownTicks),
        durationMs: (source.timing.frameTicks / timescale) * 1000,
      });
    },
  });
  const untilTicks = ticksAt(untilUtcMs);
  for await (const samples of read) {
    const shown = samples.video.map((sample) =>
      sample.shownTicks === onScreenTicks ? { ...sample, shownTicks: startTicks } : sample,
    );
    pictures += shown.filter(({ shownTicks }) => shownTicks >= startTicks && shownTicks < untilTicks).length;
    for (const [table, chunk] of [
      [video, shown],
      [audio, samples.audio],
    ] as const) {
      table.addChunk(chunk, dataBytes);
      dataBytes += byteLength(chunk);
    }
  }
  video.end();
  audio.end();
  const coverage = within(tracker.ranges, startUtcMs, untilUtcMs);
  const endUtcMs = coverage.at(-1)?.endUtcMs;
  if (pictures === 0 || endUtcMs === undefined) return null;
  const endTicks = ticksAt(endUtcMs);
  return {
    ...{ cut, startUtcMs, endUtcMs, coverage, pictures, video, audio, dataBytes },
    ...{ startTicks, endTicks, onScreenTicks },
  };
}

/** Where showing begins: at `fromTicks` if a picture is on the screen then, else with the next one. */
async function findStart(
  cut: Cut,
  fromTicks: number,
  signal: AbortSignal | undefined,
): Promise<{ startTicks: number; onScreenTicks: number | null }> {
  let before: CutSample | null = null;
  let after: CutSample | null = null;
  let keyTicks = -Infinity;
  for await (const { video } of samplesOf(cut, { withData: false, signal })) {
    if (keyTicks === -Infinity && video[0]) keyTicks = video[0].shownTicks;
    for (const sample of video) {
      // Shown before the first key frame: what it was made from is not there.
      if (sample.shownTicks < keyTicks) continue;
      const isBefore = sample.shownTicks <= fromTicks;
      if (isBefore && !(before && before.shownTicks > sample.shownTicks)) before = sample;
      if (!isBefore && !(after && after.shownTicks < sample.shownTicks)) after = sample;
    }
    if (after && (video.at(-1)?.decodeTicks ?? 0) > after.shownTicks) break;
  }
  if (before && before.shownTicks + before.durationTicks > fromTicks) {
    return { startTicks: fromTicks, onScreenTicks: before.shownTicks };
  }
  return { startTicks: after?.shownTicks ?? fromTicks, onScreenTicks: null };
}

/** All boxes but the data: `note` stands before it. */
export function movieHead(movie: PlannedMovie, note: Uint8Array): Uint8Array {
  const bytes = writeHead(movie, note, 0);
  return writeHead(movie, note, bytes.byteLength);
}

const MAX_32_BITS = 2 ** 32 - 1;

function writeHead(planned: PlannedMovie, note: Uint8Array, dataAtBytes: number): Uint8Array {
  const { video, audio, dataBytes, startTicks, endTicks, cut } = planned;
  const { tracks } = cut.pieces[0]!.source;
  const { timescale } = tracks.video;
  const isLarge = dataBytes + 2 ** 28 > MAX_32_BITS;
  const out = new BoxWriter();
  // The time of the movie is that of its pictures, so that nothing is rounded.
  const movie: Movie = {
    startUtcMs: planned.startUtcMs,
    timescale,
    durationTicks: endTicks - startTicks,
    nextTrackId: AUDIO_TRACK_ID + 1,
  };
  const track = (id: number, stored: StoredTrack, tables: SampleTables, edits: readonly Edit[]): void =>
    writeTrack(
      out,
      {
        ...{ id, edits, durationTicks: tables.durationTicks, timescale: stored.timescale },
        ...{ width: stored.width, height: stored.height },
        handler: id === VIDEO_TRACK_ID ? 'vide' : 'soun',
        sampleEntry: () => stored.sampleEntry(out),
        sampleTables: () => tables.write(out, dataAtBytes, isLarge),
      },
      movie,
    );
  out.box('ftyp', () => out.text('isom').u32(512).text('isomiso2mp41'));
  out.box('moov', () => {
    writeMovieHeader(out, movie);
    track(VIDEO_TRACK_ID, tracks.video, video, [
      { durationTicks: endTicks - startTicks, mediaTicks: startTicks - video.startTicks },
    ]);
    if (tracks.audio && !audio.isEmpty) {
      track(AUDIO_TRACK_ID, tracks.audio, audio, audioEdits(planned, tracks.audio.timescale));
    }
  });
  out.bytes(note);
  if (isLarge)
    out
      .u32(1)
      .text('mdat')
      .u64(dataBytes + 16);
  else out.u32(dataBytes + 8).text('mdat');
  return out.finish();
}

/** Sound is heard at its time, also when it begins later than the pictures or ends before them. */
function audioEdits(planned: PlannedMovie, audioScale: number): readonly Edit[] {
  const { audio, cut, startTicks, endTicks } = planned;
  const { timescale } = cut.pieces[0]!.source.tracks.video;
  const toAudio = (ticks: number): number => Math.round(((ticks - cut.leadTicks) / timescale) * audioScale);
  const toMovie = (ticks: number): number => Math.round((ticks / audioScale) * timescale);
  const fromTicks = toAudio(startTicks);
  const lateTicks = Math.max(0, audio.startTicks - fromTicks);
  const heardTicks =
    Math.min(toAudio(endTicks), audio.startTicks + audio.durationTicks) - fromTicks - lateTicks;
  const heard: Edit = {
    durationTicks: toMovie(Math.max(0, heardTicks)),
    mediaTicks: Math.max(0, fromTicks - audio.startTicks),
  };
  return lateTicks > 0 ? [{ durationTicks: toMovie(lateTicks), mediaTicks: null }, heard] : [heard];
}

const byteLength = (samples: readonly CutSample[]): number =>
  samples.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);

/** What of `ranges` lies within the stretch. */
export const within = (
  ranges: readonly Coverage[],
  fromUtcMs: number,
  toUtcMs: number,
): readonly Coverage[] =>
  ranges
    .map(({ startUtcMs, endUtcMs }) => ({
      startUtcMs: Math.max(startUtcMs, fromUtcMs),
      endUtcMs: Math.min(endUtcMs, toUtcMs),
    }))
    .filter(({ startUtcMs, endUtcMs }) => endUtcMs > startUtcMs);
