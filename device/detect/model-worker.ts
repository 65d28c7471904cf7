import { Worker } from 'node:worker_threads';
import type { Detection } from '../contract/detect.ts';
import { CodedError } from '../contract/errors.ts';
import type { Clock } from '../kernel/clock.ts';
import type { ThreadMessage, ThreadRequest, ThreadStart } from './model-thread.ts';

/** A GPU may compile shaders for a minute when it meets a model; an old board under load takes as long to load it. */
const START_LIMIT_MS = 240_000;
/** What takes longer hangs. Where the first crop took long already, it has more time, but not without end. */
const RUN_LIMIT_MS = { least: 10_000, most: 60_000 } as const;
const RUN_LIMIT_FIRSTS = 5;

export const runLimitMs = (firstRunMs: number): number =>
  Math.min(RUN_LIMIT_MS.most, Math.max(RUN_LIMIT_MS.least, RUN_LIMIT_FIRSTS * firstRunMs));
/** A thread inside native code cannot be stopped; we do not wait for it longer than this. */
const END_LIMIT_MS = 1000;

export interface ModelWorkerOptions {
  readonly start: ThreadStart;
  readonly clock: Clock;
  readonly signal?: AbortSignal;
}

export interface CropResult {
  readonly detections: readonly Detection[];
  /** Time in the model itself. */
  readonly runMs: number;
}

/**
 * One thread with one model, as its owner sees it. After any failure it is dead for good.
 *
 * Invariant: at most one crop is inside, so an answer needs no number.
 */
export class ModelWorker implements AsyncDisposable {
  readonly #worker: Worker;
  readonly #clock: Clock;
  readonly #dead = new AbortController();
  #waiting: PromiseWithResolvers<ThreadMessage> | null = null;
  #runLimitMs: number = RUN_LIMIT_MS.least;

  private constructor({ start, clock }: ModelWorkerOptions) {
    this.#clock = clock;
    this.#worker = new Worker(new URL('./model-thread.ts', import.meta.url), { workerData: start });
    this.#worker.on('message', (message: ThreadMessage) => {
      this.#waiting?.resolve(message);
      this.#waiting = null;
    });
    this.#worker.on('error', (error) => this.#die(error));
    this.#worker.on('exit', (code) => this.#die(new Error(`detection thread ended with ${code}`)));
  }

  /**
   * Resolves when the model is loaded and has answered once.
   * @throws CodedError BACKEND_UNAVAILABLE | MODEL_* | DETECTOR_FAILED
   */
  static async create(options: ModelWorkerOptions): Promise<ModelWorker> {
    const worker = new ModelWorker(options);
    const abort = (): void => worker.#die(new Error('stopped while starting'));
    options.signal?.addEventListener('abort', abort, { once: true });
    try {
      if (options.signal?.aborted) abort();
      const message = await worker.#answer(START_LIMIT_MS);
      if (message.type === 'failed') throw CodedError.of(message.reason);
      if (message.type === 'ready') worker.#runLimitMs = runLimitMs(message.firstRunMs);
      return worker;
    } catch (error) {
      await worker[Symbol.asyncDispose]();
      throw error;
    } finally {
      options.signal?.removeEventListener('abort', abort);
    }
  }

  get alive(): boolean {
    return !this.#dead.signal.aborted;
  }

  /** The bytes of `rgb` move away and cannot be read any more. @throws CodedError DETECTOR_FAILED */
  async run(rgb: Uint8Array<ArrayBuffer>): Promise<CropResult> {
    const answer = this.#answer(this.#runLimitMs);
    if (this.alive) this.#worker.postMessage({ rgb } satisfies ThreadRequest, [rgb.buffer]);
    const message = await answer;
    if (message.type === 'done') return message;
    throw new CodedError('DETECTOR_FAILED', `unexpected answer ${message.type}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#die(new Error('stopped'));
    const limit = new AbortController();
    await Promise.race([
      this.#worker.terminate(),
      this.#clock.sleep(END_LIMIT_MS, limit.signal).catch(() => {}),
    ]);
    limit.abort();
  }

  /** The next message; the thread is given up when it does not come in time. */
  async #answer(limitMs: number): Promise<ThreadMessage> {
    this.#dead.signal.throwIfAborted();
    const waiting = (this.#waiting = Promise.withResolvers<ThreadMessage>());
    const late = new AbortController();
    const watch = this.#clock.sleep(limitMs, late.signal).then(
      () => this.#die(new Error(`no answer within ${limitMs} ms`)),
      () => {},
    );
    try {
      return await waiting.promise;
    } finally {
      late.abort();
      await watch;
    }
  }

  #die(error: Error): void {
    if (!this.alive) return;
    const reason = new CodedError('DETECTOR_FAILED', error.message, { cause: error });
    this.#dead.abort(reason);
    this.#waiting?.reject(reason);
    this.#waiting = null;
    void this.#worker.terminate();
  }
}
