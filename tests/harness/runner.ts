import { setTimeout as delay } from 'node:timers/promises';
import { TestRunner, type RunnerTask, type RunnerTestFile } from 'vitest';
import { takeLacks } from './packages.ts';

/** What a test file must not leave behind in its worker, as Node names it. */
const OWNED = new Set(['TCPServerWrap', 'PipeServerWrap', 'ProcessWrap', 'UDPWRAP', 'FSEventWrap']);
/** Closing takes a turn of the event loop or a few, also when it is awaited correctly. */
const GRACE_TURNS = 40;
const TURN_MS = 25;

/** Skips files that lack something on this machine; fails files that leave servers or child processes open. */
export default class CarefulRunner extends TestRunner {
  #files: readonly string[] = [];

  onCollected(files: RunnerTestFile[]): void {
    this.#files = files.map((file) => file.name);
    const lacks = takeLacks();
    if (lacks.length === 0) return;
    for (const file of files) {
      skip(file);
      process.stderr.write(`skipped: ${file.name} lacks ${lacks.join(', ')}\n`);
    }
  }

  override async onAfterRunFiles(): Promise<void> {
    super.onAfterRunFiles();
    for (let turn = 0; turn < GRACE_TURNS && leftOpen().length > 0; turn++) await delay(TURN_MS);
    const left = leftOpen();
    if (left.length > 0) throw new Error(`${this.#files.join(', ')} left open: ${left.join(', ')}`);
  }
}

const leftOpen = (): readonly string[] => process.getActiveResourcesInfo().filter((name) => OWNED.has(name));

function skip(task: RunnerTask): void {
  task.mode = 'skip';
  if (task.type === 'suite') for (const child of task.tasks) skip(child);
}
