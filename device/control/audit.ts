import { appendFile, rename, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { AuditLine } from '../contract/access.ts';
import type { Log } from '../kernel/log.ts';
import { makeDirectoryDurable } from '../kernel/durable-file.ts';
import { TaskSet } from '../kernel/tasks.ts';

const FILE = 'audit.jsonl';
/** Then it becomes `audit.1.jsonl`, in place of an older one. */
const MAX_BYTES = 1_000_000;
const MAX_WAITING = 1000;

/**
 * The audit as a file of JSON lines. Lines are written in the background, in order; when the disk does not take
 * them, more than a thousand are not kept in memory, and the log says how many were lost.
 */
export class AuditFile implements AsyncDisposable {
  readonly #stateDir: string;
  readonly #log: Log;
  readonly #tasks: TaskSet;
  #waiting: string[] = [];
  #lost = 0;
  #writing = false;

  constructor(stateDir: string, log: Log) {
    this.#stateDir = stateDir;
    this.#log = log;
    this.#tasks = new TaskSet((name, error) =>
      log.error({ err: error, task: name }, 'the audit cannot be written'),
    );
  }

  add({ utcMs, caller, ...rest }: AuditLine): void {
    const line = { at: new Date(utcMs).toISOString(), ...caller, ...rest };
    this.#log.info({ audit: line }, 'command');
    if (this.#waiting.length >= MAX_WAITING) this.#lost++;
    else this.#waiting.push(`${JSON.stringify(line)}\n`);
    this.#writeWaiting();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#tasks.settle();
  }

  #writeWaiting(): void {
    if (this.#writing || this.#waiting.length === 0) return;
    this.#writing = true;
    const next = (): void => {
      this.#writing = false;
      this.#writeWaiting();
    };
    this.#tasks.run('audit', () => this.#write().finally(next));
  }

  async #write(): Promise<void> {
    const path = join(this.#stateDir, FILE);
    await makeDirectoryDurable(this.#stateDir);
    const lines = this.#waiting;
    this.#waiting = [];
    await appendFile(path, lines.join(''), { mode: 0o600 });
    const { size } = await stat(path);
    if (size > MAX_BYTES) await rename(path, join(this.#stateDir, 'audit.1.jsonl'));
    if (this.#lost > 0) this.#log.warn({ lost: this.#lost }, 'lines of the audit were lost');
    this.#lost = 0;
  }
}
