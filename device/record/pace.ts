/** What is received has to be durable within this time: the promise. */
const PROMISE_MS = 1000;
/** Kept for a write, and for being late, even where writes were quick so far. */
const LEAST_ALLOWANCE_MS = 100;
/** On top of the slowest recent write, for being late. */
const MARGIN_MS = 50;
/** More often is no help: a disk that takes half a second for a batch is too slow, and is told so elsewhere. */
const SHORTEST_MS = 500;
/** Of the slowest write after each further one: forgotten after half a minute. */
const DECAY = 0.9;

/**
 * How far apart batches begin, each with one fdatasync: as far as the promise allows on this disk, so that few,
 * large writes spare the card. A packet waits for one period and one write at most.
 */
export class WritePace {
  #slowestMs = 0;

  /** A batch took this long to become durable. */
  took(ms: number): void {
    this.#slowestMs = Math.max(ms, this.#slowestMs * DECAY);
  }

  get periodMs(): number {
    const allowanceMs = Math.max(LEAST_ALLOWANCE_MS, this.#slowestMs + MARGIN_MS);
    return Math.max(SHORTEST_MS, PROMISE_MS - allowanceMs);
  }
}
