/** Work that is done one after the other, in the order it was asked for. At most `maxWaiting` wait. */
export class Turns {
  readonly #maxWaiting: number;
  #last: Promise<unknown> = Promise.resolve();
  #waiting = 0;

  constructor(maxWaiting: number) {
    this.#maxWaiting = maxWaiting;
  }

  /** As `work` settles. Throws TurnsTaken when too many wait. */
  async take<T>(work: () => Promise<T>): Promise<T> {
    if (this.#waiting > this.#maxWaiting) throw new TurnsTaken();
    this.#waiting++;
    const previous = this.#last;
    const turn = Promise.withResolvers<void>();
    this.#last = turn.promise;
    try {
      await previous;
      return await work();
    } finally {
      this.#waiting--;
      turn.resolve();
    }
  }
}

export class TurnsTaken extends Error {
  override readonly name = 'TurnsTaken';

  constructor() {
    super('too much waits for its turn');
  }
}
