/** An owner at home: a real agent tells three real receivers, and is told what to do about them. */
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { connectAsync, type MqttClient } from 'mqtt';
import { SMTPServer } from 'smtp-server';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Payload, TopicPattern } from '../../device/contract/topics.ts';
import { startAgent, type TestAgent } from '../harness/agent.ts';
import { TelegramServer, TOKEN } from '../doubles/telegram-server.ts';
import { SECRET, WebhookServer } from '../doubles/webhook-server.ts';

const NODE = 'attic';
const CHAT = '4711';
const OWNER = 42;
const PASSWORD = 'the-password-at-the-mail-server';
const WEBHOOK = 'modules.output.webhook_notifier';
const TELEGRAM = 'modules.output.telegram_notifier';

let webhook: WebhookServer;
let telegram: TelegramServer;
let mailServer: SMTPServer;
const mails: string[] = [];
let agent: TestAgent;
let admin: MqttClient;

beforeAll(async () => {
  webhook = await WebhookServer.start();
  telegram = await TelegramServer.start([CHAT, String(OWNER)]);
  mailServer = new SMTPServer({
    disabledCommands: ['STARTTLS'],
    onAuth: ({ password }, _session, done) =>
      password === PASSWORD ? done(null, { user: 'attic' }) : done(new Error('no')),
    onData(stream, _session, done) {
      const chunks: Buffer[] = [];
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.on('end', () => {
        mails.push(Buffer.concat(chunks).toString());
        done();
      });
    },
  });
  const listening = mailServer.listen(0, '127.0.0.1');
  await once(listening, 'listening');
  agent = await startAgent({
    config: {
      node: { id: NODE },
      cameras: [
        {
          ...{ camera_id: 'porch', name: 'Front porch', test_pattern: true, detection: { enabled: false } },
          recording: { pre_seconds: 1, post_seconds: 1 },
        },
      ],
      system: { confirm_seconds: 0, resilience: { enabled: true } },
      outputs: {
        group_seconds: 0,
        webhook: { enabled: true, require_https: false },
        telegram: { enabled: true, api_root: telegram.url, bot: { enabled: true, command_rate_limit: 30 } },
        email: {
          ...{ enabled: true, smtp_host: '127.0.0.1', security: 'none', recipients: ['ada@example.net'] },
          smtp_port: (listening.address() as AddressInfo).port,
        },
      },
    },
    secrets: {
      webhook: { url: `http://127.0.0.1:${webhook.port}/hook`, secret: SECRET },
      telegram: { token: TOKEN, chat_id: Number(CHAT) },
      email: { smtp_username: 'attic', smtp_password: PASSWORD },
      authentication: { superuser_id: OWNER },
    },
  });
  admin = await somebody('admin');
});
afterAll(async () => {
  await admin?.endAsync(true);
  await agent?.[Symbol.asyncDispose]();
  await webhook?.[Symbol.asyncDispose]();
  await telegram?.[Symbol.asyncDispose]();
  await new Promise<void>((resolve) => mailServer.close(resolve));
});

async function somebody(role: string, of: TestAgent = agent): Promise<MqttClient> {
  const args = ['users', 'token', `a-${role}`, '--role', role, '--data-dir', of.dataDir];
  const { stdout } = await promisify(execFile)(process.execPath, ['device/cli/spyoncino.js', ...args]);
  const password = stdout.trim();
  return connectAsync({ host: '127.0.0.1', port: of.busPort, username: `a-${role}`, password });
}

let requests = 0;

async function ask(
  request: object,
  topic: TopicPattern = 'dashboard.control.command',
): Promise<Payload<'dashboard.control.result'>> {
  const request_id = `r${++requests}`;
  const answered = agent.message(
    ({ topic: said, payload }) =>
      said === 'dashboard.control.result' &&
      (payload as Payload<'dashboard.control.result'>).request_id === request_id,
  );
  await admin.publishAsync(
    `spyoncino/${NODE}/${topic.replaceAll('.', '/')}`,
    JSON.stringify({ ...request, request_id }),
    { qos: 1 },
  );
  return (await answered).payload as Payload<'dashboard.control.result'>;
}

/** Resolves when it is over, so that the next one is another incident. */
async function testEvent(seconds = 1): Promise<string> {
  const { result } = await ask({
    command: 'event.create',
    camera_id: 'porch',
    arguments: { label: 'person', duration_seconds: seconds },
  });
  const { event_id } = result as { event_id: string };
  await agent.message(
    ({ topic, payload }) => topic === 'event.end' && (payload as Payload<'event.end'>).event_id === event_id,
  );
  return event_id;
}

const health = (
  module: string,
  fits: (health: Payload<'status.health.summary'>['modules'][string]) => boolean,
) => {
  const seen = agent.messages.length;
  return agent.message(
    (message) =>
      message.topic === 'status.health.summary' &&
      agent.messages.indexOf(message) >= seen &&
      fits((message.payload as Payload<'status.health.summary'>).modules[module]!),
  );
};

const told = (eventId: string) =>
  webhook.calls.filter(({ body }) => body.notice_id === `incident-${eventId}`);

