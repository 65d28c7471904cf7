/** Below this, arrival times only tell of the network's jitter. */
const TOLERATED_DRIFT_MS = 500;
/** Correction per stream time: too little to see, enough for any oscillator (which are off by < 0.01 %). */
const SLEW = 0.01;
/** More than this is a clock that was set, not one that drifts. */
const STEP_MS = 5000;
/** Arrivals are judged by the earliest one within this much stream time: only that one met no queue. */
const WINDOW_MS = 5000;

/**
 * Maps stream time to wall time. The first packet anchors the generation; afterwards wall time is as smooth as
 * the stream. Where the camera's clock and ours drift apart by more than half a second the anchor is moved by
 * 1 % of the passing time until they agree again. If our clock is set, `broken` tells that a new generation is due.
 *
 * Cameras begin with a burst of what they hold, so stream time may be ahead of the clock for a while; a generation
 * that follows soon begins where the one before ended, not before.
 */
export class WallAnchor {
  readonly #slews: boolean;
  #anchorUtcMs = NaN;
  #windowStartMs = 0;
  #earliestMs = Infinity;
  #correctMs = 0;
  #lastMs = 0;
  #intervalMs = 0;
  #broken = false;
  /** When the generation before would have gone on. */
  readonly #dueUtcMs: number;

  /** `slews` false: footage that does not arrive in real time keeps its first anchor. `after`: of the generation before. */
  constructor(options: { slews: boolean; after?: WallAnchor | null }) {
    this.#slews = options.slews;
    this.#dueUtcMs = options.after ? options.after.#nextUtcMs : NaN;
  }

  get broken(): boolean {
    return this.#broken;
  }

  /** A packet of stream time `streamMs` arrives now; call in order of arrival. */
  arrive(streamMs: number, nowUtcMs: number): void {
    if (Number.isNaN(this.#anchorUtcMs)) {
      this.#anchorUtcMs = this.#beginUtcMs(nowUtcMs) - streamMs;
      this.#lastMs = this.#windowStartMs = streamMs;
      return;
    }
    this.#intervalMs = streamMs - this.#lastMs;
    if (!this.#slews) {
      this.#lastMs = streamMs;
      return;
    }
    const driftMs = nowUtcMs - this.utcMs(streamMs);
    this.#earliestMs = Math.min(this.#earliestMs, driftMs);
    this.#slewBy(streamMs - this.#lastMs);
    this.#lastMs = streamMs;
    if (streamMs - this.#windowStartMs < WINDOW_MS) return;
    this.#broken ||= Math.abs(this.#earliestMs) > STEP_MS;
    this.#correctMs = Math.abs(this.#earliestMs) > TOLERATED_DRIFT_MS ? this.#earliestMs : 0;
    this.#windowStartMs = streamMs;
    this.#earliestMs = Infinity;
  }

  utcMs(streamMs: number): number {
    return this.#anchorUtcMs + streamMs;
  }

  /** When the picture after the last one is due. */
  get #nextUtcMs(): number {
    return this.utcMs(this.#lastMs + this.#intervalMs);
  }

  /** A clock that was set back by more than a step is believed. */
  #beginUtcMs(nowUtcMs: number): number {
    const aheadMs = this.#dueUtcMs - nowUtcMs;
    return aheadMs > 0 && aheadMs < STEP_MS ? this.#dueUtcMs : nowUtcMs;
  }

  #slewBy(passedMs: number): void {
    const limit = Math.max(0, passedMs) * SLEW;
    const step = Math.max(-limit, Math.min(limit, this.#correctMs));
    this.#anchorUtcMs += step;
    this.#correctMs -= step;
  }
}
