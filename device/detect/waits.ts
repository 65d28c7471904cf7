/**
 * How long cameras that ask again and again go without an answer. Pure: told of what happens, with the time.
 *
 * A request that was superseded is no answer: whoever asks faster than the detector looks is not starved as long as
 * some of what it asks is looked at.
 */
export class Waits {
  /** Since when each lane waits, without an answer in between. Monotonic ms. */
  readonly #sinceMs = new Map<string, number>();
  #longestMs = 0;

  asked(lane: string, nowMs: number): void {
    if (!this.#sinceMs.has(lane)) this.#sinceMs.set(lane, nowMs);
  }

  /** `more`: the lane has another request that waits. */
  answered(lane: string, nowMs: number, more: boolean): void {
    const sinceMs = this.#sinceMs.get(lane);
    if (sinceMs !== undefined) this.#longestMs = Math.max(this.#longestMs, nowMs - sinceMs);
    this.#sinceMs.delete(lane);
    if (more) this.#sinceMs.set(lane, nowMs);
  }

  /** Does not want an answer any more. */
  left(lane: string): void {
    this.#sinceMs.delete(lane);
  }

  /** The longest wait since this was asked last, ms: of those that ended, and of those that go on. */
  takeLongest(nowMs: number): number {
    const going = [...this.#sinceMs.values()].map((sinceMs) => nowMs - sinceMs);
    const longestMs = Math.max(this.#longestMs, ...going);
    this.#longestMs = 0;
    return longestMs;
  }
}
