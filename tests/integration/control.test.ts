/** An operator at work: MQTT clients that ask a real agent for things. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { connectAsync, type MqttClient } from 'mqtt';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parse } from 'yaml';
import type { Role } from '../../device/contract/access.ts';
import type { Payload, TopicPattern } from '../../device/contract/topics.ts';
import { startAgent, type TestAgent } from '../harness/agent.ts';

const NODE = 'attic';
const config = {
  node: { id: NODE },
  cameras: [{ camera_id: 'porch', test_pattern: true, detection: { enabled: false } }],
  system: { confirm_seconds: 1, resilience: { enabled: true } },
};

let agent: TestAgent;
const clients: MqttClient[] = [];

beforeAll(async () => {
  agent = await startAgent({ config });
});
afterAll(async () => {
  await Promise.all(clients.map((client) => client.endAsync(true)));
  await agent[Symbol.asyncDispose]();
});

/** The secret of a token that is made beside the running agent. */
async function secretOf(role: Role, name: string): Promise<string> {
  const args = ['users', 'token', name, '--role', role, '--data-dir', agent.dataDir];
  const { stdout } = await promisify(execFile)(process.execPath, ['device/cli/spyoncino.js', ...args]);
  return stdout.trim();
}

/** Somebody of this role, who came with a token. */
async function somebody(role: Role | null, name = `a-${role}`): Promise<MqttClient> {
  const password = role && (await secretOf(role, name));
  const client = await connectAsync({
    host: '127.0.0.1',
    port: agent.busPort,
    reconnectPeriod: 0,
    ...(password === null ? {} : { username: name, password }),
  });
  client.on('error', () => {});
  clients.push(client);
  return client;
}

let requests = 0;

/** Publishes as the runbook does; resolves to the answer. */
async function ask(
  client: MqttClient,
  request: object,
  topic: TopicPattern = 'dashboard.control.command',
): Promise<Payload<'dashboard.control.result'>> {
  const request_id = `r${++requests}`;
  const answered = agent.message(
    (message) =>
      message.topic === 'dashboard.control.result' &&
      (message.payload as Payload<'dashboard.control.result'>).request_id === request_id,
  );
  await client.publishAsync(
    `spyoncino/${NODE}/${topic.replaceAll('.', '/')}`,
    JSON.stringify({ ...request, request_id }),
    { qos: 1 },
  );
  return (await answered).payload as Payload<'dashboard.control.result'>;
}

function next<P extends TopicPattern>(topic: P, fits: (payload: Payload<P>) => boolean): Promise<Payload<P>> {
  const seen = agent.messages.length;
  return agent
    .message(
      (message) =>
        agent.messages.indexOf(message) >= seen &&
        message.topic === topic &&
        fits(message.payload as Payload<P>),
    )
    .then(({ payload }) => payload as Payload<P>);
}

test('a viewer sees, and may not command', async () => {
  const viewer = await somebody('viewer');
  expect(await ask(viewer, { command: 'pipeline.pause', module: 'modules.storage.retention' })).toMatchObject(
    {
      ok: false,
      error: { code: 'FORBIDDEN' },
    },
  );
  const shown = await ask(viewer, { command: 'camera.snapshot', camera_id: 'porch' });
  expect(shown).toMatchObject({ ok: true, result: { camera_id: 'porch', content_type: 'image/jpeg' } });
  expect(existsSync(join(agent.dataDir, (shown.result as { path: string }).path))).toBe(true);
});

test('an operator pauses a module, sees it in health, resumes it, and tries a detection', async () => {
  const operator = await somebody('operator');
  const module = 'modules.input.camera_simulator';
  const disabled = next('status.health.summary', ({ modules }) => modules[module]?.status === 'disabled');
  expect(await ask(operator, { command: 'module.disable', module })).toMatchObject({
    ok: true,
    result: { modules: [`${module}[porch]`] },
  });
  expect(await agent.children(/camera porch/)).toEqual([]);
  expect((await disabled).status).toBe('healthy');
  expect(await ask(operator, { command: 'camera.snapshot', camera_id: 'porch' })).toMatchObject({
    error: { code: 'CAMERA_NOT_RUNNING' },
  });
  const running = next('status.camera.porch' as 'status.camera.*', ({ state }) => state === 'running');
  expect(await ask(operator, { command: 'module.enable', module })).toMatchObject({ ok: true });
  await running;

  const created = await ask(operator, {
    command: 'event.create',
    camera_id: 'porch',
    arguments: { duration_seconds: 1 },
  });
  const { event_id } = created.result as { event_id: string };
  const clip = await next('clip.ready', ({ event_ids }) => event_ids.includes(event_id));
  expect(clip.chain).toMatchObject({ position: 1 });
  const listed = await ask(operator, { command: 'recordings.list' });
  expect(listed.result).toMatchObject({ items: [{ id: event_id, label: 'test', clip_id: clip.clip_id }] });
  expect(await ask(operator, { command: 'recordings.get', arguments: { item_id: event_id } })).toMatchObject({
    result: { path: clip.url },
  });
  expect(await ask(operator, { command: 'analytics.summary' })).toMatchObject({
    result: { stats: { total_events: 1, by_type: { test: 1 } } },
  });
  expect(await ask(operator, { command: 'config.update', arguments: { reload: true } })).toMatchObject({
    error: { code: 'FORBIDDEN' },
  });
});

