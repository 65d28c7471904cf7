/** A real agent that is killed while its network is away: what happened is told once the network is back. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { connectAsync } from 'mqtt';
import { expect, test } from 'vitest';
import type { ReceivedMessage } from '../../device/bus/index.ts';
import type { Payload } from '../../device/contract/topics.ts';
import { TelegramServer, TOKEN } from '../doubles/telegram-server.ts';
import { SECRET, WebhookServer } from '../doubles/webhook-server.ts';
import { startAgent, type TestAgent } from '../harness/agent.ts';
import { freePort } from '../harness/free-port.ts';

const CHAT = '4711';
const NODE = 'attic';

/** Resolves when the event is over and its clip is in the index. */
async function testEvent(agent: TestAgent, password: string): Promise<string> {
  const client = await connectAsync({
    ...{ host: '127.0.0.1', port: agent.busPort, username: 'operator', password },
  });
  const request_id = `${agent.pid}-${agent.messages.length}`;
  const request = {
    ...{ command: 'event.create', camera_id: 'porch', request_id },
    arguments: { label: 'person', duration_seconds: 1 },
  };
  await client.publishAsync(`spyoncino/${NODE}/dashboard/control/command`, JSON.stringify(request));
  const { payload } = await agent.message(
    ({ topic, payload }) =>
      topic === 'dashboard.control.result' &&
      (payload as Payload<'dashboard.control.result'>).request_id === request_id,
  );
  await client.endAsync(true);
  const { event_id } = (payload as { result: { event_id: string } }).result;
  await agent.message(
    ({ topic, payload }) =>
      topic === 'clip.ready' && (payload as Payload<'clip.ready'>).event_ids.includes(event_id),
  );
  return event_id;
}

const isDigest = ({ topic, payload }: ReceivedMessage): boolean =>
  /^notify\.\w+\.queued$/.test(topic) && (payload as Payload<'notify.webhook.queued'>).kind === 'digest';

test('killed twice without a network: all is told when it is back, the newest first, each once', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'spyoncino-restart-'));
  const [webhookPort, telegramPort] = [await freePort(), await freePort()];
  const start = (): Promise<TestAgent> =>
    startAgent({
      dataDir: join(folder, 'data'),
      config: {
        node: { id: NODE },
        cameras: [
          {
            ...{ camera_id: 'porch', test_pattern: true, detection: { enabled: false } },
            recording: { pre_seconds: 0, post_seconds: 0 },
          },
        ],
        outputs: {
          ...{ group_seconds: 0, fresh_seconds: 15, rate_limit: { max_events: 1000 } },
          webhook: { enabled: true, require_https: false },
          telegram: { enabled: true, api_root: `http://127.0.0.1:${telegramPort}` },
        },
      },
      secrets: {
        webhook: { url: `http://127.0.0.1:${webhookPort}/`, secret: SECRET },
        telegram: { token: TOKEN, chat_id: CHAT },
      },
    });
  const events: string[] = [];
  const digests = new Set<string>();
  try {
    let password = '';
    for (let life = 0; life < 2; life++) {
      await using agent = await start();
      const args = ['users', 'token', 'operator', '--role', 'operator', '--data-dir', agent.dataDir];
      if (password === '') {
        const made = await promisify(execFile)(process.execPath, ['device/cli/spyoncino.js', ...args]);
        password = made.stdout.trim();
      }
      for (let i = 0; i < 2; i++) events.push(await testEvent(agent, password));
      await agent.message(({ topic }) => topic === 'notify.telegram.failed');
      await agent.message(({ topic }) => topic === 'notify.webhook.failed');
      // On a slow machine the first ones are old in the second life already.
      for (const message of agent.messages) if (isDigest(message)) digests.add(message.topic);
      process.kill(agent.pid, 'SIGKILL');
    }
    await using agent = await start();
    const newest = await testEvent(agent, password);
    events.push(newest);
    // The first ones are old by now.
    for (const channel of ['webhook', 'telegram']) {
      const queued = `notify.${channel}.queued`;
      if (!digests.has(queued)) {
        await agent.message((message) => message.topic === queued && isDigest(message));
      }
    }
    await using webhook = await WebhookServer.start({ port: webhookPort });
    await using telegram = await TelegramServer.start([CHAT], telegramPort);
    const eventsIn = (call: (typeof webhook.calls)[number]): string[] =>
      ((call.body['events'] ?? []) as { event_id: string }[]).map(({ event_id }) => event_id);
    const countIn = (call: (typeof webhook.calls)[number]): number => Number(call.body['incidents'] ?? 0);
    const firsts = () =>
      [
        ...new Map(webhook.calls.toReversed().map((call) => [call.body.notice_id, call])).values(),
      ].toReversed();
    const told = () => firsts().reduce((sum, call) => sum + eventsIn(call).length + countIn(call), 0);
    await webhook.has(() => told() === events.length);
    const shown = (): number =>
      telegram
        .chat(CHAT)
        .reduce((sum, { words }) => sum + Number(/^(\d+) incidents while/.exec(words)?.[1] ?? 1), 0);
    await telegram.shows(() => shown() === events.length);

    expect(eventsIn(firsts()[0]!)).toEqual([newest]);
    expect(firsts().at(-1)?.body.event_kind).toBe('digest');
    expect(new Set(webhook.calls.map(({ key }) => key)).size).toBe(webhook.calls.length);
    const [first, ...rest] = telegram.chat(CHAT);
    expect(first?.words).toMatch(/^Person on porch/);
    expect(rest.filter(({ words }) => words.includes('incidents while'))).toHaveLength(1);
    expect(telegram.chat(CHAT).filter(({ words }) => words.startsWith('(again'))).toEqual([]);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