test('one event is one message on every channel, which grows until the clip is there', async () => {
  const eventId = await testEvent(2);
  await webhook.has(() => told(eventId).some(({ body }) => body['clip_id'] !== null));
  await telegram.shows(() => telegram.chat(CHAT).some(({ kind }) => kind === 'video'));
  expect(told(eventId)[0]).toMatchObject({
    isSigned: true,
    body: {
      revision: 1,
      is_over: false,
      subject: expect.stringContaining('Person on Front porch') as string,
    },
  });
  expect(new Set(webhook.calls.map(({ key }) => key)).size).toBe(webhook.calls.length);
  expect(telegram.chat(CHAT)).toMatchObject([{ kind: 'video' }]);
  const methods = telegram.calls.map(({ method }) => method).filter((method) => method !== 'getUpdates');
  expect(methods.filter((method) => method.startsWith('send'))).toEqual(['sendMessage']);
  expect(methods).toContain('editMessageMedia');
  await agent.message(({ topic }) => topic === 'notify.email.sent');
  expect(mails).toHaveLength(1);
  expect(mails[0]).toContain('Person on Front porch');

  const said = agent.messages.filter(({ topic }) => topic.startsWith('notify.telegram'));
  expect(said.map(({ topic }) => topic).slice(0, 2)).toEqual([
    'notify.telegram.queued',
    'notify.telegram.sent',
  ]);
  expect(said[0]?.payload).toMatchObject({ event_ids: [eventId], camera_ids: ['porch'], labels: ['person'] });
  const { result } = await ask({ command: 'notifications.list', arguments: { limit: 500 } });
  const { items } = result as { items: { target: string; outcome: string }[] };
  expect(new Set(items.map(({ outcome }) => outcome))).toEqual(new Set(['queued', 'sent']));
});

test('a test goes to every receiver, and says which of them fails and why; health says so until it is over', async () => {
  expect(await ask({ command: 'system.notification.test' })).toMatchObject({
    ok: true,
    result: { ok: true, results: [{ error: null }, { error: null }, { error: null }] },
  });
  webhook.fault = (response) => response.writeHead(500).end();
  const failing = health(WEBHOOK, ({ status }) => status === 'degraded');
  expect(await ask({ command: 'system.notification.test', arguments: { channel: 'webhook' } })).toMatchObject(
    {
      result: { ok: false, results: [{ target: 'webhook', error: { code: 'NOTIFY_FAILED' } }] },
    },
  );
  const { payload } = await failing;
  expect((payload as Payload<'status.health.summary'>).modules[WEBHOOK]?.reasons).toMatchObject([
    { code: 'NOTIFY_FAILED' },
  ]);
  webhook.fault = null;
  const well = health(WEBHOOK, ({ status }) => status === 'healthy');
  await ask({ command: 'system.notification.test', arguments: { channel: 'webhook' } });
  await well;
});

test('as the runbook says: a paused notifier sheds, a raised limit lets go what waits', async () => {
  const paused = health(TELEGRAM, ({ status }) => status === 'disabled');
  expect(await ask({ command: 'pipeline.pause', module: TELEGRAM })).toMatchObject({ ok: true });
  const { payload } = await paused;
  expect((payload as Payload<'status.health.summary'>).modules[TELEGRAM]?.reasons).toMatchObject([
    { code: 'NOTIFY_PAUSED' },
  ]);
  const shown = telegram.chat(CHAT).length;
  const shed = await testEvent();
  await webhook.has(() => told(shed).length > 0);
  await ask({ command: 'pipeline.resume', module: TELEGRAM });

  const lower = { outputs: { rate_limit: { max_events: 1, per_seconds: 3600 } } };
  expect(await ask({ source: 'operator', changes: lower }, 'config.update')).toMatchObject({ ok: true });
  const waiting = await testEvent();
  await agent.message(
    ({ topic, payload }) =>
      topic === 'notify.webhook.queued' &&
      (payload as Payload<'notify.webhook.queued'>).event_ids.includes(waiting),
  );
  expect(told(waiting)).toEqual([]);
  const higher = { outputs: { rate_limit: { max_events: 500, per_seconds: 60 } } };
  expect(await ask({ source: 'operator', changes: higher }, 'config.update')).toMatchObject({
    ok: true,
    result: { summary: 'outputs is rebuilt; nothing else' },
  });
  await webhook.has(() => told(waiting).length > 0);
  await telegram.shows(() => telegram.chat(CHAT).length > shown);
  expect(telegram.chat(CHAT)).toHaveLength(shown + 1);
});

test('disarmed or muted nothing is told; armed again it is', async () => {
  expect(await ask({ command: 'arm.set', arguments: { mode: 'disarmed' } })).toMatchObject({
    ok: true,
    result: { mode: 'disarmed', by: 'a-admin' },
  });
  await agent.message(
    ({ topic, payload }) => topic === 'status.arm' && (payload as Payload<'status.arm'>).mode === 'disarmed',
  );
  const quiet = await testEvent();
  await ask({ command: 'arm.set', arguments: { mode: 'away' } });
  await ask({ command: 'notifications.mute', arguments: { minutes: 30 } });
  const muted = await testEvent();
  await ask({ command: 'notifications.mute', arguments: { minutes: 0 } });
  const loud = await testEvent();
  await webhook.has(() => told(loud).length > 0);
  expect([...told(quiet), ...told(muted)]).toEqual([]);
});

