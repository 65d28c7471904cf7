import { CodedError, type ErrorReport } from '../contract/errors.ts';
import type { GpioInputSettings } from '../contract/gpio.ts';
import { backoff } from '../kernel/backoff.ts';
import { RateLimiter } from '../kernel/rate-limit.ts';
import type { Part } from '../kernel/slot.ts';
import { TaskSet } from '../kernel/tasks.ts';
import { untilReplaced } from './chip.ts';
import { faultOf, requireTools } from './faults.ts';
import { Guard } from './guard.ts';
import { lineArguments, RETRY, type LineOptions } from './line.ts';

export type Edge = 'rising' | 'falling';

export interface InputOptions extends LineOptions {
  readonly settings: GpioInputSettings;
  /** Returns at once. */
  readonly onTrigger: (edge: Edge) => void;
}

/** A sensor, button or contact: says when its line changes as it should, not more often than it should. */
export class GpioInput implements Part {
  readonly #o: InputOptions;
  readonly #stopping = new AbortController();
  readonly #tasks: TaskSet;
  readonly #holdOff: RateLimiter | null;
  #guard: Guard | null = null;
  #isHeld = false;
  #fault: ErrorReport | null = null;
  #triggers = 0;
  #heldOff = 0;
  #last: { readonly edge: Edge; readonly ts: number } | null = null;

  constructor(options: InputOptions) {
    this.#o = options;
    const { holdOffMs } = options.settings;
    this.#holdOff = holdOffMs === 0 ? null : new RateLimiter({ maxEvents: 1, perMs: holdOffMs });
    this.#tasks = new TaskSet((name, error) => options.log.error({ err: error, task: name }, 'failed'));
  }

  start(): void {
    this.#tasks.run(`GPIO input ${this.#o.settings.id}`, () => this.#keep());
  }

  /** Why the line is not watched; null when it is, or is about to be. */
  get fault(): ErrorReport | null {
    return this.#fault;
  }

  get details(): Readonly<Record<string, unknown>> {
    const { chip, line } = this.#o.settings;
    const state = this.#isHeld ? 'watched' : 'not held';
    return { chip, line, state, triggers: this.#triggers, held_off: this.#heldOff, last: this.#last };
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#guard?.end();
    await this.#tasks.settle();
  }

  async #keep(): Promise<void> {
    const { clock, log, meter, settings } = this.#o;
    const { signal } = this.#stopping;
    let delays = backoff(RETRY);
    while (!signal.aborted) {
      const fault = await this.#watchOnce().catch((error: unknown) => CodedError.from(error, 'GPIO_FAILED'));
      if (!fault) continue;
      if (this.#fault === null) delays = backoff(RETRY);
      if (this.#fault?.code !== fault.code) {
        log.warn({ input: settings.id, code: fault.code, reason: fault.message }, 'a line is not watched');
      }
      meter.count('spyoncino_child_exits_total', { child: 'gpio', reason: fault.code });
      this.#fault = fault.report();
      await clock.sleep(delays.next().value, signal).catch(() => {});
    }
  }

  /** Why it ended; null when it is to be looked at anew, or no more. */
  async #watchOnce(): Promise<CodedError | null> {
    const { clock, path, settings } = this.#o;
    await requireTools(path);
    if (this.#stopping.signal.aborted) return null;
    const guard = new Guard({
      ...{ script: 'input.sh', path, clock },
      args: argumentsOf(settings),
      onLine: (line) => this.#onLine(line),
    });
    this.#guard = guard;
    const over = new AbortController();
    let isReplaced = false;
    const replaced = untilReplaced(settings.chip, clock, over.signal).then(() => {
      isReplaced = !over.signal.aborted;
      return isReplaced ? guard.end() : undefined;
    });
    const complaint = await guard.ended;
    over.abort();
    this.#guard = null;
    this.#isHeld = false;
    await replaced;
    return isReplaced || this.#stopping.signal.aborted ? null : faultOf(complaint, settings);
  }

  /** The tool's banner, then one word for each edge. */
  #onLine(line: string): void {
    this.#isHeld = true;
    this.#fault = null;
    if (line !== 'rising' && line !== 'falling') return;
    const { clock, meter, onTrigger } = this.#o;
    if (this.#holdOff?.allows('', clock.monotonicMs()) === false) {
      this.#heldOff++;
      meter.count('spyoncino_drops_total', { stage: 'gpio', reason: 'hold_off' });
      return;
    }
    this.#triggers++;
    this.#last = { edge: line, ts: clock.utcMs() };
    onTrigger(line);
  }
}

/** Of `gpiomon`. */
const argumentsOf = (settings: GpioInputSettings): readonly string[] => {
  const { debounceMs, edge, id, line } = settings;
  return [
    ...['--banner', '--format', '%E', '--edges', edge],
    ...(debounceMs === 0 ? [] : ['--debounce-period', `${debounceMs}ms`]),
    ...lineArguments(settings, id),
    String(line),
  ];
};
