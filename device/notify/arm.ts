import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { ARM_MODES, type ArmMode, type ArmSwitch, type PlaceSettings } from '../contract/notify.ts';
import type { Payload } from '../contract/topics.ts';
import { makeDirectoryDurable, replaceFile } from '../kernel/durable-file.ts';
import type { Clock } from '../kernel/clock.ts';
import type { Log } from '../kernel/log.ts';
import { TaskSet } from '../kernel/tasks.ts';
import { Turns } from '../kernel/turns.ts';
import { isWithin, lastSwitch, nextSwitch } from './hours.ts';
import type { Standing } from './routing.ts';

const span = z.object({ fromUtcMs: z.number(), untilUtcMs: z.number() });
const armState = z.object({
  history: z.array(z.object({ sinceUtcMs: z.number(), mode: z.enum(ARM_MODES), by: z.string() })).min(1),
  mutes: z.array(span),
});
type ArmState = z.output<typeof armState>;

export interface ArmSettings {
  readonly place: PlaceSettings;
  readonly armSwitches: readonly ArmSwitch[];
}

export interface ArmOptions {
  readonly stateDir: string;
  readonly settings: ArmSettings;
  readonly publish: (state: Payload<'status.arm'>) => void;
  readonly clock: Clock;
  readonly log: Log;
}

const FILE = 'arm.json';
/** Events that are told late are judged by how things stood when they began. */
const MAX_HISTORY = 100;
const MAX_WAITING = 16;
/** The clock of the machine may be set at any time. */
const LOOK_MS = 30_000;
const FIRST: ArmState = { history: [{ sinceUtcMs: 0, mode: 'home', by: 'default' }], mutes: [] };

/** Which arm mode counts, since when and by whom, over restarts; switched by people and by the schedule. */
export class ArmKeeper {
  readonly #o: ArmOptions;
  readonly #turns = new Turns(MAX_WAITING);
  readonly #stopping = new AbortController();
  readonly #tasks: TaskSet;
  #settings: ArmSettings;
  #state: ArmState;

  private constructor(options: ArmOptions, state: ArmState) {
    this.#o = options;
    this.#settings = options.settings;
    this.#state = state;
    this.#tasks = new TaskSet((name, error) => options.log.error({ err: error, task: name }, 'failed'));
  }

  static async open(options: ArmOptions): Promise<ArmKeeper> {
    const path = join(options.stateDir, FILE);
    const text = await readFile(path, 'utf8').catch(() => null);
    if (text === null) return new ArmKeeper(options, FIRST);
    try {
      return new ArmKeeper(options, armState.parse(JSON.parse(text)));
    } catch (error) {
      // Rather told once too often than not at all.
      options.log.error({ err: error }, 'the arm mode cannot be read: it is home now');
      return new ArmKeeper(options, FIRST);
    }
  }

  start(): void {
    this.#publish();
    this.#tasks.run('arm schedule', () => this.#keepSchedule());
  }

  configure(settings: ArmSettings): void {
    this.#settings = settings;
    this.#publish();
  }

  get state(): Payload<'status.arm'> {
    const { armSwitches, place } = this.#settings;
    const nowUtcMs = this.#o.clock.utcMs();
    const { mode, sinceUtcMs, by } = this.#state.history.at(-1)!;
    const next = nextSwitch(armSwitches, nowUtcMs, place);
    return {
      mode,
      since_ts: sinceUtcMs,
      by,
      muted_until_ts: this.#muteAt(nowUtcMs)?.untilUtcMs ?? null,
      next: next && { ts: next.utcMs, mode: next.mode },
    };
  }

  /** How things stood at a moment, by the settings of now. */
  at(utcMs: number): Standing {
    const { history } = this.#state;
    const { mode } = history.findLast(({ sinceUtcMs }) => sinceUtcMs <= utcMs) ?? history[0]!;
    return {
      mode,
      isMuted: this.#muteAt(utcMs) !== undefined,
      isWithin: (hours) => isWithin(hours, utcMs, this.#settings.place),
    };
  }

  async set(mode: ArmMode, by: string): Promise<void> {
    await this.#change(({ history, mutes }, nowUtcMs) => ({
      history: [...history, { sinceUtcMs: nowUtcMs, mode, by }].slice(-MAX_HISTORY),
      mutes,
    }));
  }

  /** Nothing that begins in the next `ms` is told; 0: from now on it is again. */
  async mute(ms: number): Promise<void> {
    await this.#change(({ history, mutes }, nowUtcMs) => {
      const ended = mutes.map(({ fromUtcMs, untilUtcMs }) => ({
        fromUtcMs,
        untilUtcMs: Math.min(untilUtcMs, nowUtcMs),
      }));
      const now = ms > 0 ? [{ fromUtcMs: nowUtcMs, untilUtcMs: nowUtcMs + ms }] : [];
      return { history, mutes: [...ended, ...now].slice(-MAX_HISTORY) };
    });
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#tasks.settle();
  }

  #muteAt(utcMs: number) {
    return this.#state.mutes.find(({ fromUtcMs, untilUtcMs }) => fromUtcMs <= utcMs && utcMs < untilUtcMs);
  }

  /** What counts is durable before anybody hears of it. */
  async #change(make: (state: ArmState, nowUtcMs: number) => ArmState): Promise<void> {
    await this.#turns.take(async () => {
      const next = make(this.#state, this.#o.clock.utcMs());
      await makeDirectoryDurable(this.#o.stateDir);
      await replaceFile(join(this.#o.stateDir, FILE), JSON.stringify(next), 0o600);
      this.#state = next;
    });
    this.#publish();
  }

  /** A switch that came while the agent was off is made up for. */
  async #keepSchedule(): Promise<void> {
    const { clock } = this.#o;
    const { signal } = this.#stopping;
    let lastLookUtcMs = this.#state.history.at(-1)!.sinceUtcMs;
    let wasMuted = false;
    while (!signal.aborted) {
      const nowUtcMs = clock.utcMs();
      const { armSwitches, place } = this.#settings;
      const due = lastSwitch(armSwitches, nowUtcMs, place);
      if (due && due.utcMs > lastLookUtcMs) {
        if (due.mode !== this.#state.history.at(-1)!.mode) await this.set(due.mode, 'schedule');
      }
      lastLookUtcMs = nowUtcMs;
      const isMuted = this.#muteAt(nowUtcMs) !== undefined;
      if (wasMuted && !isMuted) this.#publish();
      wasMuted = isMuted;
      const next = nextSwitch(armSwitches, nowUtcMs, place);
      const ms = Math.min(LOOK_MS, next ? next.utcMs - nowUtcMs : LOOK_MS);
      await clock.sleep(ms, signal).catch(() => {});
    }
  }

  #publish(): void {
    this.#o.publish(this.state);
  }
}
