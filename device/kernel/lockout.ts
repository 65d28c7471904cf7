/** Failures are forgotten after this long without another one. */
const MEMORY_MS = 300_000;
const FREE_FAILURES = 5;
/** Bound of what is remembered; the longest without a failure are forgotten first. */
const MAX_KEYS = 10_000;

/**
 * Slows down who guesses: after five failures a key (a name, an address) is locked for 300 s, as the original
 * system promised. Only failures count, so a lock on a name that is attacked from elsewhere is per address.
 */
export class Lockout {
  readonly #failures = new Map<string, { count: number; lastMs: number }>();

  /** How long `key` is still locked; 0 when it is not. */
  lockedForMs(key: string, nowMs: number): number {
    const entry = this.#failures.get(key);
    if (!entry || entry.count < FREE_FAILURES) return 0;
    return Math.max(0, entry.lastMs + MEMORY_MS - nowMs);
  }

  failed(key: string, nowMs: number): void {
    const entry = this.#failures.get(key);
    const count = entry && nowMs - entry.lastMs < MEMORY_MS ? entry.count + 1 : 1;
    this.#failures.delete(key);
    this.#failures.set(key, { count, lastMs: nowMs });
    if (this.#failures.size > MAX_KEYS) this.#failures.delete(this.#failures.keys().next().value!);
  }

  succeeded(key: string): void {
    this.#failures.delete(key);
  }
}