test('an admin changes the configuration, goes back by its fingerprint, and arms the resilience tester', async () => {
  const admin = await somebody('admin');
  const { payload } = await agent.message(({ topic }) => topic === 'config.snapshot');
  const { fingerprint } = payload as Payload<'config.snapshot'>;
  const changes = { outputs: { rate_limit: { max_events: 50 } } };
  expect(await ask(admin, { source: 'operator', changes }, 'config.update')).toMatchObject({
    ok: true,
    result: { summary: 'outputs is rebuilt; nothing else' },
  });
  const back = next('config.rollback', ({ reason }) => reason === 'request');
  expect(await ask(admin, { fingerprint }, 'config.rollback')).toMatchObject({
    ok: true,
    result: { fingerprint },
  });
  expect(await back).toMatchObject({ snapshot_fingerprint: fingerprint, success: true });

  expect(
    await ask(admin, { command: 'resilience.toggle', arguments: { name: 'slow-webhook', enabled: true } }),
  ).toMatchObject({ ok: true });
  await agent.message(
    ({ topic, payload }) =>
      topic === 'status.resilience.event' && (payload as { scenario: string }).scenario === 'slow-webhook',
  );
});

test('a token that is removed beside the running agent loses its connection, and no other does', async () => {
  const [viewer, operator] = [await somebody('viewer', 'kept'), await somebody('operator', 'removed')];
  const gone = new Promise<void>((resolve) => operator.once('close', resolve));
  const args = ['device/cli/spyoncino.js', 'users', 'remove', 'removed', '--data-dir', agent.dataDir];
  await promisify(execFile)(process.execPath, args);
  await gone;
  expect(viewer.connected).toBe(true);
});

test('without a name nobody asks for anything', async () => {
  const [anonymous, viewer] = [await somebody(null), clients[0]!];
  const seen = agent.messages.length;
  const command = JSON.stringify({ command: 'camera.snapshot', camera_id: 'porch', request_id: 'x' });
  await anonymous.publishAsync(`spyoncino/${NODE}/dashboard/control/command`, command);
  await ask(viewer, { command: 'camera.snapshot', camera_id: 'porch' });
  const answers = agent.messages.slice(seen).filter(({ topic }) => topic === 'dashboard.control.result');
  expect(answers).toHaveLength(1);
});

test('the state of the bus and of the index is told, with what waits', async () => {
  expect(await next('status.bus', () => true)).toMatchObject({ watermark: 'normal' });
  expect(await next('analytics.persistence.cursor', () => true)).toMatchObject({ cursor_id: 'index' });
});

/** The command line as somebody of this role. */
async function lineOf(role: Role): Promise<(...args: string[]) => Promise<Outcome>> {
  const name = `line-${role}`;
  const password = await secretOf(role, name);
  const env = { ...process.env, SPYONCINO_BUS_USERNAME: name, SPYONCINO_BUS_PASSWORD: password };
  return (...args) =>
    new Promise((resolve) => {
      const line = ['device/cli/spyoncino.js', ...args, '--port', String(agent.busPort)];
      execFile(process.execPath, line, { env }, (error, stdout, stderr) =>
        resolve({ code: Number(error?.code ?? 0), stdout, stderr }),
      );
    });
}

interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

test('the command line asks, prints what came of it, and its exit code says whether it was done', async () => {
  const line = await lineOf('operator');
  const module = 'modules.storage.retention';
  const paused = await line('command', 'pipeline.pause', '--module', module);
  expect(paused).toMatchObject({ code: 0, stderr: '' });
  expect(JSON.parse(paused.stdout)).toEqual({ modules: [module] });
  expect(await line('command', 'module.enable', '--module', module)).toMatchObject({ code: 0 });

  const refused = await line('command', 'config.update', '{"reload": true}');
  expect(refused).toMatchObject({ code: 1, stdout: '' });
  expect(refused.stderr).toContain('[FORBIDDEN]');
  const asJson = await line('command', 'camera.snapshot', '--camera', 'nowhere', '--json');
  expect(asJson).toMatchObject({ code: 1, stderr: '' });
  expect(JSON.parse(asJson.stdout)).toMatchObject({ ok: false, error: { code: 'CAMERA_UNKNOWN' } });

  const stranger = await line('command', 'storage.cleanup', '--username', 'stranger');
  expect(stranger).toMatchObject({ code: 1, stdout: '' });
  expect(stranger.stderr).toContain('[UNAUTHENTICATED]');
  const nobody = await line('command', 'storage.cleanup', '--node', 'cellar', '--timeout', '1');
  expect(nobody.stderr).toContain('[COMMAND_TIMEOUT]');
});

test('spyoncino config rollback goes back to a configuration of the history, and to no other', async () => {
  const line = await lineOf('admin');
  const config = parse(await readFile(agent.configPath, 'utf8')) as object;
  const before = (await latest('config.snapshot')).fingerprint;
  const update = '{"key": "outputs.rate_limit.max_events", "value": 77}';
  expect(await line('command', 'config.update', update)).toMatchObject({ code: 0 });
  expect(parse(await readFile(agent.configPath, 'utf8'))).toMatchObject({ outputs: expect.anything() });

  const back = await line('config', 'rollback', before.slice(0, 12));
  expect(back).toMatchObject({
    code: 0,
    stdout: `back to ${before.slice(0, 12)}: outputs is rebuilt; nothing else\n`,
  });
  expect(parse(await readFile(agent.configPath, 'utf8'))).toEqual(config);

  const unknown = await line('config', 'rollback', '0'.repeat(12));
  expect(unknown).toMatchObject({ code: 1, stdout: '' });
  expect(unknown.stderr).toContain('[CONFIG_UNKNOWN]');
});

async function latest<P extends TopicPattern>(topic: P): Promise<Payload<P>> {
  const seen = agent.messages.findLast((message) => message.topic === topic);
  return (seen ?? (await agent.message((message) => message.topic === topic))).payload as Payload<P>;
}
