/** An agent started as the services of the original system start it: by name, with preset and extra arguments. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Payload } from '../../device/contract/topics.ts';
import { startAgent } from '../harness/agent.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'spyoncino-presets-'));
});
afterAll(async () => {
  await rm(folder, { recursive: true });
});

test('spyoncino-modular with SPYONCINO_PRESET=sim watches a generated picture, whatever is configured', async () => {
  const command = join(folder, 'spyoncino-modular');
  await symlink(resolve('device/cli/spyoncino.js'), command);
  const config = [
    'bus: { port: 0 }',
    'metrics: { port: 0 }',
    'system: { control_api: { host: 127.0.0.1, port: 0 } }',
    'dashboards: { websocket_gateway: { host: 127.0.0.1, port: 0 } }',
    'cameras: [{ camera_id: porch, rtsp_url: "rtsp://127.0.0.1:1/none" }]',
  ];
  await writeFile(join(folder, 'config.yaml'), config.join('\n'));
  const agent = spawn(process.execPath, [command], {
    stdio: ['ignore', 'pipe', 'ignore'],
    env: {
      ...process.env,
      SPYONCINO_PRESET: 'sim',
      SPYONCINO_EXTRA_ARGS: `--config-dir "${folder}" --data-dir '${join(folder, 'data')}'`,
    },
  });
  const exited = once(agent, 'exit');
  const cameras: string[] = [];
  try {
    for await (const line of createInterface({ input: agent.stdout })) {
      const [, cameraId] = /^ {2}camera {4}(\w+):/.exec(line) ?? [];
      if (cameraId !== undefined) cameras.push(cameraId);
      if (line.startsWith('  detector')) break;
    }
  } finally {
    agent.kill('SIGTERM');
  }
  expect(cameras).toEqual(['sim']);
  expect(await exited).toEqual([0, null]);
});

test('the resilience tester stands by with the extra arguments of the runbook, and not without them', async () => {
  const modulesWith = async (args: string): Promise<string[]> => {
    await using agent = await startAgent({ args: ['--preset', 'sim'], env: { SPYONCINO_EXTRA_ARGS: args } });
    const { payload } = await agent.message(({ topic }) => topic === 'status.health.summary');
    return Object.keys((payload as Payload<'status.health.summary'>).modules);
  };
  const tester = 'modules.status.resilience_tester';
  expect(await modulesWith(`--module ${tester}`)).toContain(tester);
  expect(await modulesWith('')).not.toContain(tester);
});

test('what is left out begins paused, its cameras too, and the agent is ready all the same', async () => {
  const args = [
    '--preset',
    'sim',
    '--skip-module',
    'yolo',
    '--skip-module',
    'sim',
    '--skip-module',
    'storage',
  ];
  await using agent = await startAgent({ args });
  const { payload } = await agent.message(({ topic }) => topic === 'status.health.summary');
  const { status, modules } = payload as Payload<'status.health.summary'>;
  const paused = [
    'modules.process.yolo_detector',
    'modules.input.camera_simulator',
    'modules.storage.retention',
  ];
  expect([status, ...paused.map((id) => modules[id]?.status)]).toEqual([
    'healthy',
    ...paused.map(() => 'disabled'),
  ]);
  expect(await agent.children(/spyoncino (detect|camera)|(detect|camera)-host/)).toEqual([]);
});
