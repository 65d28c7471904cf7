import { CodedError, type ErrorReport } from '../contract/errors.ts';
import type { Module, ModuleStatus } from '../contract/modules.ts';
import type { Clock } from '../kernel/clock.ts';
import type { Log } from '../kernel/log.ts';
import { TaskSet } from '../kernel/tasks.ts';
import { FREE, nextLock, type LockState } from './lock-policy.ts';
import { Supervisor, type SupervisedDevice } from './supervisor.ts';
import { LOCK_PATH, UpdateLock } from './update-lock.ts';

export interface BalenaOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly version: string;
  /** Which camera records an event now; null: none. */
  readonly recording: () => string | null;
  /** How the agent is. */
  readonly health: () => Exclude<ModuleStatus, 'disabled'>;
  /** For tests. */
  readonly lockPath?: string;
  readonly clock: Clock;
  readonly log: Log;
}

export const BALENA = 'modules.system.balena';
const LOCK_CHECK_MS = 1000;
const REPORT_EVERY_MS = 30_000;

/** null where no balena supervisor looks after us. */
export function balenaFrom(options: BalenaOptions): Balena | null {
  const { BALENA_SUPERVISOR_ADDRESS: address, BALENA_SUPERVISOR_API_KEY: key } = options.env;
  if (options.env['BALENA'] !== '1' || !address || !key) return null;
  return new Balena(options, new Supervisor(address, key));
}

/** Holds updates back while an event is recorded, and tells the fleet how the device is. */
export class Balena {
  readonly #o: BalenaOptions;
  readonly #supervisor: Supervisor;
  readonly #lock: UpdateLock;
  readonly #stopping = new AbortController();
  readonly #tasks: TaskSet;
  #state: LockState = FREE;
  #device: SupervisedDevice | null = null;
  #reason: ErrorReport | null = null;
  #lockReason: ErrorReport | null = null;
  /** What the tags were set to last; null: this supervisor knows none. */
  #tags: string | null = '';

  constructor(options: BalenaOptions, supervisor: Supervisor) {
    this.#o = options;
    this.#supervisor = supervisor;
    this.#lock = new UpdateLock(options.lockPath ?? LOCK_PATH, options.log);
    this.#tasks = new TaskSet((name, error) => options.log.error({ err: error, task: name }, 'failed'));
  }

  start(): void {
    this.#tasks.run('update lock', () => this.#guard());
    this.#tasks.run('supervisor', () => this.#report());
  }

  /** Lets go of the lock. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#tasks.settle();
    await this.#lock.release();
  }

  get module(): Module {
    return {
      id: BALENA,
      instance: null,
      health: () => {
        const reasons = [this.#reason, this.#lockReason].filter((reason) => reason !== null);
        return {
          status: reasons.length === 0 ? 'healthy' : 'degraded',
          reasons,
          details: { ...this.#device, holds_update_lock: this.#lock.isHeld },
        };
      },
    };
  }

  async #guard(): Promise<void> {
    const { clock, recording } = this.#o;
    await this.#lock.clearOwn();
    while (!this.#stopping.signal.aborted) {
      this.#state = nextLock(this.#state, recording() !== null, clock.monotonicMs());
      try {
        if (this.#state.heldSinceMs === null) await this.#lock.release();
        // Else: somebody else has it, and we are about to be replaced.
        else if (!this.#lock.isHeld && !(await this.#lock.take())) this.#state = FREE;
        this.#lockReason = null;
      } catch (error) {
        this.#state = FREE;
        this.#lockReason = CodedError.from(error, 'BALENA_NO_LOCK').report();
      }
      await this.#pause(LOCK_CHECK_MS);
    }
  }

  async #report(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      try {
        this.#device = await this.#supervisor.device(signal);
        await this.#tag();
        this.#reason = null;
      } catch (error) {
        this.#device = null;
        this.#reason = CodedError.from(error, 'BALENA_UNREACHABLE').report();
      }
      await this.#pause(REPORT_EVERY_MS);
    }
  }

  async #tag(): Promise<void> {
    const { health, version } = this.#o;
    const tags = { spyoncino_health: health(), spyoncino_version: version };
    const wanted = JSON.stringify(tags);
    if (this.#tags === null || this.#tags === wanted) return;
    const isKnown = await this.#supervisor.setTags(tags, this.#stopping.signal);
    this.#tags = isKnown ? wanted : null;
  }

  #pause(ms: number): Promise<void> {
    return this.#o.clock.sleep(ms, this.#stopping.signal).catch(() => {});
  }
}
