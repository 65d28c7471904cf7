/** `spyoncino health-gate` as a unit of systemd runs it. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { GateRun } from '../../device/gate/index.ts';
import type { TestAgent } from './agent.ts';

export interface GateResult {
  readonly code: number;
  readonly run: GateRun;
}

export interface GateOptions {
  readonly waitSeconds?: number;
  readonly env?: Readonly<Record<string, string>>;
  readonly args?: readonly string[];
}

/** As a unit of systemd runs it, beside `agent`. */
export async function runGate(
  agent: Pick<TestAgent, 'configPath' | 'dataDir' | 'busPort' | 'apiPort'>,
  { args = [], env = {}, waitSeconds = 60 }: GateOptions = {},
): Promise<GateResult> {
  const places = ['--config-dir', join(agent.configPath, '..'), '--data-dir', agent.dataDir];
  const ports = {
    SPYONCINO_BUS__PORT: String(agent.busPort),
    SPYONCINO_SYSTEM__CONTROL_API__PORT: String(agent.apiPort),
  };
  const argv = ['device/main.ts', 'health-gate', '--json', '--wait', String(waitSeconds), ...places, ...args];
  const ended = promisify(execFile)(process.execPath, argv, { env: { ...process.env, ...ports, ...env } });
  const { code, stdout } = await ended.then(
    (out) => ({ ...out, code: 0 }),
    (error: { code: number; stdout: string }) => error,
  );
  return { code, run: JSON.parse(stdout) as GateRun };
}

export const outcomes = ({ checks }: GateRun) =>
  Object.fromEntries(checks.map(({ check, outcome }) => [check, outcome]));
export const reasonOf = ({ checks }: GateRun, name: string) =>
  checks.find(({ check }) => check === name)?.reason;
