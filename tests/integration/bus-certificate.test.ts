/** A program that shows a certificate to the bus of a real agent, with a stock client. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startAgent, type TestAgent } from '../harness/agent.ts';
import { freePort } from '../harness/free-port.ts';
import { requirePackages } from '../harness/packages.ts';

requirePackages(['mosquitto-clients']);

const run = promisify(execFile);
let agent: TestAgent;
let folder: string;
let port: number;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bus-certificate-'));
  port = await freePort();
  agent = await startAgent({
    config: {
      bus: { port: 0, tls: { enabled: true, host: '127.0.0.1', port, client_certificates: 'optional' } },
      cameras: [{ camera_id: 'porch', test_pattern: true, detection: { enabled: false } }],
    },
  });
});
afterAll(async () => {
  await agent[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});

const users = (...args: string[]) =>
  run(process.execPath, ['device/cli/spyoncino.js', 'users', ...args, '--data-dir', agent.dataDir]);
const asShown = (file: string | null): string[] => [
  ...['-h', '127.0.0.1', '-p', String(port), '--cafile', join(agent.dataDir, 'state/tls/authority.crt')],
  ...(file === null ? [] : ['--cert', file, '--key', file]),
  ...['-t', 'spyoncino/#'],
];
const first = (file: string | null) => run('mosquitto_sub', [...asShown(file), '-C', '1', '-W', '20']);

test('who shows a certificate of the device gets in, by no more than its key, until it is removed', async () => {
  const file = join(folder, 'sensor.pem');
  const { stdout } = await users('certificate', 'sensor', '--role', 'viewer', '--days', '30', file);
  expect(stdout).toContain(`sensor is viewer until`);
  expect((await stat(file)).mode & 0o777).toBe(0o600);
  expect((await first(file)).stdout).toContain('"');
  await expect(first(null)).rejects.toMatchObject({
    stderr: expect.stringMatching(/not authori[sz]ed/i) as string,
  });
  await expect(
    users('certificate', 'sensor', '--role', 'viewer', join(folder, 'again.pem')),
  ).rejects.toMatchObject({
    stderr: expect.stringContaining('ACCOUNT_EXISTS') as string,
  });

  await users('remove', 'sensor');
  await expect(first(file)).rejects.toMatchObject({
    stderr: expect.stringMatching(/not authori[sz]ed/i) as string,
  });
});
