import type { MediaPacket, StreamInfo } from '../contract/media.ts';
import { decodeUtcMs, isBefore, sameTracks, type Gop } from './ring.ts';
import type { Rotation } from './rotation.ts';

/** The packet `index` of GOP number `gop`, or, when that GOP is gone, the first packet kept after it. */
interface Position {
  readonly gop: number;
  readonly index: number;
}

/** What comes next, per track. */
export interface Cursor {
  readonly video: Position;
  readonly audio: Position;
}

/** What becomes one `moof` + `mdat`. All of one generation, except audio that came late. */
export interface Fragment {
  readonly stream: StreamInfo;
  readonly video: readonly MediaPacket[];
  /** The picture right after the last of `video`, when it is known and none is missing in between. */
  readonly following: MediaPacket | null;
  readonly audio: readonly MediaPacket[];
}

export interface CutOptions {
  /** The file that is being written; null when the next picture begins one. */
  readonly file: { readonly stream: StreamInfo; readonly startUtcMs: number } | null;
  readonly rotation: Rotation;
  /** Nothing that is decoded at or after this belongs to the take… */
  readonly endUtcMs: number | null;
  /** …except the rest of a GOP that has begun before. */
  readonly wholeGops: boolean;
  /** Enough for one batch; at least one fragment is cut. */
  readonly maxBytes: number;
  /** No packet that matters will come any more. */
  readonly isLast: boolean;
}

export interface Cut {
  readonly fragments: readonly Fragment[];
  /** After `fragments`. */
  readonly cursor: Cursor;
  /** `take`: and with it the file. `file`: the take goes on in a new one. */
  readonly ends: 'nothing' | 'file' | 'take';
  /** More can be cut at once. */
  readonly more: boolean;
  /** An end is reached, but audio from before it may still come. */
  readonly awaitsAudio: boolean;
}

const MAX_FRAGMENT_S = 1;
/** How much later than its picture audio may arrive and still be waited for, where a file ends. */
const MAX_AUDIO_DELAY_MS = 500;

/**
 * Decides what of the ring is written next: everything from `cursor` on, in fragments that begin at key
 * frames and last a second at most, up to where the file or the take ends. Pure.
 */
export function cut(gops: readonly Gop[], cursor: Cursor, options: CutOptions): Cut {
  const video = cutVideo(gops, cursor.video, options);
  const first = video.pieces[0]?.gop;
  const audioFrom =
    options.file === null && first ? later(cursor.audio, { gop: first.no, index: 0 }) : cursor.audio;
  const stream = options.file?.stream ?? first?.stream;
  const awaitsAudio = !options.isLast && video.stop !== null && !isAudioComplete(gops, video.stop, stream);
  const ends = awaitsAudio
    ? 'nothing'
    : (video.stop?.ends ?? (options.isLast && !video.more ? 'take' : 'nothing'));
  const endUtcMs = options.wholeGops ? Infinity : (options.endUtcMs ?? Infinity);
  const audio = cutAudio(gops, audioFrom, video, { endUtcMs, isEnd: ends !== 'nothing' });
  return {
    fragments: assemble(video.pieces, audio.packets, stream),
    cursor: { video: video.position, audio: audio.position },
    ends,
    more: video.more,
    awaitsAudio,
  };
}

interface Piece {
  readonly gop: Gop;
  readonly packets: readonly MediaPacket[];
  readonly following: MediaPacket | null;
}

/** Where video must not go on: before `gop`, or within one, before `endUtcMs`. */
type Stop =
  | { readonly ends: 'file' | 'take'; readonly gop: Gop }
  | { readonly ends: 'take'; readonly gop: null; readonly endUtcMs: number };

interface VideoCut {
  readonly pieces: readonly Piece[];
  readonly position: Position;
  readonly stop: Stop | null;
  readonly more: boolean;
}