test('the owner asks and commands by Telegram; the real agent does it', async () => {
  const chat = String(OWNER);
  const say = async (text: string) => {
    const before = telegram.chat(chat).length;
    telegram.write(OWNER, text);
    await telegram.shows(() => telegram.chat(chat).length > before);
    return telegram.chat(chat).at(-1)!;
  };
  const recorded = await testEvent();
  await agent.message(
    ({ topic, payload }) =>
      topic === 'clip.ready' && (payload as Payload<'clip.ready'>).event_ids.includes(recorded),
  );
  expect((await say('/status')).words).toMatch(/modules/);
  expect(await say('/snap')).toMatchObject({ kind: 'photo', words: 'porch' });
  expect((await say('/recordings porch')).buttons.length).toBeGreaterThan(0);
  expect(await say('/clip porch')).toMatchObject({ kind: 'video' });
  const timeline = await say('/timeline 1');
  expect(timeline.kind).toBe('photo');
  expect(timeline.words).toContain('porch:');
  expect((await say('/analytics 1')).words).toContain('person');
  expect((await say('/arm night')).words).toContain(`night (telegram:${OWNER})`);
  expect((await say('/config outputs.fresh_seconds 200')).words).toContain('outputs is rebuilt');
  expect((await say('/show_config outputs.telegram')).words).toContain('"enabled": true');
  expect(await say('/show_config')).toMatchObject({ kind: 'document' });
  expect((await say('/show_config no.such')).words).toContain('there is no key');
  expect((await say('/test')).words).toContain('webhook: ok');
  telegram.write(666, '/disarm');
  expect((await say('/arm')).words).toContain('night');
  expect(await readFile(join(agent.dataDir, 'state', 'audit.jsonl'), 'utf8')).toContain(`telegram:${OWNER}`);
});

test('the scenario slow-webhook holds up the webhook, and nothing else', async () => {
  const toggle = (enabled: boolean) =>
    ask({ command: 'resilience.toggle', arguments: { name: 'slow-webhook', enabled } });
  expect(await toggle(true)).toMatchObject({ ok: true });
  const shown = telegram.chat(CHAT).length;
  const slow = await testEvent();
  await telegram.shows(() => telegram.chat(CHAT).length > shown);
  expect(told(slow)).toEqual([]);
  await agent.message(
    ({ topic, payload }) =>
      topic === 'status.resilience.event' &&
      (payload as Payload<'status.resilience.event'>).topic === 'notify.webhook.send',
  );
  await toggle(false);
  await webhook.has(() => told(slow).length > 0);
});

test('a node that stands by tells nobody, now or later, and says so', async () => {
  await using unwanted = await WebhookServer.start();
  await using standby = await startAgent({
    config: {
      node: { id: NODE },
      cameras: [{ camera_id: 'porch', test_pattern: true, detection: { enabled: false } }],
      outputs: { webhook: { enabled: true, require_https: false } },
    },
    secrets: { webhook: { url: `http://127.0.0.1:${unwanted.port}/hook`, secret: SECRET } },
    env: { SPYONCINO_STANDBY: '1' },
  });
  const client = await somebody('admin', standby);
  await client.publishAsync(
    `spyoncino/${NODE}/dashboard/control/command`,
    JSON.stringify({ command: 'event.create', camera_id: 'porch', arguments: { duration_seconds: 1 } }),
  );
  await standby.message(({ topic }) => topic === 'notify.webhook.queued');
  const seen = standby.messages.length;
  const { payload } = await standby.message(
    (message) => message.topic === 'status.health.summary' && standby.messages.indexOf(message) >= seen,
  );
  expect((payload as Payload<'status.health.summary'>).modules[WEBHOOK]).toMatchObject({
    status: 'disabled',
    reasons: [{ code: 'NOTIFY_STANDBY' }],
    details: { lanes: { webhook: { queued: 0, sent: 0 } } },
  });
  expect(unwanted.calls).toEqual([]);
  await client.endAsync(true);
});

test('secrets are where they belong, and nowhere else', async () => {
  const secrets = [TOKEN, SECRET, PASSWORD, `:${webhook.port}/hook`];
  webhook.fault = (response) => response.destroy();
  telegram.faults.push('cut');
  await ask({ command: 'system.notification.test' });
  webhook.fault = null;
  const state = join(agent.dataDir, 'state');
  const files = (await readdir(state, { recursive: true, withFileTypes: true })).filter((entry) =>
    entry.isFile(),
  );
  const kept = await Promise.all(files.map(async ({ parentPath, name }) => readFile(join(parentPath, name))));
  const places = [
    agent.log(),
    JSON.stringify(agent.messages),
    JSON.stringify(await ask({ command: 'config.get' })),
    ...kept.map((bytes) => bytes.toString('latin1')),
  ];
  for (const secret of secrets) for (const place of places) expect(place.includes(secret)).toBe(false);
});
