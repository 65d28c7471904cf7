import type { ModuleHealth, ModuleWork, Trouble } from '../contract/modules.ts';
import { CodedError } from '../contract/errors.ts';
import type { ScenarioSettings } from '../contract/settings.ts';
import type { Payload, TopicName, TopicPattern } from '../contract/topics.ts';
import type { Clock } from '../kernel/clock.ts';
import type { Log } from '../kernel/log.ts';
import { TaskSet } from '../kernel/tasks.ts';
import type { Bus } from './broker.ts';
import { matches } from './names.ts';

export interface ResilienceOptions {
  readonly bus: Pick<Bus, 'publish'>;
  readonly scenarios: readonly ScenarioSettings[];
  readonly clock: Clock;
  readonly log: Log;
  /** 0..1; injected so that tests can fix it. */
  readonly random?: () => number;
}

type Action = Payload<'status.resilience.event'>['action'];

/** A message on a topic, or a piece of a module's work, or a piece of work that has a name like a topic. */
interface Target {
  readonly topic: string | null;
  readonly module: string | null;
}

/** Beyond this a message is lost instead of late, as in a real jam. */
const MAX_DELAYED = 1000;

/**
 * Chaos on purpose: stands between the agent and its bus, and between modules and their work, and delays, loses or
 * breaks what fits a scenario that is armed. Publishers never wait: what is late is late for subscribers only.
 * Disarmed it costs a comparison.
 *
 * Invariant: messages of one topic, and what is passed to one module, stay in order.
 */
export class ResilienceTester implements Pick<Bus, 'publish'>, ModuleWork, AsyncDisposable {
  readonly #o: ResilienceOptions;
  readonly #armed = new Map<string, ScenarioSettings>();
  readonly #stopping = new AbortController();
  readonly #tasks: TaskSet;
  /** By topic or module: the end of the line of what is delayed. */
  readonly #lines = new Map<string, Promise<void>>();
  #delayed = 0;

  constructor(options: ResilienceOptions) {
    this.#o = options;
    this.#tasks = new TaskSet((name, error) => options.log.error({ err: error, task: name }, 'failed'));
    for (const scenario of options.scenarios) if (scenario.enabled) this.#armed.set(scenario.name, scenario);
  }

  /** @throws CodedError SCENARIO_UNKNOWN */
  toggle(name: string, enabled: boolean): void {
    const scenario = this.#o.scenarios.find((known) => known.name === name);
    if (!scenario) {
      const known = this.#o.scenarios.map((each) => each.name).join(', ') || 'none';
      throw new CodedError('SCENARIO_UNKNOWN', `${name}; configured: ${known}`);
    }
    if (enabled) this.#armed.set(name, scenario);
    else this.#armed.delete(name);
    this.#o.log.warn({ scenario: name, enabled }, 'resilience scenario');
    this.#tell(scenario, enabled ? 'enable' : 'disable', null, {});
  }

  publish<P extends TopicPattern>(topic: TopicName<P>, payload: Payload<P>): void {
    const target = { topic, module: null };
    this.#pass(target, topic, () => this.#o.bus.publish<P>(topic, payload));
  }

  pass(module: string, work: () => void): void {
    this.#pass({ topic: null, module }, module, work);
  }

  async attempt<T>(module: string, work: () => Promise<T>): Promise<T> {
    await this.#hold({ topic: null, module });
    return await work();
  }

  /**
   * For what leaves the agent by another way than the bus, under a name like a topic's, as work of `module`: resolves when it may go, late
   * where a scenario says so. @throws CodedError RESILIENCE_INJECTED where the scenario loses or breaks it
   */
  async hold(name: string, module: string, signal: AbortSignal): Promise<void> {
    await this.#hold({ topic: name, module }, signal);
  }

  /** What is armed for a module's work that is done elsewhere. */
  troubleOf(module: string): Trouble | null {
    return this.#fitting({ topic: null, module }) ?? null;
  }

  health(): ModuleHealth {
    const armed = [...this.#armed.keys()];
    return {
      status: armed.length > 0 ? 'healthy' : 'disabled',
      reasons: [],
      details: { scenarios: this.#o.scenarios.map(({ name }) => name), armed, delayed: this.#delayed },
    };
  }

  /** What is late is let through at once. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort();
    await this.#tasks.settle();
  }

  #pass(target: Target, line: string, pass: () => void): void {
    const scenario = this.#fitting(target);
    if (!scenario) this.#afterLine(line, pass);
    else if (this.#mischief(scenario, target)) return;
    else if (scenario.latencyMs === 0) this.#afterLine(line, pass);
    else this.#delay(line, scenario.latencyMs, pass);
  }

  async #hold(target: Target, signal?: AbortSignal): Promise<void> {
    const scenario = this.#fitting(target);
    if (!scenario) return;
    if (this.#mischief(scenario, target)) {
      throw new CodedError('RESILIENCE_INJECTED', `${scenario.name} in ${target.module ?? target.topic}`);
    }
    if (scenario.latencyMs === 0) return;
    const ended = AbortSignal.any([this.#stopping.signal, ...(signal ? [signal] : [])]);
    this.#delayed++;
    await this.#o.clock.sleep(scenario.latencyMs, ended).catch(() => {});
    this.#delayed--;
  }

  /** Its own messages are never touched: who looks on must see what it does. */
  #fitting({ topic, module }: Target): ScenarioSettings | undefined {
    if (this.#armed.size === 0 || topic === 'status.resilience.event') return undefined;
    return [...this.#armed.values()].find(
      (scenario) =>
        (topic !== null && scenario.topic !== null && matches(scenario.topic, topic)) ||
        (module !== null && scenario.module !== null && matches(scenario.module, module)),
    );
  }

  /** Tells what it does to it; true: it is lost. */
  #mischief(scenario: ScenarioSettings, { topic, module }: Target): boolean {
    const { dropProbability, errorProbability, latencyMs } = scenario;
    const { random = Math.random } = this.#o;
    const tell = (action: Action, details: Record<string, unknown>): void =>
      this.#tell(scenario, action, topic, module === null ? details : { module, ...details });
    if (random() < dropProbability) tell('drop', { probability: dropProbability });
    else if (random() < errorProbability) tell('error', { probability: errorProbability });
    else if (latencyMs > 0 && this.#delayed >= MAX_DELAYED) tell('drop', { jam: MAX_DELAYED });
    else {
      if (latencyMs > 0) tell('latency', { latency_ms: latencyMs });
      return false;
    }
    return true;
  }

  #afterLine(line: string, pass: () => void): void {
    if (this.#lines.has(line)) this.#delay(line, 0, pass);
    else pass();
  }

  #delay(name: string, ms: number, pass: () => void): void {
    const { clock } = this.#o;
    const dueMs = clock.monotonicMs() + ms;
    const ahead = this.#lines.get(name) ?? Promise.resolve();
    const line = ahead.then(async () => {
      const leftMs = dueMs - clock.monotonicMs();
      if (leftMs > 0) await clock.sleep(leftMs, this.#stopping.signal).catch(() => {});
      this.#delayed--;
      pass();
      if (this.#lines.get(name) === line) this.#lines.delete(name);
    });
    this.#delayed++;
    this.#lines.set(name, line);
    this.#tasks.run(`delayed ${name}`, () => line);
  }

  #tell(
    scenario: ScenarioSettings,
    action: Action,
    topic: string | null,
    details: Record<string, unknown>,
  ): void {
    this.#o.bus.publish('status.resilience.event', { scenario: scenario.name, topic, action, details });
  }
}
