import type { MetricsAnswer, MetricsRequest } from './contract/host.ts';
import type { Clock } from './kernel/clock.ts';

const PATIENCE_MS = 1000;

/** Asks a child process for its numbers. A child that is dead, new or stuck has none, and holds nobody up. */
export class MetricsDesk {
  readonly #clock: Clock;
  readonly #send: (request: MetricsRequest) => boolean;
  readonly #waiting = new Map<number, (metrics: readonly object[]) => void>();
  #lastId = 0;

  constructor(clock: Clock, send: (request: MetricsRequest) => boolean) {
    this.#clock = clock;
    this.#send = send;
  }

  async ask(): Promise<readonly object[]> {
    const requestId = ++this.#lastId;
    if (!this.#send({ type: 'metrics', requestId })) return [];
    const answered = new AbortController();
    try {
      return await Promise.race([
        new Promise<readonly object[]>((resolve) => this.#waiting.set(requestId, resolve)),
        this.#clock.sleep(PATIENCE_MS, answered.signal).then(
          () => [],
          () => [],
        ),
      ]);
    } finally {
      answered.abort();
      this.#waiting.delete(requestId);
    }
  }

  answer({ requestId, metrics }: MetricsAnswer): void {
    this.#waiting.get(requestId)?.(metrics);
  }
}
