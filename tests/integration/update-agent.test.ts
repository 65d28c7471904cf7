/** Updates, asked of a real agent by the one door: on a machine that was not flashed with our image it says how to update there. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Payload } from '../../device/contract/topics.ts';
import { startAgent, type TestAgent } from '../harness/agent.ts';

let agent: TestAgent;
let password: string;
beforeAll(async () => {
  agent = await startAgent({
    config: { cameras: [{ camera_id: 'porch', test_pattern: true, detection: { enabled: false } }] },
  });
  password = (
    await spyoncino(['users', 'token', 'ops', '--role', 'admin', '--data-dir', agent.dataDir])
  ).stdout.trim();
});
afterAll(() => agent[Symbol.asyncDispose]());

interface Said {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

const spyoncino = (args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Said> =>
  promisify(execFile)(process.execPath, ['device/main.ts', ...args], {
    env: { ...process.env, ...env },
  }).then(
    (out) => ({ ...out, code: 0 }),
    (error: Said) => error,
  );

const update = (...args: string[]) =>
  spyoncino(['update', ...args, '--port', String(agent.busPort)], {
    SPYONCINO_BUS_USERNAME: 'ops',
    SPYONCINO_BUS_PASSWORD: password,
  });

test('the state is retained on the bus, and `status` prints it', async () => {
  const { payload } = await agent.message(({ topic }) => topic === 'status.update');
  expect(payload as Payload<'status.update'>).toMatchObject({
    state: 'idle',
    version: null,
    last: null,
    error: null,
  });
  const { code, stdout } = await update('status');
  expect(code).toBe(0);
  expect(stdout).toContain('no image of ours: idle');
  expect(JSON.parse((await update('status', '--json')).stdout)).toMatchObject({
    ok: true,
    result: { state: 'idle', system: null },
  });
});

test.each([['check'], ['install', 'usb', '--now'], ['rollback', '--now']])(
  '%s is refused, and says how to update here',
  async (...args) => {
    const { code, stderr } = await update(...args);
    expect(code).toBe(1);
    expect(stderr).toContain('[UPDATE_NOT_AN_IMAGE]');
    expect(stderr).toMatch(/git pull|scripts\/install|container/);
  },
);

test('an event that is being recorded is told of first', async () => {
  const args = [
    'command',
    'event.create',
    '{"duration_seconds": 60}',
    '--camera',
    'porch',
    '--port',
    String(agent.busPort),
  ];
  const begun = await spyoncino(args, { SPYONCINO_BUS_USERNAME: 'ops', SPYONCINO_BUS_PASSWORD: password });
  expect(begun.code).toBe(0);
  await agent.message(({ topic }) => topic === 'event.new');
  expect((await update('rollback')).stderr).toContain('[UPDATE_RECORDING]');
  // Without an agent to ask nobody knows.
  const local = await spyoncino(['update', 'rollback', '--local', '--data-dir', agent.dataDir]);
  expect(local.stderr).toContain('[UPDATE_RECORDING]');
});

test('what makes no sense is not understood', async () => {
  for (const args of [['instal'], ['status', 'usb'], ['check', 'a', 'b'], []]) {
    expect((await update(...args)).code, args.join(' ')).toBe(2);
  }
});

test('a factory reset is asked for twice, and refused where there is no image', async () => {
  const port = ['--port', String(agent.busPort)];
  const env = { SPYONCINO_BUS_USERNAME: 'ops', SPYONCINO_BUS_PASSWORD: password };
  expect((await spyoncino(['factory-reset', ...port], env)).stderr).toContain('[USAGE]');
  const unconfirmed = ['command', 'system.factory_reset', '{"confirm": "yes"}', ...port];
  expect((await spyoncino(unconfirmed, env)).stderr).toContain('[COMMAND_INVALID]');
  const { code, stderr } = await spyoncino(['factory-reset', '--erase-everything', ...port], env);
  expect([code, stderr]).toEqual([1, expect.stringContaining('[RESET_NOT_AN_IMAGE]')]);
});
