import { randomUUID } from 'node:crypto';
import type { ErrorReport } from '../contract/errors.ts';
import type { CameraFact, EventFact, GapFact, StillFact } from '../contract/facts.ts';
import type { Meter } from '../contract/metrics.ts';
import type { StorageSettings } from '../contract/settings.ts';
import type { Clock } from '../kernel/clock.ts';
import type { Log } from '../kernel/log.ts';
import { TaskSet } from '../kernel/tasks.ts';
import type { FootageFact, Indexed, OutageFact } from './commit.ts';
import { FactWriter } from './fact-writer.ts';
import { lookAtMedia, type MediaState, type MediaWish } from './media.ts';
import type { Opening } from './opening.ts';
import type { AnswerOf, ArgumentsOf, OperationName } from './operations.ts';
import type { Consumers } from './outbox.ts';
import { outageOf } from './outage.ts';
import { LibraryWorker } from './worker.ts';

export type { FootageFact } from './commit.ts';
export { AlarmBook } from './alarms.ts';
export { acceptMounted, knownMedia, lookAtMedia, mediaDir, type MediaState } from './media.ts';
export { exportFootage, type Exported, type ExportRequest } from './export.ts';
export { fsck, FSCK_LEVELS, type Finding, type FsckLevel } from './fsck.ts';
export { openAsGuest, type Guest } from './guest.ts';
export { verifyFiles, type Anchor, type ChainProblem, type ChainReport, type FileVerdict } from './verify.ts';
export type { NoticeChange } from './notices.ts';
export type { Consumers, OutboxItem, OutboxKind } from './outbox.ts';
export { protect } from './protect.ts';
export type { CleanupReport } from './retention/cleanup.ts';
export type { RetentionPolicy } from './retention/plan.ts';
export { forecastDays, libraryStats, type ClassStats, type LibraryStats } from './stats.ts';
export { Store } from './store.ts';

export interface LibraryOptions {
  readonly dataDir: string;
  readonly settings: StorageSettings;
  readonly logLevel: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly meter: Meter;
  /** What ails index and disk now, all of it; told when it changes. */
  readonly onTroubles?: (troubles: readonly ErrorReport[]) => void;
  /** Facts have just become durable: consumers of the outbox may have something to do. */
  readonly onCommitted?: () => void;
}

/** What is kept: the index of all footage and events, and what can be asked of it. */
export interface Library extends AsyncDisposable {
  /** Identity of the disk that footage may be written to. */
  readonly mediaId: string;
  readonly troubles: readonly ErrorReport[];
  /** What was told and is not yet committed: how much, and since when the oldest waits. */
  readonly lag: { readonly waiting: number; readonly oldestUtcMs: number | null };
  /** Committed behind. Never blocks, never throws. */
  take(fact: EventFact | StillFact | GapFact | CameraFact): void;
  /** A camera gives nothing to record any more, though nothing says so by a fact. */
  outage(outage: Omit<OutageFact, 'type'>): void;
  /** Resolves when the index has it; with null when it cannot take it. */
  footage(fact: FootageFact): Promise<Indexed | null>;
  /** Who wants to be told of what by the outbox, all of them; see `outbox.ts`. Holds until it is said anew. */
  registerConsumers(consumers: Consumers): void;
  /** Looks again whether the right disk is there; `mediaId` and `troubles` follow. Never rejects. */
  checkMedia(): Promise<MediaState>;
  /** @throws CodedError INDEX_UNAVAILABLE and what the operation throws */
  ask<K extends OperationName>(operation: K, ...argument: ArgumentsOf<K>): Promise<AnswerOf<K>>;
  /** No facts come any more: those that wait are committed, or given up; questions are answered as before. */
  drain(): Promise<void>;
}

/** Each costs a write to the disk; how long the agent was off is known no better than this when it is killed. */
const ALIVE_MS = 60_000;
/** Camera hosts of an agent that died may complete their files after the next one has begun. */
const FIRST_RECHECK_MS = 15_000;
/** So that whatever was not told, and is on the disk, is known before long. */
const RECHECK_MS = 600_000;
/** Files that are younger are left to the facts that tell of them. */
const SETTLE_MS = 5000;
const DAY_MS = 86_400_000;
/** Cameras wait no longer for an index that is upgraded or looked through. */
const OPEN_PATIENCE_MS = 10_000;
const DRAIN_LIMIT_MS = 5000;

/**
 * Opens the index, or says in `troubles` why there is none: cameras record without it, and what they recorded is
 * found on the disk later.
 *
 * @throws CodedError DATA_DIR_IN_USE
 */
export async function openLibrary(options: LibraryOptions): Promise<Library> {
  const library = new WorkerLibrary(options);
  try {
    await library.open();
    return library;
  } catch (error) {
    await library[Symbol.asyncDispose]();
    throw error;
  }
}

class WorkerLibrary implements Library {
  readonly #o: LibraryOptions;
  readonly #worker: LibraryWorker;
  readonly #writer: FactWriter;
  readonly #troubles = new Map<'index' | 'commit' | 'remade' | 'media', ErrorReport>();
  readonly #decided = Promise.withResolvers<void>();
  readonly #stopping = new AbortController();
  readonly #tasks: TaskSet;
  readonly #wish: MediaWish;
  #mediaId: string | null = null;
  #isReconciled = false;
  #consumers: Consumers | null = null;

