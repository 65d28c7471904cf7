/** The health gate beside a real agent: what it proves, and what it says when something is broken. */
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { GateRun } from '../../device/gate/index.ts';
import { startAgent } from '../harness/agent.ts';
import { freePort } from '../harness/free-port.ts';
import { outcomes, reasonOf, runGate as gate } from '../harness/health-gate.ts';

/** Each of these starts agents and looks for many seconds. */
vi.setConfig({ testTimeout: 180_000 });

const camera = {
  camera_id: 'porch',
  test_pattern: true,
  detection: { enabled: false },
  recording: { post_seconds: 1 },
};

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'spyoncino-gate-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

test('an agent that records is good; the report of each run is kept', async () => {
  await using agent = await startAgent({ config: { cameras: [camera] } });
  const first = await gate(agent);
  expect(outcomes(first.run)).toEqual({
    ...{ agent: 'skipped', data: 'passed', bus: 'passed', api: 'passed' },
    ...{ frame: 'passed', fragment: 'passed' },
  });
  expect(first).toMatchObject({ code: 0, run: { outcome: 'good', attempt: 1 } });
  expect((await gate(agent)).run.attempt).toBe(2);
  const { runs } = JSON.parse(await readFile(join(agent.dataDir, 'state', 'health-gate.json'), 'utf8')) as {
    runs: GateRun[];
  };
  expect(runs.map(({ outcome }) => outcome)).toEqual(['good', 'good']);
  // It leaves no token behind.
  expect(await readFile(join(agent.dataDir, 'state', 'access.json'), 'utf8')).not.toContain('health-gate');

  // One that systemd starts again and again has failed, whatever it manages in between.
  await writeFile(join(folder, 'systemctl'), '#!/bin/sh\necho NRestarts=4\necho ActiveState=active\n', {
    mode: 0o755,
  });
  const crashing = await gate(agent, {
    args: ['--unit', 'spyoncino.service'],
    env: { PATH: `${folder}:${process.env['PATH']}` },
  });
  expect(crashing).toMatchObject({ code: 1, run: { outcome: 'failed' } });
  expect(reasonOf(crashing.run, 'agent')?.code).toBe('GATE_AGENT_CRASHES');
});

test('without any camera the rest decides', async () => {
  await using agent = await startAgent({ config: { cameras: [{ ...camera, enabled: false }] } });
  const { code, run } = await gate(agent);
  expect(code).toBe(0);
  expect(outcomes(run)).toMatchObject({
    bus: 'passed',
    api: 'passed',
    frame: 'skipped',
    fragment: 'skipped',
  });
});

test('a camera without power is unknown, not failed; another one that works is enough', async () => {
  const dead = {
    camera_id: 'dead',
    rtsp_url: `rtsp://127.0.0.1:${await freePort()}/`,
    detection: { enabled: false },
  };
  {
    await using agent = await startAgent({ config: { cameras: [dead] } });
    const { code, run } = await gate(agent, { waitSeconds: 8 });
    expect(code).toBe(2);
    expect(outcomes(run)).toMatchObject({ data: 'passed', bus: 'passed', api: 'passed', frame: 'unknown' });
    expect(reasonOf(run, 'frame')).toMatchObject({
      code: 'GATE_NO_FRAME',
      message: expect.stringContaining('dead'),
    });
  }
  await using agent = await startAgent({ config: { cameras: [dead, camera] } });
  expect((await gate(agent)).code).toBe(0);
});

test('no agent there is unknown', async () => {
  const agent = await startAgent({ config: { cameras: [camera] } });
  const dataDir = await mkdtemp(join(folder, 'data-'));
  await agent[Symbol.asyncDispose]();
  await writeFile(join(folder, 'config.yaml'), '');
  const { code, run } = await gate(
    { ...agent, dataDir, configPath: join(folder, 'config.yaml') },
    { waitSeconds: 3 },
  );
  expect(code).toBe(2);
  expect(reasonOf(run, 'bus')?.code).toBe('GATE_AGENT_SILENT');
  expect(outcomes(run)).toMatchObject({ data: 'passed', frame: 'unknown', fragment: 'unknown' });
});

test('an API that does not speak TLS, or with a certificate of somebody else, has failed', async () => {
  await using agent = await startAgent({ config: { cameras: [camera] } });
  const plain = createServer((_request, response) => response.end('{"status":"ok"}'));
  plain.listen(0, '127.0.0.1');
  await once(plain, 'listening');
  try {
    const port = String((plain.address() as AddressInfo).port);
    const { code, run } = await gate(agent, { env: { SPYONCINO_SYSTEM__CONTROL_API__PORT: port } });
    expect(code).toBe(1);
    expect(reasonOf(run, 'api')?.code).toBe('GATE_API_FAILED');
  } finally {
    plain.close();
  }
  await using stranger = await startAgent({ config: { cameras: [camera] } });
  const foreign = { SPYONCINO_SYSTEM__CONTROL_API__PORT: String(stranger.apiPort) };
  const { code, run } = await gate(agent, { env: foreign });
  expect(code).toBe(1);
  expect(reasonOf(run, 'api')?.message).toMatch(/certificate|issuer/i);
});

test('a configuration that this version cannot read has failed at once', async () => {
  await using agent = await startAgent({ config: { cameras: [camera] } });
  await writeFile(join(folder, 'config.yaml'), 'camras: []\n');
  const { code, run } = await gate({ ...agent, configPath: join(folder, 'config.yaml') });
  expect(code).toBe(1);
  expect(reasonOf(run, 'agent')).toMatchObject({
    code: 'GATE_SETTINGS_INVALID',
    message: expect.stringContaining('camras'),
  });
});
