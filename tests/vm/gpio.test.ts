import { fileURLToPath } from 'node:url';
import { beforeAll, expect, test } from 'vitest';
import { lack } from '../harness/packages.ts';
import { fetchNewerKernel, type Kernel } from './kernel.ts';
import { fetchLibgpiod } from './libgpiod.ts';
import { runInMachine, type MachineResult } from './machine.ts';
import { Suite } from './suite.ts';

if (process.arch !== 'x64') lack('an x86-64 processor, whose kernel this machine boots');

const path = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url));
const LIMIT_MS = 360_000;
const CACHE = path('../../.cache/vm');

// A machine without apt or network is no reason to fail.
const fetched = await fetch().catch((error: unknown) => {
  lack(`Debian 13's kernel and tools for GPIO (${String(error)})`);
  return null;
});

let result: MachineResult;
let facts: Record<string, unknown>[];

beforeAll(async () => {
  const { kernel, tools } = fetched!;
  result = await runInMachine({
    script: path('guest/gpio.ts'),
    modules: [{ name: 'configfs' }, { name: 'gpio_sim' }],
    cacheDir: CACHE,
    kernel,
    env: { PATH: `${tools}:/usr/bin:/bin:/usr/sbin:/sbin` },
    timeoutMs: LIMIT_MS,
  });
  facts = result.facts as Record<string, unknown>[];
}, LIMIT_MS + 120_000);

async function fetch(): Promise<{ readonly kernel: Kernel; readonly tools: string }> {
  const suite = await Suite.open(CACHE, ['trixie', 'trixie-backports']);
  return { kernel: await fetchNewerKernel(suite, CACHE), tools: await fetchLibgpiod(suite, CACHE) };
}

const fact = (name: string): unknown => facts.find((fact) => name in fact)?.[name];

test('the script ran to its end', () => {
  expect(fact('failed'), result.console).toBeUndefined();
  expect(result.exitCode, result.console).toBe(0);
});

test('a line that nobody holds is on; from the start of the agent it is off', () => {
  expect(fact('beforeTheStart')).toBe('on');
  expect(fact('atTheStart')).toBe('off');
});

test('an output runs for as long as it is asked to, and never for longer than it may', () => {
  expect(fact('pulsed')).toBe('on, then off');
  expect(fact('maximum')).toEqual({ isWithin: true });
});

test('a contact that bounces triggers once', () => {
  expect(fact('triggers')).toEqual([{ trigger: 'door', edge: 'rising' }]);
});

test('the siren ends when any of the processes that hold it is killed', () => {
  expect(fact('toolKilled')).toBe('off');
  expect(fact('guardKilled')).toBe('off');
});

test('the siren ends when the agent is killed, and what guards it, too; the next start is silent', () => {
  expect(fact('agentKilled')).toBe('off');
  expect(fact('restarted')).toBe('off');
  expect(fact('bothKilled')).toBe('on');
  expect(fact('listEnded')).toBe('off');
});

test('a chip that is pulled out is reported as missing, and comes back by itself', () => {
  expect(fact('unplugged')).toBe('GPIO_CHIP_MISSING');
  expect(fact('pluggedAgain')).toBe('off');
});

test('a stop in the middle of a run leaves no process', () => {
  expect(fact('stopped')).toEqual({ tools: 0, guards: 0 });
});

test('a line that somebody else uses is reported as busy, and taken when it is free', () => {
  expect(fact('busy')).toBe('GPIO_LINE_BUSY, then off');
});