function cutVideo(gops: readonly Gop[], from: Position, options: CutOptions): VideoCut {
  const { endUtcMs, maxBytes, rotation, wholeGops } = options;
  const pieces: Piece[] = [];
  let { file } = options;
  let position = from;
  let bytes = 0;
  for (const [at, gop] of gops.entries()) {
    if (gop.no < from.gop) continue;
    const { timescale } = gop.stream.video;
    const first = gop.video[0]!;
    const start = gop.no === from.gop ? from.index : 0;
    const isPast = (packet: MediaPacket): boolean =>
      endUtcMs !== null && decodeUtcMs(packet, timescale) >= endUtcMs;
    if (start === 0) {
      if (endUtcMs !== null && isPast(first)) {
        const stop: Stop = wholeGops ? { ends: 'take', gop } : { ends: 'take', gop: null, endUtcMs };
        return { pieces, position, stop, more: false };
      }
      file ??= { stream: gop.stream, startUtcMs: first.utcMs };
      // A clock that was set back must not keep a file growing.
      const isOver = first.utcMs >= rotation(file.startUtcMs) || first.utcMs < file.startUtcMs;
      if (isOver || !sameTracks(file.stream, gop.stream)) {
        return { pieces, position: { gop: gop.no, index: 0 }, stop: { ends: 'file', gop }, more: false };
      }
    }
    const isCut = (packet: MediaPacket): boolean => !wholeGops && isPast(packet);
    for (let i = start; i < gop.video.length;) {
      if (bytes >= maxBytes) return { pieces, position, stop: null, more: true };
      const limit = gop.video[i]!.dts + MAX_FRAGMENT_S * timescale;
      let end = i;
      for (let packet; (packet = gop.video[end]) && !isCut(packet); end++) {
        if (end > i && packet.dts + packet.duration > limit) break;
        bytes += packet.data.byteLength;
      }
      if (end > i) {
        const following = gop.video[end] ?? firstOfNext(gop, gops[at + 1]);
        pieces.push({ gop, packets: gop.video.slice(i, end), following });
        position = { gop: gop.no, index: end };
      }
      const next = gop.video[end];
      if (endUtcMs !== null && next && isCut(next)) {
        return { pieces, position, stop: { ends: 'take', gop: null, endUtcMs }, more: false };
      }
      i = end;
    }
  }
  return { pieces, position, stop: null, more: false };
}

function firstOfNext(gop: Gop, next: Gop | undefined): MediaPacket | null {
  return next?.no === gop.no + 1 && next.stream === gop.stream ? (next.video[0] ?? null) : null;
}

/** Audio arrives in order, so one packet from behind the stop proves that none from before it is missing. */
function isAudioComplete(gops: readonly Gop[], stop: Stop, stream: StreamInfo | undefined): boolean {
  const newest = gops.at(-1);
  if (!newest || !stream?.audio) return true;
  const newestUtcMs = decodeUtcMs(newest.video.at(-1)!, newest.stream.video.timescale);
  if (stop.gop === null) {
    if (newestUtcMs >= stop.endUtcMs + MAX_AUDIO_DELAY_MS) return true;
    return gops.some(({ audio }) => (audio.at(-1)?.utcMs ?? -Infinity) >= stop.endUtcMs);
  }
  const { gop } = stop;
  // Once a generation is over, nothing of it comes any more.
  if (gops.findLast(({ no }) => no < gop.no)?.stream !== gop.stream) return true;
  if (newestUtcMs >= gop.video[0]!.utcMs + MAX_AUDIO_DELAY_MS) return true;
  return gops.some(({ no, audio }) => no >= gop.no && audio.length > 0);
}

/**
 * Audio from `from` up to the stop. Without one, what plays later than the last picture cut is held back: it
 * may yet turn out to belong behind a key frame where the file ends.
 */
function cutAudio(
  gops: readonly Gop[],
  from: Position,
  { pieces, stop }: VideoCut,
  { endUtcMs, isEnd }: { endUtcMs: number; isEnd: boolean },
): { packets: readonly MediaPacket[]; position: Position } {
  const packets: MediaPacket[] = [];
  let position = from;
  const last = pieces.at(-1);
  if (!last && !isEnd) return { packets, position };
  const picture = last?.packets.at(-1);
  const isHeld = (packet: MediaPacket): boolean =>
    !isEnd && !stop && picture !== undefined && !isBefore(packet, picture, last!.gop.stream, picture.dts);
  for (const gop of gops) {
    if (gop.no < from.gop) continue;
    if (stop?.gop && gop.no >= stop.gop.no) {
      return { packets, position: isEnd ? { gop: stop.gop.no, index: 0 } : position };
    }
    for (let i = gop.no === from.gop ? from.index : 0; i < gop.audio.length; i++) {
      const packet = gop.audio[i]!;
      if (packet.utcMs >= endUtcMs || isHeld(packet)) return { packets, position };
      packets.push(packet);
      position = { gop: gop.no, index: i + 1 };
    }
  }
  return { packets, position };
}

/** Deals the audio out to the pieces in whose time it plays. */
function assemble(
  pieces: readonly Piece[],
  audio: readonly MediaPacket[],
  stream: StreamInfo | undefined,
): readonly Fragment[] {
  if (pieces.length === 0) {
    return audio.length > 0 && stream ? [{ stream, video: [], following: null, audio }] : [];
  }
  let dealt = 0;
  return pieces.map(({ gop, packets, following }, i) => {
    const next = pieces[i + 1];
    const from = dealt;
    if (!next) dealt = audio.length;
    else while (dealt < audio.length && isBefore(audio[dealt]!, next.packets[0]!, next.gop.stream)) dealt++;
    return { stream: gop.stream, video: packets, following, audio: audio.slice(from, dealt) };
  });
}

const later = (a: Position, b: Position): Position => (a.gop >= b.gop ? a : b);
