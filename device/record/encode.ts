import { crc32 } from 'node:zlib';
import type { MediaPacket, StreamInfo } from '../contract/media.ts';
import { CoverageTracker, type CoveredSample } from '../kernel/fmp4/coverage.ts';
import type { Fragment } from './cut.ts';
import {
  fragment,
  paddingBytes,
  SEAL_BYTES,
  sealBox,
  type Run,
  type Sample,
} from '../kernel/fmp4/fragment.ts';
import { initSegment } from '../kernel/fmp4/init-segment.ts';
import type { AccessPoint } from '../kernel/fmp4/random-access.ts';
import { decodeUtcMs } from './ring.ts';

/**
 * What a footage file holds so far, as far as what follows depends on it.
 *
 * Time of the file: the first picture is decoded at 0 and shown at `leadTicks`, which the edit list makes the
 * start of the movie. A later generation begins as much later as the wall clock says, so an outage is a hole
 * as long as it was. Audio keeps its distance to the pictures of its generation.
 */
export interface FileState {
  readonly stream: StreamInfo;
  /** When the first picture was shown. */
  readonly startUtcMs: number;
  readonly leadTicks: number;
  readonly fragments: number;
  /** By generation: what is added to its times, in ticks of each track. */
  readonly shifts: ReadonlyMap<number, { readonly video: number; readonly audio: number }>;
  /** Ends of decoding and of showing, and start of the last audio sample, in ticks. */
  readonly decodedTicks: number;
  readonly shownTicks: number;
  readonly lastAudioTicks: number;
  readonly coverage: CoverageTracker;
  readonly accessPoints: readonly AccessPoint[];
  /** CRC-32 of what stands behind the last seal. */
  readonly unsealedChecksum: number;
}

/** A new file that begins with the key frame `first`, and the bytes it begins with. */
export function beginFile(stream: StreamInfo, first: MediaPacket): { state: FileState; head: Uint8Array } {
  const leadTicks = Math.max(0, first.pts - first.dts);
  const { video, audio } = stream;
  const head = initSegment({ video, audio, startUtcMs: first.utcMs, leadTicks, frameTicks: first.duration });
  const state: FileState = {
    stream,
    startUtcMs: first.utcMs,
    leadTicks,
    fragments: 0,
    shifts: new Map(),
    decodedTicks: 0,
    shownTicks: leadTicks,
    lastAudioTicks: -1,
    coverage: new CoverageTracker(),
    accessPoints: [],
    unsealedChecksum: 0,
  };
  return { state, head };
}

export const durationMs = ({ shownTicks, leadTicks, stream }: FileState): number =>
  Math.round(((shownTicks - leadTicks) / stream.video.timescale) * 1000);

export const coveredSample = (packet: MediaPacket, timescale: number): CoveredSample => ({
  generation: packet.generation,
  decodeUtcMs: decodeUtcMs(packet, timescale),
  startUtcMs: packet.utcMs,
  durationMs: (packet.duration / timescale) * 1000,
});

/**
 * A batch: the bytes of `boxes` and of `fragments` behind them, when they are put at `positionBytes`, up to the
 * end of a page, and the state afterwards. Packets' data is passed on, not copied; `state` stays as it was, so
 * that a failed write can be planned anew.
 */
export function encodeBatch(
  state: FileState,
  boxes: readonly Uint8Array[],
  fragments: readonly Fragment[],
  positionBytes: number,
): { state: FileState; chunks: readonly Uint8Array[] } {
  const next = {
    ...state,
    shifts: new Map(state.shifts),
    coverage: state.coverage.fork(),
    accessPoints: [...state.accessPoints],
  };
  const chunks: Uint8Array[] = [];
  let endBytes = positionBytes;
  const put = (chunk: Uint8Array): void => {
    chunks.push(chunk);
    endBytes += chunk.byteLength;
    next.unsealedChecksum = crc32(chunk, next.unsealedChecksum);
  };
  boxes.forEach(put);
  for (const [earlierInBatch, packets] of fragments.entries()) {
    const video = videoRun(next, packets);
    const audio = audioRun(next, packets);
    const [first] = video.samples;
    const timeTicks = video.startTicks + (first?.offsetTicks ?? 0);
    if (first?.key) next.accessPoints.push({ timeTicks, moofBytes: endBytes });
    fragment(++next.fragments, video, audio).forEach(put);
    const isLast = earlierInBatch === fragments.length - 1;
    const padding = isLast ? paddingBytes(endBytes + SEAL_BYTES) : 0;
    put(sealBox(earlierInBatch, next.unsealedChecksum, padding));
    next.unsealedChecksum = 0;
  }
  return { state: next, chunks };
}

type Writable<T> = { -readonly [K in keyof T]: T[K] };
type NextState = Writable<FileState> & { shifts: Map<number, { video: number; audio: number }> };

function videoRun(state: NextState, { stream, video, following }: Fragment): Run {
  const [first] = video;
  if (!first) return { startTicks: 0, samples: [] };
  const shift = shiftOf(state, stream, first);
  const { timescale } = stream.video;
  const samples = video.map((packet, i): Sample => {
    const next = video[i + 1] ?? following;
    const durationTicks = next ? Math.max(0, next.dts - packet.dts) : packet.duration;
    state.decodedTicks = packet.dts + shift.video + durationTicks;
    state.shownTicks = Math.max(state.shownTicks, packet.pts + shift.video + packet.duration);
    state.coverage.add(coveredSample(packet, timescale));
    return { durationTicks, offsetTicks: packet.pts - packet.dts, key: packet.key, data: packet.data };
  });
  return { startTicks: first.dts + shift.video, samples };
}

function audioRun(state: NextState, { audio }: Fragment): Run {
  const timed: { startTicks: number; packet: MediaPacket }[] = [];
  for (const packet of audio) {
    const shift = state.shifts.get(packet.generation);
    const startTicks = packet.pts + (shift?.audio ?? NaN);
    // Sound from before the first picture, or from a generation that began before the last one's sound ended.
    if (!(startTicks > state.lastAudioTicks)) continue;
    state.lastAudioTicks = startTicks;
    timed.push({ startTicks, packet });
  }
  const samples = timed.map(({ startTicks, packet }, i): Sample => {
    const next = timed[i + 1];
    const durationTicks = next ? next.startTicks - startTicks : packet.duration;
    return { durationTicks, offsetTicks: 0, key: true, data: packet.data };
  });
  return { startTicks: timed[0]?.startTicks ?? 0, samples };
}

/** `first` is the first packet that the file gets of its generation: a key frame. */
function shiftOf(state: NextState, stream: StreamInfo, first: MediaPacket): { video: number; audio: number } {
  const known = state.shifts.get(first.generation);
  if (known) return known;
  const { video, audio } = stream;
  const sinceStartTicks = Math.round(((first.utcMs - state.startUtcMs) / 1000) * video.timescale);
  // Decoding never goes back, even when the clocks of two generations disagree.
  const decodeTicks = Math.max(
    state.decodedTicks,
    state.leadTicks + sinceStartTicks - (first.pts - first.dts),
    0,
  );
  const shift = decodeTicks - first.dts;
  const movieSeconds = (first.pts + shift - state.leadTicks) / video.timescale;
  const made = {
    video: shift,
    audio: audio ? Math.round((movieSeconds - first.pts / video.timescale) * audio.timescale) : 0,
  };
  state.shifts.set(first.generation, made);
  return made;
}
