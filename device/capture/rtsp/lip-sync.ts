import type { SenderReport } from './rtcp.ts';
import type { Unwrapper } from './rtp.ts';

/** Less than this nobody notices (ITU-R BT.1359), and correcting it would only make sound stutter. */
const TOLERATED_S = 0.02;
/** Clocks of two tracks that are further apart than this do not belong together. */
const MAX_APART_S = 10;

/** Time of one track: ticks, and what the camera's clock said at some of them. */
class TrackTime {
  readonly #clockRate: number;
  #origin: number | null = null;
  /** Seconds on the camera's clock at tick 0 of `#origin`. */
  ntpOrigin: number | null = null;
  /** A report that came before the first packet. */
  #early: { readonly report: SenderReport; readonly time: Unwrapper } | null = null;

  constructor(clockRate: number) {
    this.#clockRate = clockRate;
  }

  /** Seconds since the first packet. */
  seconds(timestamp: number): number {
    this.#origin ??= timestamp;
    if (this.#early) this.heard(this.#early.report, this.#early.time);
    return (timestamp - this.#origin) / this.#clockRate;
  }

  heard(report: SenderReport, time: Unwrapper): void {
    // A clock that was never set says nothing.
    if (report.ntpSeconds < 1) return;
    this.#early = this.#origin === null ? { report, time } : null;
    if (this.#origin === null) return;
    this.ntpOrigin = report.ntpSeconds - (time.near(report.timestamp) - this.#origin) / this.#clockRate;
  }
}

/**
 * Brings sound onto the time of the pictures. Their timestamps begin anywhere: at first the two tracks are laid by
 * when they began to arrive, later by the camera's clock, as its sender reports tell it. Pictures are never moved.
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
    const [video, audio] = [this.#video.ntpOrigin, this.#audio.ntpOrigin];
    if (video !== null && audio !== null) {
      const said = audio - video;
      const apart = Math.abs(said - this.#audioOffset);
      if (apart > TOLERATED_S && apart < MAX_APART_S) this.#audioOffset = said;
    }
    return Math.round((seconds + this.#audioOffset) * this.#audioRate);
  }

  heard(track: 'video' | 'audio', report: SenderReport, time: Unwrapper): void {
    (track === 'video' ? this.#video : this.#audio).heard(report, time);
  }
}
