import { CodedError, type ErrorReport } from '../contract/errors.ts';
import type { GpioOutputSettings, PulseResult } from '../contract/gpio.ts';
import { backoff } from '../kernel/backoff.ts';
import type { Part } from '../kernel/slot.ts';
import { TaskSet } from '../kernel/tasks.ts';
import { untilReplaced } from './chip.ts';
import { faultOf, requireTools } from './faults.ts';
import { lineArguments, type LineOptions, RETRY } from './line.ts';
import { Guard } from './guard.ts';
import { lengthOf, runOf } from './pattern.ts';

export interface OutputOptions extends LineOptions {
  readonly settings: GpioOutputSettings;
  readonly onRun: (state: 'started' | 'ended', endUtcMs: number) => void;
}

/** A run that takes so much longer than it may is ended by force. */
const LATE_MS = 1500;
/** A pause that lets nothing spin. */
const AT_ONCE_MS = 50;
/** Until a line is ours, or not. */
const START_LIMIT_MS = 5000;
interface Wanted {
  readonly run: readonly number[];
  readonly answer: PromiseWithResolvers<PulseResult>;
}

/** The output has to rest before it runs again. */
export class RestingError extends CodedError {
  readonly restMs: number;

  constructor(restMs: number) {
    super('GPIO_RESTING', `${(restMs / 1000).toFixed(1)} s more`);
    this.restMs = restMs;
  }
}

/**
 * A siren or light. From its start to its stop a guard holds the line at its inactive level, but for the runs that
 * somebody asks for.
 *
 * Invariant: at most one guard at a time; the next begins only after the last has set the line off and ended.
 */
export class GpioOutput implements Part {
  readonly #o: OutputOptions;
  readonly #stopping = new AbortController();
  readonly #tasks: TaskSet;
  #guard: Guard | null = null;
  /** We have told the guard to end. */
  #isExpected = false;
  #wanted: Wanted | null = null;
  #areToolsThere = false;
  #isHeld = false;
  /** A guard was killed, and no other one has set the line off since. */
  #mayBeOn = false;
  #fault: ErrorReport | null = null;
  /** Of the run that goes on. */
  #endUtcMs: number | null = null;
  #restUntilMs: number;
  #runs = 0;

  constructor(options: OutputOptions) {
    this.#o = options;
    const { clock, log, settings } = options;
    // What ran before a restart counts, too, and nobody knows when that was.
    this.#restUntilMs = clock.monotonicMs() + settings.restMs;
    this.#tasks = new TaskSet((name, error) => log.error({ err: error, task: name }, 'failed'));
  }

  start(): void {
    this.#tasks.run(`GPIO output ${this.#o.settings.id}`, () => this.#keep());
  }

  /** Why the line is not ours; null when it is, or is about to be. */
  get fault(): ErrorReport | null {
    return this.#fault;
  }

