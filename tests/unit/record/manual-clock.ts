import type { Clock } from '../../../device/kernel/clock.ts';

/** A clock that moves only when told. Sleepers wake in the order of their times. */
export class ManualClock implements Clock {
  #nowMs = 0;
  readonly #startUtcMs: number;
  readonly #sleepers = new Set<{ dueMs: number; readonly wake: () => void }>();

  constructor(startUtcMs: number) {
    this.#startUtcMs = startUtcMs;
  }

  utcMs(): number {
    return this.#startUtcMs + this.#nowMs;
  }

  monotonicMs(): number {
    return this.#nowMs;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const sleeper = { dueMs: this.#nowMs + ms, wake: resolve };
    this.#sleepers.add(sleeper);
    const abort = (): void => reject(signal?.reason as Error);
    if (signal?.aborted) abort();
    else signal?.addEventListener('abort', abort, { once: true });
    return promise.finally(() => {
      this.#sleepers.delete(sleeper);
      signal?.removeEventListener('abort', abort);
    });
  }

  get sleepers(): number {
    return this.#sleepers.size;
  }

  advanceTo(utcMs: number): void {
    const toMs = Math.max(this.#nowMs, utcMs - this.#startUtcMs);
    const due = [...this.#sleepers]
      .filter(({ dueMs }) => dueMs <= toMs)
      .toSorted((a, b) => a.dueMs - b.dueMs);
    this.#nowMs = toMs;
    for (const sleeper of due) sleeper.wake();
  }

  advance(ms: number): void {
    this.advanceTo(this.utcMs() + ms);
  }
}
