/** Footage that a power cut may cost: the promise. */
const PROMISE_MS = 1000;
/** A camera that counts a little slower than we do does not get a batch more for it. */
const DRIFT_MS = 5;
/** On top of the slowest recent write, for being late. */
const MARGIN_MS = 15;
/** Expected of a disk that was not written to yet: a first file comes with its folders. */
const FIRST_WRITE_MS = 100;
/** More often is no help: a disk that takes half a second for a batch is too slow, and is told so elsewhere. */
const SHORTEST_MS = 500;
/** Of the slowest write after each further one: forgotten after half a minute. */
const DECAY = 0.9;
/** A picture that is to fill the second may be so late before the batch begins without it. */
const LATE_MS = 50;

/**
 * When the next batch begins, each with one fdatasync: as late as the promise allows on this disk, so that few, large
 * writes spare the card. A power cut right before a batch is durable costs what came since the batch before began. So it
 * begins right after the picture that fills the second, and has until the next one comes to be durable: one fdatasync a
 * second. Where writes take longer than that, it begins so many pictures earlier.
 */
export class WritePace {
  /** Without a picture that makes a batch due, it begins so long after the one before. */
  readonly longestMs = PROMISE_MS + LATE_MS;
  #slowestMs = FIRST_WRITE_MS;

  /** A batch took this long to become durable. */
  took(ms: number): void {
    this.#slowestMs = Math.max(ms, this.#slowestMs * DECAY);
  }

  /** `unwrittenMs`: footage that came since the last batch began, and of which each picture lasts `pictureMs`. */
  isDue(unwrittenMs: number, pictureMs: number): boolean {
    const duringWriteMs = Math.floor((this.#slowestMs + MARGIN_MS) / pictureMs) * pictureMs;
    const mostMs = Math.max(SHORTEST_MS, PROMISE_MS + DRIFT_MS - duringWriteMs);
    return unwrittenMs + pictureMs > mostMs;
  }
}