  get details(): Readonly<Record<string, unknown>> {
    const { chip, line } = this.#o.settings;
    const state = this.#endUtcMs !== null ? 'running' : this.#isHeld ? 'off' : 'not held';
    return { chip, line, state, runs: this.#runs, end_ts: this.#endUtcMs };
  }

  /**
   * Runs the pattern, or is simply on for `onMs`; never for longer than it may. Resolves when it has begun.
   * @throws CodedError GPIO_RESTING, GPIO_PAUSED, and why the line cannot be had
   */
  async pulse(onMs: number | null): Promise<PulseResult> {
    const { clock, settings } = this.#o;
    if (this.#endUtcMs !== null) return { started: false, endUtcMs: this.#endUtcMs };
    if (this.#wanted) return { ...(await this.#wanted.answer.promise), started: false };
    if (this.#stopping.signal.aborted) throw new CodedError('GPIO_PAUSED', settings.id);
    if (this.#fault) throw CodedError.of(this.#fault);
    const restMs = Math.ceil(this.#restUntilMs - clock.monotonicMs());
    if (restMs > 0) throw new RestingError(restMs);
    const pattern = onMs === null ? settings.pattern : { onMs, offMs: 0, times: 1 };
    const wanted = { run: runOf(pattern, settings.maxOnMs), answer: Promise.withResolvers<PulseResult>() };
    this.#wanted = wanted;
    void this.#end();
    return await wanted.answer.promise;
  }

  /** Off; resolves when it is. */
  async quiet(): Promise<void> {
    await this.#wanted?.answer.promise.catch(() => {});
    if (this.#endUtcMs !== null) await this.#end();
  }

  /** Off, and the line let go; resolves when that is done. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#end();
    await this.#tasks.settle();
  }

  /** Ends what goes on, so that the next thing begins. */
  async #end(): Promise<void> {
    this.#isExpected = true;
    await this.#guard?.end();
  }

  async #keep(): Promise<void> {
    const { clock, log, meter, settings } = this.#o;
    const { signal } = this.#stopping;
    let delays = backoff(RETRY);
    while (!signal.aborted) {
      const wanted = this.#wanted;
      this.#isExpected = false;
      const fault = await this.#holdOnce(wanted).catch((error: unknown) =>
        CodedError.from(error, 'GPIO_FAILED'),
      );
      if (wanted && this.#wanted === wanted) {
        this.#wanted = null;
        wanted.answer.reject(fault ?? new CodedError('GPIO_PAUSED', settings.id));
      }
      if (!fault) continue;
      if (this.#fault === null) delays = backoff(RETRY);
      if (this.#fault?.code !== fault.code) {
        log.warn({ output: settings.id, code: fault.code, reason: fault.message }, 'a line is not held');
      }
      meter.count('spyoncino_child_exits_total', { child: 'gpio', reason: fault.code });
      this.#areToolsThere = false;
      this.#fault = fault.report();
      await clock.sleep(this.#mayBeOn ? AT_ONCE_MS : delays.next().value, signal).catch(() => {});
    }
    if (this.#mayBeOn) await this.#setOff();
    this.#wanted?.answer.reject(new CodedError('GPIO_PAUSED', settings.id));
    this.#wanted = null;
  }

  /** One guard, from its start to its end. Why it ended; null when we had told it to. */
  async #holdOnce(wanted: Wanted | null): Promise<CodedError | null> {
    const { clock, path, settings } = this.#o;
    const run = wanted?.run ?? [];
    if (!this.#areToolsThere) await requireTools(path);
    this.#areToolsThere = true;
    // Something else may have been asked for meanwhile.
    if (this.#isExpected) return null;
    const held = Promise.withResolvers<void>();
    const rested = Promise.withResolvers<void>();
    const guard = new Guard({
      ...{ script: 'output.sh', path, clock },
      args: argumentsOf(settings, run),
      onLine: (line) => {
        if (line === 'rest') {
          rested.resolve();
          this.#ranOut();
        } else if (!this.#isHeld) {
          this.#isHeld = true;
          this.#mayBeOn = false;
          this.#fault = null;
          held.resolve();
          if (wanted) this.#began(wanted);
        }
      },
    });
    this.#guard = guard;
    const over = new AbortController();
    // The guard keeps time by itself; this is for one that hangs.
    const limit = async (ms: number, done: Promise<void>): Promise<void> => {
      const inTime = new AbortController();
      const late = clock.sleep(ms, AbortSignal.any([over.signal, inTime.signal])).then(
        () => guard.kill(),
        () => {},
      );
      await Promise.race([done, late]);
      inTime.abort();
      await late;
    };
    const watches = [
      limit(START_LIMIT_MS, held.promise).then(() =>
        run.length === 0 ? undefined : limit(lengthOf(run) + LATE_MS, rested.promise),
      ),
      untilReplaced(settings.chip, clock, over.signal).then(() =>
        over.signal.aborted ? undefined : this.#end(),
      ),
    ];
    const complaint = await guard.ended;
    over.abort();
    this.#guard = null;
    this.#isHeld = false;
    this.#mayBeOn ||= guard.wasKilled;
    this.#ranOut();
    await Promise.all(watches);
    return this.#isExpected ? null : faultOf(complaint, settings);
  }

  /** A guard that has nothing else to do. */
  async #setOff(): Promise<void> {
    const { clock, path, settings } = this.#o;
    const args = argumentsOf(settings, []);
    await new Guard({ ...{ script: 'output.sh', args, path, clock }, onLine: () => {} }).end();
  }

  #began({ run, answer }: Wanted): void {
    const endUtcMs = Math.round(this.#o.clock.utcMs() + lengthOf(run));
    this.#wanted = null;
    this.#endUtcMs = endUtcMs;
    this.#runs++;
    this.#o.onRun('started', endUtcMs);
    answer.resolve({ started: true, endUtcMs });
  }

  #ranOut(): void {
    const { clock, settings, onRun } = this.#o;
    if (this.#endUtcMs === null) return;
    this.#endUtcMs = null;
    this.#restUntilMs = clock.monotonicMs() + settings.restMs;
    onRun('ended', clock.utcMs());
  }
}

/** Of `output.sh`. */
function argumentsOf(settings: GpioOutputSettings, run: readonly number[]): readonly string[] {
  const { drive, id, line } = settings;
  const periods = run.length === 0 ? '' : [...run, 0].join(',');
  const limitS = Math.ceil((lengthOf(run) + LATE_MS) / 1000);
  return [
    ...[`${line}=inactive`, `${line}=active`, periods, String(limitS)],
    ...lineArguments(settings, id),
    ...['--drive', drive],
  ];
}
