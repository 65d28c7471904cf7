import type { Clock } from '../kernel/clock.ts';
import { SILENCE_MS } from './sources.ts';

/** Calls `onStall` when `progress` was not called for SILENCE_MS. */
export class StallWatch {
  readonly #clock: Clock;
  readonly #onStall: () => void;
  readonly #done = new AbortController();
  #lastMs: number;
  #watching: Promise<void> = Promise.resolve();

  constructor(clock: Clock, onStall: () => void) {
    this.#clock = clock;
    this.#onStall = onStall;
    this.#lastMs = clock.monotonicMs();
  }

  start(): void {
    this.#watching = this.#watch();
  }

  progress(): void {
    this.#lastMs = this.#clock.monotonicMs();
  }

  async stop(): Promise<void> {
    this.#done.abort();
    await this.#watching;
  }

  async #watch(): Promise<void> {
    const { signal } = this.#done;
    while (!signal.aborted) {
      const leftMs = this.#lastMs + SILENCE_MS - this.#clock.monotonicMs();
      if (leftMs <= 0) this.#onStall();
      // After a stall the interruption is repeated until the read returns.
      await this.#clock.sleep(Math.max(50, leftMs), signal).catch(() => {});
    }
  }
}
