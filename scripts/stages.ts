/** The stages of `scripts/test`, in order of what is cheapest to learn from. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface Tally {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

interface Stage {
  readonly name: string;
  /** A `check` counts as one; `tests` are counted by vitest. */
  readonly kind: 'check' | 'tests';
  readonly command: readonly [program: string, ...args: string[]];
}

const tests = (name: string): Stage => ({
  name,
  kind: 'tests',
  command: ['vitest', 'run', '--project', name, '--passWithNoTests'],
});

export const STAGES: readonly Stage[] = [
  { name: 'format', kind: 'check', command: ['oxfmt', '--check'] },
  { name: 'lint', kind: 'check', command: ['oxlint', '--type-aware', '--deny-warnings'] },
  { name: 'types', kind: 'check', command: ['tsc', '--noEmit'] },
  tests('contract'),
  tests('unit'),
  tests('integration'),
  tests('crash'),
  tests('vm'),
];

/** No stage is worth more of a 60 min budget; one that hangs is killed and counts as failed. */
const STAGE_TIMEOUT_MS = 25 * 60_000;

/** Runs one stage with its output passed through. Programs are looked up in PATH. */
export async function runStage(stage: Stage): Promise<Tally> {
  const dir = await mkdtemp(join(tmpdir(), 'spyoncino-stage-'));
  try {
    const report = join(dir, 'report.json');
    const reporters =
      stage.kind === 'tests' ? ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`] : [];
    const [program, ...args] = stage.command;
    const ok = await succeeds(program, [...args, ...reporters]);
    if (stage.kind === 'check') return { passed: Number(ok), failed: Number(!ok), skipped: 0 };
    return tally(await readFile(report, 'utf8').catch(() => null), ok);
  } finally {
    await rm(dir, { recursive: true });
  }
}

async function succeeds(program: string, args: readonly string[]): Promise<boolean> {
  const child = spawn(program, args, {
    stdio: ['ignore', 'inherit', 'inherit'],
    timeout: STAGE_TIMEOUT_MS,
    killSignal: 'SIGKILL',
  });
  const [code] = (await once(child, 'exit')) as [number | null];
  return code === 0;
}

interface VitestReport {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly numPendingTests: number;
  readonly numTodoTests: number;
  readonly testResults: readonly {
    readonly status: string;
    readonly assertionResults: readonly { readonly status: string }[];
  }[];
}

/**
 * Counts of a vitest JSON report. What fails outside of a test counts as one failure each: a file that cannot
 * be loaded or prepared, and a run that fails (leaks, unhandled errors) or leaves no report.
 */
export function tally(report: string | null, ok: boolean): Tally {
  const none = { numPassedTests: 0, numFailedTests: 0, numPendingTests: 0, numTodoTests: 0, testResults: [] };
  const counts: VitestReport = report === null ? none : (JSON.parse(report) as VitestReport);
  const brokenFiles = counts.testResults.filter(
    ({ status, assertionResults }) =>
      status === 'failed' && assertionResults.every((assertion) => assertion.status !== 'failed'),
  ).length;
  const failed = counts.numFailedTests + brokenFiles;
  return {
    passed: counts.numPassedTests,
    failed: !ok && failed === 0 ? 1 : failed,
    skipped: counts.numPendingTests + counts.numTodoTests,
  };
}

export const total = (tallies: readonly Tally[]): Tally => ({
  passed: tallies.reduce((sum, { passed }) => sum + passed, 0),
  failed: tallies.reduce((sum, { failed }) => sum + failed, 0),
  skipped: tallies.reduce((sum, { skipped }) => sum + skipped, 0),
});

export const inWords = ({ passed, failed, skipped }: Tally): string =>
  `${passed} passed, ${failed} failed, ${skipped} skipped`;
