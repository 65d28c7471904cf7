import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { open, rm, stat } from 'node:fs/promises';
import type { Log } from '../kernel/log.ts';

/** Where a supervisor of 7.22 and later looks (https://docs.balena.io, "Update locks"). */
export const LOCK_PATH = '/tmp/balena/updates.lock';

/**
 * The update lock of one service. That the file is there keeps the supervisor from replacing or restarting us; that
 * it is locked (flock(2)) keeps the host from restarting for an update of its own.
 *
 * Invariant: the file is made only where there is none, and only ours is taken away. Node knows no flock(2): the
 * tool of util-linux holds it, until the pipe to it ends, which it also does when this process dies.
 */
export class UpdateLock {
  readonly #path: string;
  readonly #log: Log;
  #holder: ChildProcess | null = null;
  #isHeld = false;

  constructor(path: string, log: Log) {
    this.#path = path;
    this.#log = log;
  }

  get isHeld(): boolean {
    return this.#isHeld;
  }

  /** An agent that was killed may have left its lock: it would keep the fleet from updating this device. */
  async clearOwn(): Promise<void> {
    const left = await stat(this.#path).catch(() => null);
    // The supervisor's are those of another user (65534).
    if (left?.uid !== process.getuid?.()) return;
    this.#log.warn({ path: this.#path }, 'an update lock of an agent that died is taken away');
    await rm(this.#path, { force: true });
  }

  /** false: somebody else has it, so an update is under way. @throws where there can be none */
  async take(): Promise<boolean> {
    try {
      await (await open(this.#path, 'wx')).close();
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
      throw error;
    }
    this.#isHeld = true;
    // As one process, which becomes `cat`. Somebody may just be looking whether it is locked: that is waited for.
    const holder = spawn('flock', ['--no-fork', '--exclusive', '--timeout', '5', this.#path, 'cat'], {
      stdio: ['pipe', 'ignore', 'ignore'],
    });
    const failed = (reason: unknown): void =>
      this.#log.warn({ err: reason }, 'updates of the host are not held back');
    holder.on('error', failed);
    holder.on('exit', (code) => code && failed(`flock ended with ${code}`));
    holder.stdin?.on('error', () => {});
    this.#holder = holder;
    return true;
  }

  async release(): Promise<void> {
    if (!this.#isHeld) return;
    this.#isHeld = false;
    await rm(this.#path, { force: true });
    const holder = this.#holder;
    this.#holder = null;
    if (!holder || holder.pid === undefined || holder.exitCode !== null) return;
    const exited = once(holder, 'exit');
    holder.stdin?.end();
    // It may still be waiting for the lock.
    holder.kill();
    await exited;
  }
}
