import { setImmediate as turn } from 'node:timers/promises';
import type { Clock } from '../../device/kernel/clock.ts';

interface Sleeper {
  readonly untilMs: number;
  wake(): void;
}

/**
 * Time that passes when the test says so: `advance` wakes one sleeper after the other, each at its moment, and
 * waits until what was woken sleeps again. For one loop at a time that sleeps between its rounds.
 */
export class StepClock implements Clock {
  #nowMs: number;
  readonly #sleepers = new Set<Sleeper>();
  #fellAsleep = Promise.withResolvers<void>();

  constructor(utcMs: number) {
    this.#nowMs = utcMs;
  }

  utcMs(): number {
    return this.#nowMs;
  }

  monotonicMs(): number {
    return this.#nowMs;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const sleeper = { untilMs: this.#nowMs + ms, wake: resolve };
    this.#sleepers.add(sleeper);
    const cut = (): void => {
      this.#sleepers.delete(sleeper);
      reject(signal?.reason as Error);
    };
    if (signal?.aborted) cut();
    else signal?.addEventListener('abort', cut, { once: true });
    this.#fellAsleep.resolve();
    return promise;
  }

  /** Resolves when somebody sleeps. */
  async asleep(): Promise<void> {
    while (this.#sleepers.size === 0) {
      this.#fellAsleep = Promise.withResolvers();
      await this.#fellAsleep.promise;
    }
  }

  async advance(ms: number): Promise<void> {
    const untilMs = this.#nowMs + ms;
    for (;;) {
      // Whoever was woken by something else than time gets up first.
      await turn();
      await this.asleep();
      const [next] = [...this.#sleepers].sort((a, b) => a.untilMs - b.untilMs);
      if (!next || next.untilMs > untilMs) break;
      this.#sleepers.delete(next);
      this.#nowMs = next.untilMs;
      next.wake();
    }
    this.#nowMs = untilMs;
  }
}
