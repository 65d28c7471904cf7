import type { Unwrapper } from './rtp.ts';

/** The camera's own, of its sender reports; and the one that began to run with PLAY (`RTP-Info`). */
export type Clock = 'camera' | 'play';

/** Less than this nobody notices (ITU-R BT.1359), and correcting it would only make sound stutter. */
const TOLERATED_S = 0.02;
/** Clocks of two tracks that are further apart than this do not belong together. */
const MAX_APART_S = 10;

/** A timestamp of a track, 32 bits, and when it is on a clock that all tracks share. */
export interface SharedTime {
  readonly seconds: number;
  readonly timestamp: number;
}

/** Time of one track: ticks, and what the clocks that all tracks share said at some of them. */
class TrackTime {
  readonly #clockRate: number;
  #origin: number | null = null;
  /** What the camera's clock said, and when it began to play; as of the first packet. */
  readonly origins: Record<Clock, number | null> = { camera: null, play: null };
  /** What was said before the first packet. */
  readonly #early = new Map<Clock, readonly [SharedTime, Unwrapper]>();

  constructor(clockRate: number) {
    this.#clockRate = clockRate;
  }

  /** Seconds since the first packet. */
  seconds(timestamp: number): number {
    if (this.#origin === null) {
      this.#origin = timestamp;
      for (const [clock, said] of this.#early) this.heard(clock, ...said);
    }
    return (timestamp - this.#origin) / this.#clockRate;
  }

  heard(clock: Clock, shared: SharedTime, time: Unwrapper): void {
    if (this.#origin === null) this.#early.set(clock, [shared, time]);
    else
      this.origins[clock] = shared.seconds - (time.near(shared.timestamp) - this.#origin) / this.#clockRate;
  }
}

/**
 * Brings sound onto the time of the pictures. Their timestamps begin anywhere: at first the two tracks are laid by
 * when they began to arrive or, where the camera says it, to play; later by the camera's clock, as its sender reports
 * tell it. Pictures are never moved.
 */
export class LipSync {
  readonly #video: TrackTime;
  readonly #audio: TrackTime;
  readonly #videoRate: number;
  readonly #audioRate: number;
  #videoBeganMs: number | null = null;
  /** Seconds of video at the origin of audio. */
  #audioOffset: number | null = null;

  constructor(videoRate: number, audioRate: number) {
    this.#video = new TrackTime(videoRate);
    this.#audio = new TrackTime(audioRate);
    this.#videoRate = videoRate;
    this.#audioRate = audioRate;
  }

  /** Ticks since the first picture. */
  video(timestamp: number, nowMs: number): number {
    this.#videoBeganMs ??= nowMs;
    return Math.round(this.#video.seconds(timestamp) * this.#videoRate);
  }

  /** Ticks since the first picture; null: there is none yet. */
  audio(timestamp: number, nowMs: number): number | null {
    const seconds = this.#audio.seconds(timestamp);
    if (this.#videoBeganMs === null) return null;
    this.#audioOffset ??= (nowMs - this.#videoBeganMs) / 1000 - seconds;
    const said = this.#apart('camera') ?? this.#apart('play');
    if (said !== null && Math.abs(said - this.#audioOffset) > TOLERATED_S) this.#audioOffset = said;
    return Math.round((seconds + this.#audioOffset) * this.#audioRate);
  }

  heard(track: 'video' | 'audio', clock: Clock, shared: SharedTime, time: Unwrapper): void {
    (track === 'video' ? this.#video : this.#audio).heard(clock, shared, time);
  }

  /** Seconds of video at the origin of audio; null: unknown, or beyond belief. */
  #apart(clock: Clock): number | null {
    const [video, audio] = [this.#video.origins[clock], this.#audio.origins[clock]];
    if (video === null || audio === null || this.#audioOffset === null) return null;
    const said = audio - video;
    return Math.abs(said - this.#audioOffset) < MAX_APART_S ? said : null;
  }
}
