import { fork, type ChildProcess } from 'node:child_process';
import { backoff } from './backoff.ts';
import type { Clock } from './clock.ts';
import type { Log } from './log.ts';

/** A program and its arguments, to which a command is appended; it becomes that command, so process id and channels stay. */
export type Launcher = readonly [program: string, ...args: string[]];

/** How a child process ended. `expected` only when we asked it to. */
export interface ChildExit {
  readonly generation: number;
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly expected: boolean;
  /** Milliseconds until the next start; null when there is none. */
  readonly retryInMs: number | null;
}

export interface SupervisedChildOptions<Command, Message> {
  readonly name: string;
  /** Module that the child runs. */
  readonly entry: string;
  readonly nodeFlags?: readonly string[];
  /** What starts it in place of us. */
  readonly launcher?: Launcher | null;
  readonly env?: Readonly<Record<string, string>>;
  readonly log: Log;
  readonly clock: Clock;
  /** First command of each new process. */
  greet(generation: number): Command;
  /** Asks the child to finish what is open and exit. */
  readonly stopCommand: Command;
  /** How long it may take for that before it is killed. */
  readonly drainMs: number;
  /** Only messages of the living generation arrive here. */
  onMessage(message: Message, generation: number): void;
  onExit?(exit: ChildExit): void;
  /** A child that lived this long starts its next outage with fresh patience. */
  readonly healthyAfterMs?: number;
}

/**
 * Keeps one child process alive until stopped: restarts it with backoff (0.5 s → 30 s), numbers its
 * generations, and ends it politely, then for sure.
 *
 * Invariant: at most one process at a time; the next starts only after the last has exited.
 */
export class SupervisedChild<Command extends object, Message> {
  readonly #options: SupervisedChildOptions<Command, Message>;
  readonly #stopping = new AbortController();
  #child: ChildProcess | null = null;
  #endLiving: (() => void) | null = null;
  #isRestarting = false;
  #generation = 0;
  #loop: Promise<void> | null = null;

  constructor(options: SupervisedChildOptions<Command, Message>) {
    this.#options = options;
  }

  get generation(): number {
    return this.#generation;
  }

  get pid(): number | null {
    return this.#child?.pid ?? null;
  }

  start(): void {
    this.#loop ??= this.#run();
  }

  /** false when there is no living process to take it. */
  send(command: Command): boolean {
    if (!this.#child?.connected) return false;
    // The callback takes the error of a child that dies meanwhile; its exit is handled in #run.
    this.#child.send(command, () => {});
    return true;
  }

  /** Ends the living process as `stop` does; the next starts at once. */
  restart(): void {
    if (!this.#endLiving) return;
    this.#isRestarting = true;
    this.#endLiving();
  }

  /** Idempotent; resolves when the process is gone. */
  async stop(): Promise<void> {
    if (!this.#stopping.signal.aborted) this.#stopping.abort();
    await this.#loop;
  }

  async #run(): Promise<void> {
    const { clock, log, name, healthyAfterMs = 60_000 } = this.#options;
    const stopped = this.#stopping.signal;
    let delays = backoff({ firstMs: 500, maxMs: 30_000 });
    while (!stopped.aborted) {
      const startedMs = clock.monotonicMs();
      const { code, signal } = await this.#runOnce();
      if (clock.monotonicMs() - startedMs >= healthyAfterMs)
        delays = backoff({ firstMs: 500, maxMs: 30_000 });
      const expected = stopped.aborted || this.#isRestarting;
      const retryInMs = stopped.aborted ? null : this.#isRestarting ? 0 : delays.next().value;
      this.#isRestarting = false;
      if (!expected) log.warn({ child: name, code, signal, retryInMs }, 'child process ended unexpectedly');
      this.#options.onExit?.({ generation: this.#generation, code, signal, expected, retryInMs });
      if (retryInMs !== null) await clock.sleep(retryInMs, stopped).catch(() => {});
    }
  }

  async #runOnce(): Promise<{ code: number | null; signal: NodeJS.Signals | null }> {
    const { entry, nodeFlags = [], launcher, env = {}, log, name } = this.#options;
    const generation = ++this.#generation;
    const [execPath, ...before] = [...(launcher ?? []), process.execPath] as const;
    const child = fork(entry, [], {
      serialization: 'advanced',
      execPath,
      execArgv: [...before, '--disable-warning=ExperimentalWarning', ...nodeFlags],
      env: { ...withoutSettings(process.env), ...env },
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    this.#child = child;
    child.on('message', (message) => {
      if (this.#generation === generation) this.#options.onMessage(message as Message, generation);
    });
    child.on('error', (error) => log.error({ err: error, child: name }, 'child process failed'));
    const ended = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((resolve) => {
      child.once('exit', (code, signal) => resolve({ code, signal }));
      // Without a process there is no `exit`.
      child.once('error', () => child.pid === undefined && resolve({ code: null, signal: null }));
    });
    const exited = new AbortController();
    let ending = Promise.resolve();
    let isEnding = false;
    const end = (): void => {
      if (isEnding) return;
      isEnding = true;
      ending = this.#end(child, exited.signal);
    };
    this.#endLiving = end;
    this.#stopping.signal.addEventListener('abort', end, { once: true });
    try {
      this.send(this.#options.greet(generation));
      return await ended;
    } finally {
      this.#stopping.signal.removeEventListener('abort', end);
      this.#child = null;
      this.#endLiving = null;
      exited.abort();
      await ending;
    }
  }

  async #end(child: ChildProcess, exited: AbortSignal): Promise<void> {
    const { clock, drainMs, log, name, stopCommand } = this.#options;
    this.send(stopCommand);
    const late = await clock.sleep(drainMs, exited).then(
      () => true,
      () => false,
    );
    if (!late) return;
    log.warn({ child: name, drainMs }, 'child process did not finish in time and is killed');
    child.kill('SIGKILL');
  }
}

/** Settings may carry secrets in the environment; children are told what they need by message. */
const withoutSettings = (env: NodeJS.ProcessEnv): NodeJS.ProcessEnv =>
  Object.fromEntries(Object.entries(env).filter(([key]) => !key.startsWith('SPYONCINO_')));
