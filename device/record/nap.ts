import type { Clock } from '../kernel/clock.ts';

/** A sleep that can be cut short, also by a wake that came before it began. */
export class Nap {
  readonly #clock: Clock;
  #woken = false;
  #sleeping: AbortController | null = null;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  wake(): void {
    this.#woken = true;
    this.#sleeping?.abort();
  }

  async until(monotonicMs: number): Promise<void> {
    const ms = monotonicMs - this.#clock.monotonicMs();
    if (!this.#woken && ms > 0) {
      this.#sleeping = new AbortController();
      await this.#clock.sleep(ms, this.#sleeping.signal).catch(() => {});
      this.#sleeping = null;
    }
    this.#woken = false;
  }
}
