import type { Indexed, IndexFact } from './commit.ts';

export interface WaitingFact {
  readonly fact: IndexFact;
  /** Called once: with null for a fact that was given up, and for an older state. */
  readonly done: (indexed: Indexed | null) => void;
}

/**
 * Facts that wait for the index, in the order they came. Of an event only its newest state waits, in the place
 * of the oldest. When full, the oldest is given up: footage among it is found on the disk later.
 */
export class FactQueue {
  readonly #waiting = new Map<string, WaitingFact>();
  readonly #limit: number;
  readonly #onDrop: (fact: IndexFact) => void;
  #lastNo = 0;

  constructor(limit: number, onDrop: (fact: IndexFact) => void) {
    this.#limit = limit;
    this.#onDrop = onDrop;
  }

  get size(): number {
    return this.#waiting.size;
  }

  add(waiting: WaitingFact): void {
    const { fact } = waiting;
    const key = fact.type === 'event' ? fact.event.eventId : `#${++this.#lastNo}`;
    this.#waiting.get(key)?.done(null);
    this.#waiting.set(key, waiting);
    this.#trim();
  }

  /** The oldest, `limit` at most; they are the taker's now. */
  take(limit: number): readonly WaitingFact[] {
    const taken = [...this.#waiting].slice(0, limit);
    for (const [key] of taken) this.#waiting.delete(key);
    return taken.map(([, waiting]) => waiting);
  }

  /** What was taken but not committed comes first again. */
  putBack(taken: readonly WaitingFact[]): void {
    const later = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const waiting of [...taken, ...later]) this.add(waiting);
  }

  /** Gives up everything. */
  clear(): void {
    for (const waiting of this.take(Infinity)) this.#drop(waiting);
  }

  #trim(): void {
    for (const waiting of this.take(this.#waiting.size - this.#limit)) this.#drop(waiting);
  }

  #drop({ fact, done }: WaitingFact): void {
    this.#onDrop(fact);
    done(null);
  }
}
