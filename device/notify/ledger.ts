import { CodedError, type ErrorReport } from '../contract/errors.ts';
import type { ClipSummary, EventRecord } from '../contract/library.ts';
import type { Attempt, Notice } from '../contract/notify.ts';
import type { Clock } from '../kernel/clock.ts';
import type { Log } from '../kernel/log.ts';
import { Turns } from '../kernel/turns.ts';
import { forgettable, ingested, interrupted, shed, type IngestRules, type Step } from './steps.ts';

/** What the outbox of the library holds for a lane. */
export interface OutboxItem {
  readonly no: number;
  readonly kind: 'event.new' | 'event.end' | 'clip.ready' | 'segment.ready' | 'still';
  readonly ref: string;
}

/** What lanes need of the library; all of it may reject while the index cannot be asked. */
export interface NoticeStore {
  take(consumer: string): Promise<readonly OutboxItem[]>;
  event(eventId: string): Promise<EventRecord | null>;
  clip(clipId: string): Promise<ClipSummary | null>;
  /** Path of the clip's file, relative to the data directory; it is made where there is none. */
  materialise(clipId: string): Promise<string>;
  open(lane: string): Promise<readonly Notice[]>;
  /** Durable when it resolves: all of it or nothing. */
  commit(change: {
    readonly lane: string;
    readonly done: { readonly consumer: string; readonly nos: readonly number[] };
    readonly notices: readonly { readonly notice: Notice; readonly isOpen: boolean }[];
    readonly attempts: readonly Attempt[];
  }): Promise<void>;
}

export interface LedgerOptions {
  readonly lane: string;
  readonly store: NoticeStore;
  readonly clock: Clock;
  readonly log: Log;
  /** Aborts when nothing more is to be written. */
  readonly signal: AbortSignal;
  /** A step is durable, with these lines of the journal. */
  readonly onStep: (attempts: readonly Attempt[]) => void;
}

const STORE_RETRY_MS = 2000;
const MAX_TURNS = 64;

/** As libraries name who takes from their outbox. */
export const consumerOf = (lane: string): string => `notify:${lane}`;

/**
 * The notices of a lane that are not finished, in memory as the store has them.
 *
 * Invariant: memory follows the store. Each step is one transaction of the store, taken in turn; only when it is
 * durable does memory, or anybody else, know of it.
 */
export class Ledger {
  readonly #o: LedgerOptions;
  readonly #notices = new Map<string, Notice>();
  readonly #turns = new Turns(MAX_TURNS);

  constructor(options: LedgerOptions) {
    this.#o = options;
  }

  get notices(): readonly Notice[] {
    return [...this.#notices.values()];
  }

  /** As it is now. */
  now({ noticeId }: Pick<Notice, 'noticeId'>): Notice {
    return this.#notices.get(noticeId)!;
  }

  has(noticeId: string): boolean {
    return this.#notices.has(noticeId);
  }

  /** What was left by the agent before. */
  async load(): Promise<void> {
    const open = (await this.#o.store.open(this.#o.lane)).map(interrupted);
    for (const notice of open) this.#notices.set(notice.noticeId, notice);
  }

  /** One transaction, in turn; `make` sees the notices as they are then. */
  async step(make: () => Step, nos: readonly number[] = []): Promise<void> {
    const { lane, store, onStep } = this.#o;
    await this.#turns.take(async () => {
      const { notices, attempts, closed = [] } = make();
      await store.commit({
        lane,
        done: { consumer: consumerOf(lane), nos },
        notices: [
          ...notices.map((notice) => ({ notice, isOpen: true })),
          ...closed.map((notice) => ({ notice, isOpen: false })),
        ],
        attempts,
      });
      for (const notice of notices) this.#notices.set(notice.noticeId, notice);
      for (const { noticeId } of closed) this.#notices.delete(noticeId);
      onStep(attempts);
    });
  }

  /** Tries again until the store takes it; false when that stops before. */
  async untilStored(work: () => Promise<void>): Promise<boolean> {
    const { clock, lane, log, signal } = this.#o;
    for (;;) {
      try {
        await work();
        return true;
      } catch (error) {
        const { code } = CodedError.from(error, 'INDEX_UNAVAILABLE');
        log.warn({ err: error, lane, code }, 'notifications wait for the index');
      }
      await clock.sleep(STORE_RETRY_MS, signal).catch(() => {});
      if (signal.aborted) return false;
    }
  }

  /** What the outbox holds becomes notices. */
  async takeNews(rules: IngestRules): Promise<void> {
    const { clock, lane, store } = this.#o;
    for (;;) {
      const items = await store.take(consumerOf(lane));
      if (items.length === 0) return;
      const news = await Promise.all(
        items.map(async ({ kind, ref }) =>
          kind === 'clip.ready'
            ? { kind, clip: await store.clip(ref) }
            : { kind, event: await store.event(ref) },
        ),
      );
      await this.step(
        () => ingested(this.notices, news, rules, clock.utcMs()),
        items.map(({ no }) => no),
      );
    }
  }

  /** All that waits is not told; how many that were. */
  async shed(reason: ErrorReport): Promise<number> {
    const waiting = this.notices.filter(({ status }) => status === 'queued');
    if (waiting.length > 0) {
      await this.step(() =>
        shed(
          waiting.map((notice) => this.now(notice)),
          reason,
          this.#o.clock.utcMs(),
        ),
      );
    }
    return waiting.length;
  }

  /** Finished notices leave memory. */
  async forget(canEdit: boolean): Promise<void> {
    const finished = forgettable(this.notices, canEdit, this.#o.clock.utcMs());
    if (finished.length > 0) await this.step(() => ({ notices: [], attempts: [], closed: finished }));
  }
}
