import { execFile } from 'node:child_process';
import type { Clock } from '../kernel/clock.ts';
import type { Log } from '../kernel/log.ts';
import { TaskSet } from '../kernel/tasks.ts';

export interface WatchdogOptions {
  /** Of the process; `NOTIFY_SOCKET` and `WATCHDOG_USEC` are systemd's (sd_notify(3), sd_watchdog_enabled(3)). */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Why the box does not do its work; null while it does. Asked before each sign of life. */
  readonly stuck: () => string | null;
  readonly clock: Clock;
  readonly log: Log;
  /** Tells systemd; in place of its own program in tests. */
  readonly notify?: (state: string) => Promise<void>;
}

/** A sign of life each third of what systemd waits: one that is late does no harm. */
const PART = 3;

/**
 * Tells systemd that the agent is ready, and, as long as it does its work, that it is alive. A sign of life on a
 * bare timer would keep a box up that no longer records: none is given while `stuck` has a reason.
 *
 * Node has no datagram sockets of the unix kind, so systemd's own `systemd-notify` speaks for us.
 */
export class Watchdog implements AsyncDisposable {
  readonly #o: WatchdogOptions;
  readonly #stopping = new AbortController();
  readonly #tasks: TaskSet;

  constructor(options: WatchdogOptions) {
    this.#o = options;
    this.#tasks = new TaskSet((name, error) => options.log.error({ err: error, task: name }, 'failed'));
  }

  /** Harmless where systemd does not listen. */
  start(): void {
    const { NOTIFY_SOCKET, WATCHDOG_USEC } = this.#o.env;
    if (!NOTIFY_SOCKET) return;
    const everyMs = Number(WATCHDOG_USEC) / 1000 / PART;
    this.#tasks.run('watchdog', async () => {
      await this.#tell('READY=1');
      if (everyMs > 0) await this.#pet(everyMs);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort();
    await this.#tasks.settle();
    if (this.#o.env['NOTIFY_SOCKET']) await this.#tell('STOPPING=1');
  }

  async #pet(everyMs: number): Promise<void> {
    const { clock, log, stuck } = this.#o;
    const { signal } = this.#stopping;
    for (let told: string | null = null; !signal.aborted;) {
      const reason = stuck();
      if (reason === null) await this.#tell('WATCHDOG=1');
      else if (reason !== told)
        log.error({ reason }, 'no sign of life is given to systemd, which will restart us');
      told = reason;
      await clock.sleep(everyMs, signal).catch(() => {});
    }
  }

  async #tell(state: string): Promise<void> {
    const notify = this.#o.notify ?? systemdNotify;
    await notify(state).catch((error: unknown) => {
      this.#o.log.warn({ err: error, state }, 'systemd cannot be told');
    });
  }
}

const systemdNotify = (state: string): Promise<void> =>
  new Promise((resolve, reject) => {
    execFile('systemd-notify', [`--pid=${process.pid}`, state], { timeout: 5000 }, (error) =>
      error ? reject(error) : resolve(),
    );
  });
