import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { setPriority } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { planInEnvironment, type RigPlan } from './plan.ts';
import { readReports } from './witness.ts';

const POLL_MS = 20;
/** For a machine that has much else to do. */
const START_LIMIT_MS = 90_000;

/** A running agent with its camera hosts, until they are killed. */
export class World implements AsyncDisposable {
  readonly #plan: RigPlan;
  readonly #agent: ChildProcess;
  readonly #exited: Promise<unknown>;
  /** Reports before this are of earlier worlds. */
  readonly #startedMs = Date.now();

  constructor(plan: RigPlan) {
    this.#plan = plan;
    this.#agent = fork(fileURLToPath(new URL('agent.ts', import.meta.url)), {
      env: {
        ...process.env,
        ...planInEnvironment(plan),
        NODE_COMPILE_CACHE: join(dirname(plan.streamFile), 'compiled'),
      },
    });
    this.#exited = once(this.#agent, 'exit');
    // The recorder is on trial, not what else this machine has to do. Camera hosts inherit it.
    if (process.getuid?.() === 0) setPriority(this.#agent.pid!, -15);
  }

  /** Resolves when every camera records. */
  async recording(): Promise<void> {
    const patience = AbortSignal.timeout(START_LIMIT_MS);
    const waiting = new Set(this.#plan.cameras.map(({ cameraId }) => cameraId));
    while (waiting.size > 0) {
      if (this.#agent.exitCode !== null) throw new Error('the agent ended before its cameras recorded');
      if (patience.aborted) throw new Error(`no pictures of ${[...waiting].join(', ')}`);
      await delay(POLL_MS);
      for (const report of this.#reports()) if (report.type === 'picture') waiting.delete(report.cameraId);
    }
  }

  /** Kills the newest process of a camera, if there is one. */
  killHost(cameraId: string): void {
    const last = this.#reports().findLast(
      (report) => report.type === 'starts' && report.cameraId === cameraId,
    );
    if (last?.type === 'starts') kill(last.pid);
  }

  /** The agent alone: its camera hosts notice, and finish what is open. */
  killAgent(): void {
    this.#agent.kill('SIGKILL');
  }

  /** At once, and says when. */
  killAll(): number {
    const pids = this.#processes();
    const atMs = Date.now();
    pids.forEach(kill);
    return atMs;
  }

  /** Resolves when no process is left. */
  async over(): Promise<void> {
    await this.#exited;
    while (this.#processes().length > 0) await delay(POLL_MS);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.killAll();
    await this.over();
  }

  /** All that live and were started with this plan, also those that have not said so yet. */
  #processes(): readonly number[] {
    const [mark = ''] = Object.entries(planInEnvironment(this.#plan)).map((variable) => variable.join('='));
    return readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name) && read(`/proc/${name}/environ`).split('\0').includes(mark))
      .map(Number);
  }

  #reports() {
    return readReports(this.#plan.reportsFile).filter(({ atMs }) => atMs >= this.#startedMs);
  }
}

/** Empty when it is gone. */
function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // gone already
  }
}
