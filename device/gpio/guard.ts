import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Clock } from '../kernel/clock.ts';

export interface GuardOptions {
  readonly script: 'output.sh' | 'input.sh';
  readonly args: readonly string[];
  /** In which the tools of libgpiod are found. */
  readonly path: string;
  readonly clock: Clock;
  readonly onLine: (line: string) => void;
}

/** Of what a tool complains with, the beginning is enough. */
const MAX_COMPLAINT = 1000;
/** For setting a line off, twice. */
const END_LIMIT_MS = 3000;

/**
 * A process group that has one line in hand: a script of ours and a tool of libgpiod. It ends with its stdin, so it
 * never outlives the agent for long.
 */
export class Guard {
  /** What the tools complained with; resolves once no process of the group is left. */
  readonly ended: Promise<string>;
  #wasKilled = false;
  readonly #end = new AbortController();
  readonly #kill: () => void;

  constructor({ script, args, path, clock, onLine }: GuardOptions) {
    const file = fileURLToPath(new URL(script, import.meta.url));
    const child = spawn('/bin/sh', [file, ...args], {
      // A group of its own: it can be ended as a whole, and a Ctrl-C is for the agent alone.
      detached: true,
      // Settings in the environment may be secret; words of errors are to be known.
      env: { PATH: path, LC_ALL: 'C' },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    // The group is nobody else's for as long as one of it lives; afterwards there is none.
    this.#kill = () => {
      if (child.pid === undefined) return;
      try {
        process.kill(-child.pid, 'SIGKILL');
      } catch {}
    };
    let complaint = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      complaint = (complaint + text).slice(0, MAX_COMPLAINT);
    });
    child.stdin.on('error', () => {});
    const lines = createInterface({ input: child.stdout });
    lines.on('line', onLine);
    const gone = new AbortController();
    const exited = once(child, 'exit').then(
      () => {},
      (error: unknown) => void (complaint ||= String(error)),
    );
    const closed = once(child, 'close').then(
      () => {},
      () => {},
    );
    const hurried = once(this.#end.signal, 'abort', { signal: gone.signal }).then(async () => {
      child.stdin.destroy();
      await clock.sleep(END_LIMIT_MS, gone.signal);
      this.#kill();
    });
    this.ended = exited.then(async () => {
      this.#wasKilled = child.signalCode !== null;
      gone.abort();
      await hurried.catch(() => {});
      child.stdin.destroy();
      this.#kill();
      if (child.pid !== undefined) await closed;
      lines.close();
      return complaint.trim();
    });
  }

  /** It could not set the line off. */
  get wasKilled(): boolean {
    return this.#wasKilled;
  }

  /** The line is set off, then let go; resolves when that is done. */
  async end(): Promise<void> {
    this.#end.abort();
    await this.ended;
  }

  /** Without a word: its successor sets the line off. */
  kill(): void {
    this.#kill();
  }
}
