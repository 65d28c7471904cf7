import type { Bus } from './bus/index.ts';
import type { Module } from './contract/modules.ts';
import type { Payload } from './contract/topics.ts';
import { summarise, type HealthSummary } from './health/index.ts';
import type { Clock } from './kernel/clock.ts';
import type { Log } from './kernel/log.ts';
import { TaskSet } from './kernel/tasks.ts';

export interface StatusDeskOptions {
  /** All there are now. */
  readonly modules: () => readonly Module[];
  readonly busStatus: () => Payload<'status.bus'>;
  readonly cursor: () => Payload<'analytics.persistence.cursor'>;
  readonly bus: Pick<Bus, 'publish'>;
  readonly clock: Clock;
  readonly log: Log;
}

const HEALTH_EVERY_MS = 10_000;
const BUS_EVERY_MS = 5000;

/** Says periodically how the agent is. Truth is asked for when it is told, never remembered. */
export class StatusDesk implements AsyncDisposable {
  readonly #o: StatusDeskOptions;
  readonly #stopping = new AbortController();
  readonly #tasks: TaskSet;

  constructor(options: StatusDeskOptions) {
    this.#o = options;
    this.#tasks = new TaskSet((name, error) => options.log.error({ err: error, task: name }, 'failed'));
  }

  start(): void {
    this.#every('health', HEALTH_EVERY_MS, () => this.tellHealth());
    this.#every('status of the bus', BUS_EVERY_MS, () => {
      this.#o.bus.publish('status.bus', this.#o.busStatus());
      this.#o.bus.publish('analytics.persistence.cursor', this.#o.cursor());
    });
  }

  summary(): HealthSummary {
    return summarise(this.#o.modules());
  }

  /** Beside its turn, when something has just changed. */
  tellHealth(): void {
    this.#o.bus.publish('status.health.summary', healthPayload(this.summary()));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort();
    await this.#tasks.settle();
  }

  #every(name: string, ms: number, work: () => void): void {
    const { signal } = this.#stopping;
    this.#tasks.run(name, async () => {
      while (!signal.aborted) {
        work();
        await this.#o.clock.sleep(ms, signal).catch(() => {});
      }
    });
  }
}

/** The runbook looks for `details.clients`; the original hid it under the name of the gateway. */
function healthPayload({ status, modules }: HealthSummary): Payload<'status.health.summary'> {
  const gateway = modules['modules.dashboard.websocket_gateway'];
  return {
    status,
    modules: Object.fromEntries(
      Object.entries(modules).map(([id, { instances, ...report }]) => [
        id,
        {
          ...copyOf(report),
          ...(instances && {
            instances: Object.fromEntries(
              Object.entries(instances).map(([name, health]) => [name, copyOf(health)]),
            ),
          }),
        },
      ]),
    ),
    details: { clients: gateway?.details['clients'] ?? 0 },
  };
}

const copyOf = ({ status, reasons, details }: HealthSummary['modules'][string]) => ({
  status,
  reasons: [...reasons],
  details: { ...details },
});
