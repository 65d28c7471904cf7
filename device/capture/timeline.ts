import { DecodeOrder } from './decode-order.ts';

/** Ticks per second of all video we hand on. */
export const VIDEO_TIMESCALE = 90_000;

/** A jump of more than this is a new start of the source's clock, not a pause. */
const MAX_JUMP_MS = 10_000;
/** What a picture is taken to last while nothing better is known. */
const DEFAULT_FRAME_MS = 40;

/** Timestamps as the source gives them, in seconds × `den` / `num`. */
export interface SourceStamp {
  readonly pts: number | null;
  readonly dts: number | null;
  /** 0 when unknown. */
  readonly duration: number;
}

export interface TimeBase {
  readonly num: number;
  readonly den: number;
}

/** Ticks of the track's timescale since the start of the generation. */
export interface Stamp {
  readonly pts: number;
  readonly dts: number;
  readonly duration: number;
}

/**
 * The time of one generation. All tracks share one origin, the first video packet, so they stay in sync.
 * Whatever the source does (no timestamps, negative ones, jumps, a loop), per track dts rises strictly,
 * pts ≥ dts ≥ 0 and duration > 0.
 */
export class Timeline {
  /** Source time in ms that is stream time 0; null until the first video packet. */
  #originMs: number | null = null;
  readonly #video: Track;
  readonly #audio: Track | null;
  #restarted = false;

  constructor(
    video: { base: TimeBase; frameMs?: number; depth: number },
    audio: { base: TimeBase; timescale: number } | null,
  ) {
    this.#video = new Track(video.base, VIDEO_TIMESCALE, video.frameMs ?? DEFAULT_FRAME_MS, video.depth);
    this.#audio = audio && new Track(audio.base, audio.timescale, 20, 0);
  }

  video(source: SourceStamp): Stamp {
    const track = this.#video;
    const at = track.read(source);
    if (this.#originMs === null) this.#originMs = at.dtsMs;
    else {
      const jumpMs = at.dtsMs - this.#originMs - track.lastDtsMs;
      if (this.#restarted || jumpMs < -track.frameMs || jumpMs > MAX_JUMP_MS)
        this.#originMs = at.dtsMs - track.lastDtsMs - track.frameMs;
    }
    this.#restarted = false;
    return track.stamp(at, this.#originMs);
  }

  /** null: nothing can be said before there is video. */
  audio(source: SourceStamp): Stamp | null {
    // After a restart the origin is known only once there is video again.
    if (this.#originMs === null || this.#restarted || !this.#audio) return null;
    const at = this.#audio.read(source);
    return at.dtsMs < this.#originMs ? null : this.#audio.stamp(at, this.#originMs);
  }

  /** The source begins again at its own first timestamp (a looped file): time goes on without a gap. */
  restart(): void {
    this.#restarted = true;
    this.#video.expectRestart();
    this.#audio?.expectRestart();
  }
}

interface SourceTime {
  readonly ptsMs: number;
  readonly dtsMs: number;
}

class Track {
  frameMs: number;
  /** Stream time of the newest packet. */
  lastDtsMs = 0;
  #lastDts = -1;
  /** The same in time of the source: where a packet without timestamps is put. */
  #lastSourceMs: number | null = null;
  #order: DecodeOrder;
  readonly #tickMs: number;
  readonly #timescale: number;
  readonly #depth: number;

  constructor(base: TimeBase, timescale: number, frameMs: number, depth: number) {
    this.#tickMs = (1000 * base.num) / base.den;
    this.#timescale = timescale;
    this.frameMs = frameMs;
    this.#depth = depth;
    this.#order = new DecodeOrder(depth);
  }

  expectRestart(): void {
    this.#order = new DecodeOrder(this.#depth);
  }

  /** In ms of the source's own clock; what is missing is filled in. */
  read({ pts, dts, duration }: SourceStamp): SourceTime {
    if (duration > 0) this.frameMs = duration * this.#tickMs;
    const ptsMs = pts === null ? null : pts * this.#tickMs;
    const dtsMs =
      dts !== null
        ? dts * this.#tickMs
        : ptsMs === null
          ? this.#nextSourceMs()
          : this.#order.dts(ptsMs, this.frameMs);
    this.#lastSourceMs = dtsMs;
    return { ptsMs: ptsMs ?? dtsMs, dtsMs };
  }

  #nextSourceMs(): number {
    return this.#lastSourceMs === null ? 0 : this.#lastSourceMs + this.frameMs;
  }

  stamp({ ptsMs, dtsMs }: SourceTime, originMs: number): Stamp {
    const ticks = (ms: number): number => Math.round((ms * this.#timescale) / 1000);
    const dts = Math.max(this.#lastDts + 1, ticks(dtsMs - originMs));
    const pts = Math.max(dts, ticks(ptsMs - originMs));
    this.#lastDts = dts;
    this.lastDtsMs = (dts * 1000) / this.#timescale;
    return { pts, dts, duration: Math.max(1, ticks(this.frameMs)) };
  }
}
