import { CodedError, type ErrorReport } from '../contract/errors.ts';
import type { Meter } from '../contract/metrics.ts';
import { backoff } from '../kernel/backoff.ts';
import type { Clock } from '../kernel/clock.ts';
import type { Log } from '../kernel/log.ts';
import type { Committed, Indexed, IndexFact } from './commit.ts';
import { FactQueue } from './fact-queue.ts';

export interface FactWriterOptions {
  readonly commit: (facts: readonly IndexFact[]) => Promise<readonly Committed[]>;
  readonly clock: Clock;
  readonly log: Log;
  readonly meter: Meter;
  /** Why nothing can be committed at the moment; null: it can again. */
  readonly onTrouble: (reason: ErrorReport | null) => void;
  /** Some facts have just become durable. */
  readonly onCommitted?: () => void;
}

const MAX_WAITING = 4096;
const MAX_BATCH = 256;

/**
 * Group commit: while one batch is being made durable, the next gathers. A fact leaves only when the index has
 * it, refuses it, or the queue overflows; committing twice does no harm, so a batch whose answer was lost is
 * sent again.
 */
export class FactWriter {
  readonly #o: FactWriterOptions;
  readonly #queue: FactQueue;
  /** Ends the wait for the next attempt. */
  #hurry = new AbortController();
  #writing: Promise<void> | null = null;
  #isGivenUp = false;
  /** null while everything is committed. */
  #behindSinceUtcMs: number | null = null;

  constructor(options: FactWriterOptions) {
    this.#o = options;
    this.#queue = new FactQueue(MAX_WAITING, (fact) => this.#count(fact, 'not_committed'));
  }

  /** How much is not committed yet, and since when, at the longest. */
  get lag(): { readonly waiting: number; readonly oldestUtcMs: number | null } {
    return { waiting: this.#queue.size, oldestUtcMs: this.#behindSinceUtcMs };
  }

  /** Resolves when the fact is durable in the index; with null when it is given up. */
  write(fact: IndexFact): Promise<Indexed | null> {
    const { promise, resolve } = Promise.withResolvers<Indexed | null>();
    if (this.#isGivenUp) {
      this.#count(fact, 'index_unusable');
      resolve(null);
      return promise;
    }
    this.#queue.add({ fact, done: resolve });
    this.#behindSinceUtcMs ??= this.#o.clock.utcMs();
    this.#o.meter.set('spyoncino_index_waiting_facts', this.#queue.size);
    this.#writing ??= this.#writeAll();
    return promise;
  }

  /** What made the last attempt fail may be over. */
  retry(): void {
    this.#hurry.abort();
  }

  /** There will be no index: all that waits, and all that comes, is answered with null. */
  giveUp(): void {
    this.#isGivenUp = true;
    this.#queue.clear();
    this.retry();
  }

  /** Waits for what is queued, `limitMs` at most; then it is given up. */
  async drain(limitMs: number): Promise<void> {
    const drained = new AbortController();
    await Promise.race([
      this.#writing,
      this.#o.clock.sleep(limitMs, drained.signal).then(
        () => this.giveUp(),
        () => {},
      ),
    ]);
    drained.abort();
  }

  async #writeAll(): Promise<void> {
    const { clock, meter, onTrouble } = this.#o;
    let delays = backoff({ firstMs: 500, maxMs: 30_000 });
    let isFailing = false;
    while (this.#queue.size > 0) {
      const batch = this.#queue.take(MAX_BATCH);
      try {
        const startedMs = clock.monotonicMs();
        const committed = await this.#o.commit(batch.map(({ fact }) => fact));
        meter.observe('spyoncino_index_commit_ms', clock.monotonicMs() - startedMs);
        this.#behindSinceUtcMs = this.#queue.size > 0 ? clock.utcMs() : null;
        for (const [i, { fact, done }] of batch.entries()) done(this.#outcome(fact, committed[i]));
        this.#o.onCommitted?.();
        if (isFailing) onTrouble(null);
        delays = backoff({ firstMs: 500, maxMs: 30_000 });
        isFailing = false;
      } catch (error) {
        this.#queue.putBack(batch);
        if (this.#isGivenUp) {
          this.#queue.clear();
          break;
        }
        isFailing = true;
        onTrouble(CodedError.from(error, 'INDEX_UNAVAILABLE').report());
        this.#hurry = new AbortController();
        await clock.sleep(delays.next().value, this.#hurry.signal).catch(() => {});
      }
      meter.set('spyoncino_index_waiting_facts', this.#queue.size);
    }
    // Here and not when the promise settles: what is written in between would find nobody who writes it.
    this.#writing = null;
  }

  #outcome(fact: IndexFact, committed: Committed | undefined): Indexed | null {
    if (committed && 'link' in committed) return committed;
    this.#o.log.error({ fact, reason: committed?.refused }, 'the index refuses a fact');
    this.#count(fact, 'refused');
    return null;
  }

  #count({ type }: IndexFact, reason: string): void {
    this.#o.meter.count('spyoncino_drops_total', { stage: 'library', reason: `${type} ${reason}` });
  }
}
