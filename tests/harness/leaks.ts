/**
 * Global set-up and tear-down of a test run: no process that the run started may outlive it.
 * Orphans lose their parent but keep their environment, so a mark in it finds them.
 */
import { randomUUID } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

const VARIABLE = 'SPYONCINO_TEST_RUN';
const GRACE_TURNS = 40;
const TURN_MS = 50;

export default function setup(): () => Promise<void> {
  // Called once per vitest project, all before the first worker starts: they share one mark.
  const mark = `${VARIABLE}=${(process.env[VARIABLE] ??= randomUUID())}`;
  return async () => {
    for (let turn = 0; turn < GRACE_TURNS && marked(mark).length > 0; turn++) await delay(TURN_MS);
    const left = marked(mark);
    if (left.length === 0) return;
    process.exitCode = 1;
    throw new Error(`Processes outlived the tests that started them:\n${left.join('\n')}`);
  };
}

/** `pid command` of each living process that carries `mark`, but for the test workers themselves. */
function marked(mark: string): readonly string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .flatMap((pid) => {
      if (!read(pid, 'environ').split('\0').includes(mark)) return [];
      const command = read(pid, 'cmdline').replaceAll('\0', ' ').trim();
      // A zombie has no command line; its parent is late, but nothing runs.
      return command === '' || command.includes('/vitest/') ? [] : [`${pid} ${command}`];
    });
}

function read(pid: string, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8');
  } catch {
    return '';
  }
}
