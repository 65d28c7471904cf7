import type { DetectResult } from '../contract/detect.ts';
import { CodedError } from '../contract/errors.ts';
import type { Meter } from '../contract/metrics.ts';
import { backoff } from '../kernel/backoff.ts';
import type { Clock } from '../kernel/clock.ts';
import type { Log } from '../kernel/log.ts';
import { TaskSet } from '../kernel/tasks.ts';
import { DetectJob } from './job.ts';
import type { CropResult } from './model-worker.ts';
import { FairSchedule, type Turn } from './schedule.ts';

/** A worker as the detector uses it. After a failed `run` it is disposed of and replaced. */
export interface CropWorker extends AsyncDisposable {
  run(rgb: Uint8Array<ArrayBuffer>): Promise<CropResult>;
}

export interface DetectorOptions {
  readonly workers: number;
  /** Makes one worker; called again for each replacement. */
  createWorker(signal: AbortSignal): Promise<CropWorker>;
  readonly meter: Meter;
  readonly log: Log;
  readonly clock: Clock;
}

/**
 * Crops in, detections out: a fair schedule in front of workers that are replaced when they fail.
 *
 * Invariant: a worker is in `#workers` from its start to its end, and in `#idle` exactly while it has no crop.
 */
export class Detector implements AsyncDisposable {
  readonly #o: DetectorOptions;
  readonly #schedule = new FairSchedule<DetectJob>();
  readonly #workers = new Set<CropWorker>();
  readonly #idle: CropWorker[] = [];
  readonly #tasks: TaskSet;
  readonly #stopping = new AbortController();
  #starting = 0;

  private constructor(options: DetectorOptions) {
    this.#o = options;
    this.#tasks = new TaskSet((name, error) =>
      options.log.error({ err: error, task: name }, 'detector task failed'),
    );
  }

  /**
   * Resolves when the first worker is ready; the others follow on their own.
   * @throws whatever `createWorker` throws for the first one
   */
  static async create(options: DetectorOptions): Promise<Detector> {
    const detector = new Detector(options);
    detector.#admit(await options.createWorker(detector.#stopping.signal));
    for (let i = 1; i < options.workers; i++) detector.#enlist();
    return detector;
  }

  /**
   * Looks at the crops of one camera (`lane`), whose bytes it takes over. Resolves to null when a newer
   * request of the lane took this one's place. @throws CodedError DETECTOR_FAILED
   */
  detect(lane: string, crops: readonly Uint8Array<ArrayBuffer>[]): Promise<DetectResult | null> {
    const { clock, meter } = this.#o;
    if (crops.length === 0) return Promise.resolve({ detections: [], inferenceMs: 0, queueMs: 0 });
    // Without a worker in sight a request would wait in vain.
    if (this.#stopping.signal.aborted || this.#workers.size + this.#starting === 0)
      return Promise.reject(new CodedError('DETECTOR_FAILED', 'no detection worker is running'));
    const job = new DetectJob(lane, crops, clock.monotonicMs());
    const superseded = this.#schedule.offer(lane, job);
    if (superseded) {
      meter.count('spyoncino_drops_total', { stage: 'detect', reason: 'superseded' });
      superseded.supersede();
    }
    this.#pump();
    return job.answer;
  }

  /** The camera is gone: its requests fail, and nothing of them is begun any more. */
  leave(lane: string): void {
    const error = new CodedError('DETECTOR_FAILED', 'the camera left');
    for (const job of this.#schedule.leave(lane)) job.fail(error);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort();
    this.#refuseAll(new CodedError('DETECTOR_FAILED', 'the detector stops'));
    await Promise.all([...this.#workers].map((worker) => worker[Symbol.asyncDispose]()));
    await this.#tasks.settle();
  }

  #pump(): void {
    for (let worker = this.#idle.pop(); worker; worker = this.#idle.pop()) {
      const turn = this.#schedule.take();
      const free = worker;
      if (!turn) {
        this.#idle.push(free);
        return;
      }
      this.#tasks.run('crop', () => this.#work(free, turn));
    }
  }

  async #work(worker: CropWorker, { job, unit }: Turn<DetectJob>): Promise<void> {
    const { clock, meter } = this.#o;
    const fromMs = clock.monotonicMs();
    let result: CropResult;
    try {
      result = await worker.run(job.crops[unit]!);
    } catch (error) {
      this.#schedule.finish(job.lane, job);
      job.fail(CodedError.from(error, 'DETECTOR_FAILED'));
      await this.#replace(worker, error);
      return;
    }
    const answer = job.put(unit, result, fromMs, clock.monotonicMs());
    if (answer) {
      this.#schedule.finish(job.lane, job);
      meter.observe('spyoncino_inference_ms', answer.inferenceMs);
      meter.observe('spyoncino_queue_wait_ms', answer.queueMs);
    }
    this.#idle.push(worker);
    this.#pump();
  }

  async #replace(worker: CropWorker, error: unknown): Promise<void> {
    this.#workers.delete(worker);
    if (this.#stopping.signal.aborted) return;
    this.#o.log.warn({ err: error }, 'a detection worker failed and is replaced');
    this.#enlist();
    this.#pump();
    await worker[Symbol.asyncDispose]();
  }

  #admit(worker: CropWorker): void {
    this.#workers.add(worker);
    this.#idle.push(worker);
    this.#pump();
  }

  #enlist(): void {
    this.#starting++;
    this.#tasks.run('start worker', () => this.#start());
  }

  async #start(): Promise<void> {
    const { clock, log } = this.#o;
    const { signal } = this.#stopping;
    for (const delayMs of backoff({ firstMs: 500, maxMs: 30_000 })) {
      try {
        const worker = await this.#o.createWorker(signal);
        this.#starting--;
        if (signal.aborted) await worker[Symbol.asyncDispose]();
        else this.#admit(worker);
        return;
      } catch (error) {
        this.#starting--;
        if (signal.aborted) return;
        log.error({ err: error, retryInMs: delayMs }, 'a detection worker does not start');
        if (this.#workers.size + this.#starting === 0)
          this.#refuseAll(CodedError.from(error, 'DETECTOR_FAILED'));
      }
      await clock.sleep(delayMs, signal).catch(() => {});
      if (signal.aborted) return;
      this.#starting++;
    }
  }

  #refuseAll(error: CodedError): void {
    for (const job of this.#schedule.clear()) job.fail(error);
  }
}
