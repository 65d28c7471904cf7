export interface RateLimit {
  readonly maxEvents: number;
  readonly perMs: number;
}

/** Keys that were silent for longest are forgotten first. */
const MAX_KEYS = 1000;

/**
 * At most so many per key within any window of so long (a sliding window, exact). The newest are refused, so
 * that what comes through is what came first.
 */
export class RateLimiter {
  #limit: RateLimit;
  /** By key: when the last ones were allowed, oldest first. */
  readonly #allowed = new Map<string, number[]>();

  constructor(limit: RateLimit) {
    this.#limit = limit;
  }

  /** Counts for what was allowed before, too. */
  setLimit(limit: RateLimit): void {
    this.#limit = limit;
  }

  /** How long until one more of `key` is allowed; 0: now. Counts nothing. */
  waitMs(key: string, nowMs: number): number {
    const { maxEvents, perMs } = this.#limit;
    const oldest = (this.#allowed.get(key) ?? []).at(-maxEvents);
    return oldest === undefined ? 0 : Math.max(0, oldest + perMs - nowMs);
  }

  /** `nowMs` never goes back. */
  allows(key: string, nowMs: number): boolean {
    const { maxEvents, perMs } = this.#limit;
    const recent = (this.#allowed.get(key) ?? []).filter((ms) => ms > nowMs - perMs);
    const isAllowed = recent.length < maxEvents;
    if (isAllowed) recent.push(nowMs);
    this.#allowed.delete(key);
    this.#allowed.set(key, recent);
    if (this.#allowed.size > MAX_KEYS) this.#allowed.delete(this.#allowed.keys().next().value!);
    return isAllowed;
  }
}
