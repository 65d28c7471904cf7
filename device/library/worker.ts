import { Worker } from 'node:worker_threads';
import { CodedError } from '../contract/errors.ts';
import type { Meter } from '../contract/metrics.ts';
import { backoff } from '../kernel/backoff.ts';
import type { Clock } from '../kernel/clock.ts';
import type { Log } from '../kernel/log.ts';
import type { Opening } from './opening.ts';
import type { AnswerOf, ArgumentsOf, OperationName } from './operations.ts';
import type { ThreadMessage, ThreadRequest, ThreadStart } from './thread.ts';

export interface LibraryWorkerOptions {
  readonly start: Omit<ThreadStart, 'check' | 'run'>;
  readonly clock: Clock;
  readonly log: Log;
  readonly meter: Meter;
  /** The index is open, for the first time or again. */
  readonly onOpen: (opening: Opening) => void;
  /** It is not, or no longer; `isFinal` when there will be no other attempt. */
  readonly onDown: (reason: CodedError, isFinal: boolean) => void;
}

/** Questions on their way; more are refused. */
const MAX_PENDING = 256;
/** Another attempt changes nothing about these. */
const FINAL = new Set(['INDEX_NEWER']);
/** A thread that lived this long starts its next outage with fresh patience. */
const HEALTHY_AFTER_MS = 60_000;
/** A question that takes more ends the thread, not the agent. */
const resourceLimits = { maxOldGenerationSizeMb: 192 };
const CLOSE_LIMIT_MS = 10_000;

/**
 * The thread that holds the index, kept alive until closed (0.5 s → 30 s between attempts).
 *
 * Invariant: at most one thread at a time. What was asked of one that died is refused, never asked again here.
 */
export class LibraryWorker {
  readonly #o: LibraryWorkerOptions;
  readonly #stopping = new AbortController();
  readonly #pending = new Map<number, PromiseWithResolvers<unknown>>();
  #loop: Promise<void> | null = null;
  #worker: Worker | null = null;
  #isOpen = false;
  #lastId = 0;
  #run: number | null = null;

  constructor(options: LibraryWorkerOptions) {
    this.#o = options;
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  start(): void {
    this.#loop ??= this.#keepAlive();
  }

  /** @throws CodedError INDEX_UNAVAILABLE, or what went wrong */
  ask<K extends OperationName>(operation: K, ...[argument]: ArgumentsOf<K>): Promise<AnswerOf<K>> {
    if (!this.#isOpen) return Promise.reject(new CodedError('INDEX_UNAVAILABLE', 'it is not open'));
    if (this.#pending.size >= MAX_PENDING) {
      this.#o.meter.count('spyoncino_drops_total', { stage: 'library', reason: 'too many questions' });
      return Promise.reject(new CodedError('INDEX_UNAVAILABLE', 'too many questions at once'));
    }
    const id = ++this.#lastId;
    const answer = Promise.withResolvers<unknown>();
    this.#pending.set(id, answer);
    this.#worker?.postMessage({ id, operation, argument } satisfies ThreadRequest);
    return answer.promise as Promise<AnswerOf<K>>;
  }

  /** What was asked is answered first. Idempotent. */
  async close(): Promise<void> {
    if (!this.#stopping.signal.aborted) this.#stopping.abort();
    const closed = new AbortController();
    const late = this.#o.clock.sleep(CLOSE_LIMIT_MS, closed.signal).then(
      () => this.#worker?.terminate(),
      () => {},
    );
    await this.#loop;
    closed.abort();
    await late;
  }

  async #keepAlive(): Promise<void> {
    const { clock, log, meter, onDown } = this.#o;
    const stopped = this.#stopping.signal;
    let delays = backoff({ firstMs: 500, maxMs: 30_000 });
    let check = false;
    while (!stopped.aborted) {
      const startedMs = clock.monotonicMs();
      const { reason, wasOpen } = await this.#runOnce(check);
      if (stopped.aborted) return;
      if (clock.monotonicMs() - startedMs >= HEALTHY_AFTER_MS)
        delays = backoff({ firstMs: 500, maxMs: 30_000 });
      check = reason.code === 'INDEX_UNUSABLE';
      const isFinal = FINAL.has(reason.code);
      const retryInMs = isFinal ? null : delays.next().value;
      log.error({ err: reason, retryInMs }, 'the index of the footage is not open');
      if (wasOpen) meter.count('spyoncino_child_exits_total', { child: 'library', reason: reason.code });
      onDown(reason, isFinal);
      if (retryInMs === null) return;
      await clock.sleep(retryInMs, stopped).catch(() => {});
    }
  }

  async #runOnce(check: boolean): Promise<{ reason: CodedError; wasOpen: boolean }> {
    const { start, onOpen } = this.#o;
    const workerData: ThreadStart = { ...start, check, run: this.#run };
    const worker = new Worker(new URL('./thread.ts', import.meta.url), { workerData, resourceLimits });
    this.#worker = worker;
    let reason = new CodedError('INDEX_UNAVAILABLE', 'its thread ended');
    worker.on('message', (message: ThreadMessage) => {
      switch (message.type) {
        case 'open':
          this.#isOpen = true;
          this.#run = message.opening.run;
          onOpen(message.opening);
          break;
        case 'failed':
          reason = CodedError.of(message.reason);
          break;
        case 'answer':
          this.#take(message.id)?.resolve(message.answer);
          break;
        case 'error':
          if (message.reason.code === 'INDEX_UNUSABLE') reason = CodedError.of(message.reason);
          this.#take(message.id)?.reject(CodedError.of(message.reason));
      }
    });
    worker.on('error', (error) => (reason = CodedError.from(error, 'INDEX_UNAVAILABLE')));
    const exited = Promise.withResolvers<void>();
    worker.once('exit', () => exited.resolve());
    const close = (): void => worker.postMessage({ type: 'close' } satisfies ThreadRequest);
    this.#stopping.signal.addEventListener('abort', close, { once: true });
    try {
      await exited.promise;
      return { reason, wasOpen: this.#isOpen };
    } finally {
      this.#stopping.signal.removeEventListener('abort', close);
      this.#isOpen = false;
      this.#worker = null;
      for (const id of this.#pending.keys()) this.#take(id)?.reject(reason);
    }
  }

  #take(id: number): PromiseWithResolvers<unknown> | undefined {
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    return pending;
  }
}