  constructor(options: LibraryOptions) {
    const { clock, dataDir, log, logLevel, meter, settings } = options;
    this.#o = options;
    this.#tasks = new TaskSet((name, error) => log.warn({ err: error, task: name }, 'the library could not'));
    this.#wish = { pinnedId: settings.mediaId, newId: randomUUID() };
    this.#worker = new LibraryWorker({
      start: { dataDir, wish: this.#wish, logLevel },
      clock,
      log,
      meter,
      onOpen: (opening) => this.#onOpen(opening),
      onDown: (reason, isFinal) => {
        this.#setTrouble('index', reason.report());
        if (isFinal) this.#writer.giveUp();
        if (reason.code === 'DATA_DIR_IN_USE') this.#decided.reject(reason);
        this.#decided.resolve();
      },
    });
    this.#writer = new FactWriter({
      commit: (facts) => this.#worker.ask('commitFacts', facts),
      clock,
      log,
      meter,
      onTrouble: (reason) => this.#setTrouble('commit', reason),
      ...(options.onCommitted ? { onCommitted: options.onCommitted } : {}),
    });
  }

  async open(): Promise<void> {
    this.#worker.start();
    await Promise.race([this.#decided.promise, this.#pause(OPEN_PATIENCE_MS)]);
    if (this.#mediaId === null) await this.checkMedia();
    this.#tasks.run('alive', () => this.#stayAlive());
    this.#tasks.run('reconcile', () => this.#reconcile());
  }

  get mediaId(): string {
    return this.#mediaId ?? '';
  }

  get lag(): Library['lag'] {
    return this.#writer.lag;
  }

  get troubles(): readonly ErrorReport[] {
    return [...this.#troubles.values()];
  }

  take(fact: EventFact | StillFact | GapFact | CameraFact): void {
    if (fact.type === 'camera') {
      const outage = outageOf(fact);
      if (outage) void this.#writer.write(outage);
    } else void this.#writer.write(fact.type === 'event' ? { type: 'event', event: fact.event } : fact);
  }

  outage(outage: Omit<OutageFact, 'type'>): void {
    void this.#writer.write({ type: 'outage', ...outage });
  }

  footage(fact: FootageFact): Promise<Indexed | null> {
    return this.#writer.write(fact);
  }

  registerConsumers(consumers: Consumers): void {
    this.#consumers = consumers;
    this.#tasks.run('register consumers', () => this.#tellConsumers());
  }

  async checkMedia(): Promise<MediaState> {
    const { clock, dataDir, log } = this.#o;
    let state: MediaState;
    try {
      state = await this.ask('checkMedia', this.#wish);
    } catch (error) {
      // The index may know which disk belongs here, so one without identity is given none now.
      log.debug({ err: error }, 'the disk is looked at without the index');
      const expectedId = this.#mediaId || this.#wish.pinnedId;
      state = await lookAtMedia({ dataDir, expectedId, newId: null, utcMs: clock.utcMs() });
    }
    if (state.mediaId !== this.#mediaId) this.#isReconciled = false;
    this.#mediaId = state.mediaId;
    this.#setTrouble('media', state.problem);
    return state;
  }

  ask<K extends OperationName>(operation: K, ...argument: ArgumentsOf<K>): Promise<AnswerOf<K>> {
    return this.#worker.ask(operation, ...argument);
  }

  async drain(): Promise<void> {
    this.#stopping.abort();
    await this.#writer.drain(DRAIN_LIMIT_MS);
    this.#writer.giveUp();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.drain();
    await this.#worker.close();
    await this.#tasks.settle();
  }

  #onOpen({ mediaId, mediaTrouble, remade }: Opening): void {
    this.#mediaId = mediaId;
    this.#setTrouble('index', null);
    if (remade) {
      this.#setTrouble('remade', remade);
      this.#isReconciled = false;
    }
    this.#setTrouble('media', mediaTrouble);
    // First of all, so that nothing is committed that they are not told of.
    this.#tasks.run('register consumers', () => this.#tellConsumers());
    this.#writer.retry();
    this.#decided.resolve();
  }

  #setTrouble(source: 'index' | 'commit' | 'remade' | 'media', reason: ErrorReport | null): void {
    if (reason?.message === this.#troubles.get(source)?.message) return;
    if (reason) this.#troubles.set(source, reason);
    else this.#troubles.delete(source);
    this.#o.onTroubles?.(this.troubles);
  }

  async #tellConsumers(): Promise<void> {
    if (this.#consumers) await this.#tell('registerConsumers', this.#consumers);
  }

  async #stayAlive(): Promise<void> {
    while (await this.#pause(ALIVE_MS)) await this.#tell('markAlive');
  }

  /** All of it once, then what is new. */
  async #reconcile(): Promise<void> {
    for (;;) {
      const isAll = !this.#isReconciled;
      const recent = { sinceUtcMs: this.#o.clock.utcMs() - DAY_MS, settleMs: SETTLE_MS };
      // Without the right disk there is nothing to compare with.
      if (!this.#troubles.has('media') && (await this.#tell('reconcile', isAll ? {} : recent))) {
        this.#isReconciled = true;
      }
      if (!(await this.#pause(isAll ? FIRST_RECHECK_MS : RECHECK_MS))) return;
    }
  }

  /** false when the library closes. */
  async #pause(ms: number): Promise<boolean> {
    await this.#o.clock.sleep(ms, this.#stopping.signal).catch(() => {});
    return !this.#stopping.signal.aborted;
  }

  /** Asked for its effect; it will be asked again, so that a failure needs no more than a line in the log. */
  async #tell<K extends OperationName>(operation: K, ...argument: ArgumentsOf<K>): Promise<boolean> {
    if (!this.#worker.isOpen) return false;
    try {
      await this.#worker.ask(operation, ...argument);
      return true;
    } catch (error) {
      this.#o.log.warn({ err: error, operation }, 'the library will try again');
      return false;
    }
  }
}
