/**
 * Makes decode timestamps where a stream carries only presentation timestamps, as RTP does (RFC 6184 §5.1).
 * A stream whose pictures are shown at most `depth` positions after they are decoded has, as the n-th decode
 * time, the (n − depth)-th smallest presentation time. Invariant: dts rises strictly and dts ≤ pts, as long
 * as the stream keeps to its depth.
 */
export class DecodeOrder {
  readonly #depth: number;
  readonly #pending: number[] = [];

  constructor(depth: number) {
    this.#depth = depth;
  }

  /** `duration`: ticks of one picture, for the times before the first picture is shown. */
  dts(pts: number, duration: number): number {
    if (this.#depth === 0) return pts;
    if (this.#pending.length === 0) {
      for (let n = this.#depth; n > 0; n--) this.#pending.push(pts - n * duration);
    }
    this.#pending.push(pts);
    this.#pending.sort((a, b) => a - b);
    return this.#pending.shift()!;
  }
}
