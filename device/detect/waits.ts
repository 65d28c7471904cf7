interface Lane {
  /** Requests that are not settled. */
  pending: number;
  /** Since when there was no answer. Monotonic ms. */
  sinceMs: number;
}

/**
 * How long cameras that ask again and again go without an answer. Pure: told of what happens, with the time.
 *
 * A request that made way for a newer one is no answer: whoever asks faster than the detector looks is not starved as
 * long as some of what it asks is looked at.
 */
export class Waits {
  readonly #lanes = new Map<string, Lane>();
  #longestMs = 0;

  asked(lane: string, nowMs: number): void {
    const known = this.#lanes.get(lane);
    if (known) known.pending += 1;
    else this.#lanes.set(lane, { pending: 1, sinceMs: nowMs });
  }

  /** A request is over. That it failed is an answer, too. */
  settled(lane: string, nowMs: number, isAnswered: boolean): void {
    const known = this.#lanes.get(lane);
    if (!known) return;
    known.pending -= 1;
    if (isAnswered || known.pending === 0) {
      this.#longestMs = Math.max(this.#longestMs, nowMs - known.sinceMs);
      known.sinceMs = nowMs;
    }
    if (known.pending === 0) this.#lanes.delete(lane);
  }

  /** Does not want an answer any more. */
  left(lane: string): void {
    this.#lanes.delete(lane);
  }

  /** The longest wait since this was asked last, ms: of those that ended, and of those that go on. */
  takeLongest(nowMs: number): number {
    const going = [...this.#lanes.values()].map(({ sinceMs }) => nowMs - sinceMs);
    const longestMs = Math.max(this.#longestMs, ...going);
    this.#longestMs = 0;
    return longestMs;
  }
}
