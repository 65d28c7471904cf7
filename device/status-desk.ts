import type { Bus } from './bus/index.ts';
import { ERRORS, type ErrorReport } from './contract/errors.ts';
import type { Module } from './contract/modules.ts';
import type { Payload } from './contract/topics.ts';
import { summarise, type HealthSummary } from './health/index.ts';
import type { Clock } from './kernel/clock.ts';
import type { Log } from './kernel/log.ts';
import { TaskSet } from './kernel/tasks.ts';
import type { Library } from './library/index.ts';

export interface StatusDeskOptions {
  /** All there are now. */
  readonly modules: () => readonly Module[];
  readonly broker: Pick<Bus, 'statistics'>;
  readonly library: Pick<Library, 'lag'>;
  readonly bus: Pick<Bus, 'publish'>;
  readonly clock: Clock;
  readonly log: Log;
}

const HEALTH_EVERY_MS = 10_000;
/** How soon a change of it is told. */
const HEALTH_CHECK_MS = 1000;
const BUS_EVERY_MS = 5000;

/** Says periodically how the agent is. Truth is asked for when it is told, never remembered. */
export class StatusDesk implements AsyncDisposable {
  readonly #o: StatusDeskOptions;
  readonly #stopping = new AbortController();
  readonly #tasks: TaskSet;
  /** What of the health was told last, and when (monotonic ms). */
  #told = { statuses: '', atMs: -Infinity };

  constructor(options: StatusDeskOptions) {
    this.#o = options;
    this.#tasks = new TaskSet((name, error) => options.log.error({ err: error, task: name }, 'failed'));
  }

  start(): void {
    this.#every('health', HEALTH_CHECK_MS, () => this.#tellHealth());
    this.#every('status of the bus', BUS_EVERY_MS, () => {
      this.#o.bus.publish('status.bus', this.#o.broker.statistics());
      const { waiting, oldestUtcMs } = this.#o.library.lag;
      const nowUtcMs = this.#o.clock.utcMs();
      this.#o.bus.publish('analytics.persistence.cursor', {
        cursor_id: 'index',
        topic: 'event.*',
        event_timestamp: oldestUtcMs,
        lag_seconds: oldestUtcMs === null ? 0 : Math.max(0, nowUtcMs - oldestUtcMs) / 1000,
        backlog: waiting,
      });
    });
  }

  summary(): HealthSummary {
    return summarise(this.#o.modules());
  }

  /** The summary as it is told. */
  health(): Payload<'status.health.summary'> {
    return healthPayload(this.summary());
  }

  /** Whether it does what it is there for: some camera works, and footage can be kept. */
  get isReady(): boolean {
    return this.#idle(() => true) === null;
  }

  /**
   * Why the box does not do its work, though it should; null while it does, and while somebody has to mend it: a disk that is full or locked
   * is not helped by a restart (nor is what follows from it), and whoever looks for the reason finds an agent that says it.
   */
  stuck(): string | null {
    return this.#idle(({ code }) => ERRORS[code].fault !== 'operator');
  }

  #idle(counts: (reason: ErrorReport) => boolean): string | null {
    const { modules } = this.summary();
    const inputs = Object.entries(modules).filter(([id]) => id.startsWith('modules.input.'));
    const cameras = inputs.flatMap(([, { instances }]) => Object.values(instances ?? {}));
    const wanted = cameras.filter(({ status }) => status !== 'disabled');
    if (wanted.length > 0 && wanted.every(({ status }) => status === 'error')) return 'no camera works';
    const storage = modules['modules.storage.retention'];
    return storage?.status === 'error' && storage.reasons.every(counts) ? 'footage cannot be kept' : null;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort();
    await this.#tasks.settle();
  }

  /** In its turn, and when the status of a module has changed. */
  #tellHealth(): void {
    const summary = this.summary();
    const statuses = statusesOf(summary);
    const nowMs = this.#o.clock.monotonicMs();
    if (statuses === this.#told.statuses && nowMs < this.#told.atMs + HEALTH_EVERY_MS) return;
    this.#told = { statuses, atMs: nowMs };
    this.#o.bus.publish('status.health.summary', healthPayload(summary));
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

const statusesOf = ({ modules }: HealthSummary): string =>
  Object.entries(modules)
    .flatMap(([id, { status, instances = {} }]) => [
      `${id} ${status}`,
      Object.entries(instances)
        .map(([instance, health]) => `${instance} ${health.status}`)
        .join(),
    ])
    .join();

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
