import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { ERRORS, type ErrorCode, type ErrorReport } from '../contract/errors.ts';
import { makeDirectoryDurable, replaceFile } from '../kernel/durable-file.ts';

/** `unknown`: not proven in time, and not refuted. */
export const GATE_OUTCOMES = ['good', 'failed', 'unknown'] as const;
export type GateOutcome = (typeof GATE_OUTCOMES)[number];

export const CHECKS = ['agent', 'data', 'bus', 'api', 'frame', 'fragment'] as const;
export type CheckName = (typeof CHECKS)[number];

const reason = z.object({
  code: z.enum(Object.keys(ERRORS) as [ErrorCode, ...ErrorCode[]]),
  message: z.string(),
  advice: z.string(),
});
const check = z.object({
  check: z.enum(CHECKS),
  outcome: z.enum(['passed', 'failed', 'unknown', 'skipped']),
  reason: reason.nullable(),
  /** What was seen, in words. */
  seen: z.string().nullable(),
});
const run = z.object({
  outcome: z.enum(GATE_OUTCOMES),
  version: z.string(),
  /** How often the gate ran for this version, this time included. */
  attempt: z.number().int(),
  boot_id: z.string(),
  started_ts: z.number(),
  took_ms: z.number(),
  checks: z.array(check),
});
const report = z.object({ schema: z.literal(1), runs: z.array(run) });

export type GateCheck = z.output<typeof check>;
export type GateRun = z.output<typeof run>;

const MAX_RUNS = 10;
const pathIn = (stateDir: string): string => join(stateDir, 'health-gate.json');

/** Oldest first; none when the file is not there or damaged. */
export async function readRuns(stateDir: string): Promise<readonly GateRun[]> {
  try {
    return report.parse(JSON.parse(await readFile(pathIn(stateDir), 'utf8'))).runs;
  } catch {
    return [];
  }
}

export async function addRun(stateDir: string, latest: GateRun): Promise<void> {
  const runs = [...(await readRuns(stateDir)), latest].slice(-MAX_RUNS);
  await makeDirectoryDurable(stateDir);
  await replaceFile(pathIn(stateDir), `${JSON.stringify({ schema: 1, runs }, null, 2)}\n`);
}

/** Why the gate did not let `version` through, the last time that it looked at it. */
export async function gateReasonsOf(stateDir: string, version: string): Promise<readonly ErrorReport[]> {
  const runs = await readRuns(stateDir);
  const latest = runs.findLast((each) => each.version === version);
  return latest?.checks.flatMap(({ reason }) => reason ?? []) ?? [];
}
