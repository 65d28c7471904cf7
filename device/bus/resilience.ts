import type { ModuleHealth } from '../contract/modules.ts';
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

/** Beyond this a message is lost instead of late, as in a real jam. */
const MAX_DELAYED = 1000;

/**
 * Chaos on purpose: stands between the agent and its bus, and delays, loses or breaks what fits a scenario that
 * is armed. Publishers never wait: what is late is late for subscribers only. Disarmed it costs a comparison.
 *
 * Invariant: messages of one topic stay in order.
 */
export class ResilienceTester implements Pick<Bus, 'publish'>, AsyncDisposable {
  readonly #o: ResilienceOptions;
  readonly #armed = new Map<string, ScenarioSettings>();
  readonly #stopping = new AbortController();
  readonly #tasks: TaskSet;
  /** By topic: the end of the line of delayed messages. */
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
    const scenario = this.#armed.size === 0 ? undefined : this.#fitting(topic);
    const pass = (): void => this.#o.bus.publish<P>(topic, payload);
    if (!scenario) {
      this.#afterLine(topic, pass);
      return;
    }
    const { dropProbability, errorProbability, latencyMs } = scenario;
    const { random = Math.random } = this.#o;
    if (random() < dropProbability) {
      this.#tell(scenario, 'drop', topic, { probability: dropProbability });
      return;
    }
    if (random() < errorProbability) {
      this.#tell(scenario, 'error', topic, { probability: errorProbability });
      return;
    }
    if (latencyMs === 0) {
      this.#afterLine(topic, pass);
      return;
    }
    if (this.#delayed >= MAX_DELAYED) {
      this.#tell(scenario, 'drop', topic, { jam: MAX_DELAYED });
      return;
    }
    this.#tell(scenario, 'latency', topic, { latency_ms: latencyMs });
    this.#delay(topic, latencyMs, pass);
  }

  /**
   * For what leaves the agent by another way than the bus, under a name like a topic's: resolves when it may go, late
   * where a scenario says so. @throws Error where the scenario loses or breaks it
   */
  async hold(name: string, signal: AbortSignal): Promise<void> {
    const scenario = this.#armed.size === 0 ? undefined : this.#fitting(name);
    if (!scenario) return;
    const { dropProbability, errorProbability, latencyMs } = scenario;
    const { clock, random = Math.random } = this.#o;
    const isLost = random() < dropProbability;
    if (isLost || random() < errorProbability) {
      this.#tell(scenario, isLost ? 'drop' : 'error', name, {});
      throw new Error(`lost by the scenario ${scenario.name}`);
    }
    if (latencyMs === 0) return;
    this.#tell(scenario, 'latency', name, { latency_ms: latencyMs });
    await clock.sleep(latencyMs, AbortSignal.any([signal, this.#stopping.signal])).catch(() => {});
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

  /** Its own messages are never touched: who looks on must see what it does. */
  #fitting(topic: string): ScenarioSettings | undefined {
    if (topic === 'status.resilience.event') return undefined;
    return [...this.#armed.values()].find((scenario) => matches(scenario.topic, topic));
  }

  #afterLine(topic: string, pass: () => void): void {
    if (this.#lines.has(topic)) this.#delay(topic, 0, pass);
    else pass();
  }

  #delay(topic: string, ms: number, pass: () => void): void {
    const { clock } = this.#o;
    const dueMs = clock.monotonicMs() + ms;
    const ahead = this.#lines.get(topic) ?? Promise.resolve();
    const line = ahead.then(async () => {
      const leftMs = dueMs - clock.monotonicMs();
      if (leftMs > 0) await clock.sleep(leftMs, this.#stopping.signal).catch(() => {});
      this.#delayed--;
      pass();
      if (this.#lines.get(topic) === line) this.#lines.delete(topic);
    });
    this.#delayed++;
    this.#lines.set(topic, line);
    this.#tasks.run(`delayed ${topic}`, () => line);
  }

  #tell(
    scenario: ScenarioSettings,
    action: Payload<'status.resilience.event'>['action'],
    topic: string | null,
    details: Record<string, unknown>,
  ): void {
    this.#o.bus.publish('status.resilience.event', { scenario: scenario.name, topic, action, details });
  }
}
