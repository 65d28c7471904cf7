/** Incidents on the bus of a real agent, and through its bridge on a real mosquitto, over a kill of the agent. */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { connectAsync, type MqttClient } from 'mqtt';
import { expect, test } from 'vitest';
import { TOPICS, type Payload } from '../../device/contract/topics.ts';
import { startAgent, type TestAgent } from '../harness/agent.ts';
import { freePort } from '../harness/free-port.ts';
import { requirePackages } from '../harness/packages.ts';

requirePackages(['mosquitto']);

type Card = Payload<'notify.mqtt.incident'>;
const NODE = 'attic';
const topic = (name: string): string => `spyoncino/${NODE}/${name.replaceAll('.', '/')}`;

/** Another broker, and a client of it that shows a card per incident. */
async function otherBroker(folder: string, port: number) {
  const path = join(folder, 'mosquitto.conf');
  await writeFile(path, `listener ${port} 127.0.0.1\nallow_anonymous true\nuser root\n`);
  const broker = spawn('/usr/sbin/mosquitto', ['-c', path], { stdio: ['ignore', 'ignore', 'pipe'] });
  for await (const text of broker.stderr.iterator({ destroyOnReturn: false }))
    if (String(text).includes('running')) break;
  broker.stderr.resume();
  const client = await connectAsync({ host: '127.0.0.1', port });
  const heard: Card[] = [];
  const cards = new Map<string, Card>();
  let news = Promise.withResolvers<void>();
  client.on('message', (_topic, bytes) => {
    const {
      schema: _schema,
      seq: _seq,
      ts: _ts,
      ...card
    } = JSON.parse(bytes.toString()) as Card & {
      schema: string;
      seq: number;
      ts: number;
    };
    heard.push(TOPICS['notify.mqtt.incident'].payload.parse(card));
    cards.set(card.incident_id, card);
    news.resolve();
    news = Promise.withResolvers();
  });
  await client.subscribeAsync(topic('notify.mqtt.incident'), { qos: 1 });
  return {
    heard,
    cards,
    async shows(fits: () => boolean): Promise<void> {
      while (!fits()) await news.promise;
    },
    async [Symbol.asyncDispose]() {
      await client.endAsync(true);
      broker.kill('SIGTERM');
      await once(broker, 'exit');
    },
  };
}

test('one card per incident, edited until it is closed, here and on another broker, also over a kill', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'spyoncino-notify-mqtt-'));
  const port = await freePort();
  const start = (): Promise<TestAgent> =>
    startAgent({
      dataDir: join(folder, 'data'),
      config: {
        node: { id: NODE },
        bus: { port: 0, bridge: { url: `mqtt://127.0.0.1:${port}` } },
        cameras: [
          {
            ...{ camera_id: 'porch', name: 'Front porch', test_pattern: true },
            ...{ detection: { enabled: false }, recording: { pre_seconds: 1, post_seconds: 1 } },
          },
        ],
        system: {
          resilience: {
            enabled: true,
            scenarios: [{ name: 'mqtt-broken', topic: 'notify.mqtt.send', error_probability: 1 }],
          },
        },
        outputs: {
          group_seconds: 0,
          mqtt: { enabled: true, base_url: 'https://attic.local:8443/' },
        },
      },
    });
  try {
    await using other = await otherBroker(folder, port);
    await using lives = new AsyncDisposableStack();
    const agent = lives.use(await start());
    const args = ['users', 'token', 'an-admin', '--role', 'admin', '--data-dir', agent.dataDir];
    const { stdout } = await promisify(execFile)(process.execPath, ['device/cli/spyoncino.js', ...args]);
    const connect = (): Promise<MqttClient> =>
      connectAsync({
        ...{ host: '127.0.0.1', port: agent.busPort, username: 'an-admin', password: stdout.trim() },
      });
    const client = await connect();
    const ask = (request: object): Promise<unknown> =>
      client.publishAsync(topic('dashboard.control.command'), JSON.stringify(request), { qos: 1 });
    const event = (duration_seconds: number): Promise<unknown> =>
      ask({
        command: 'event.create',
        camera_id: 'porch',
        arguments: { label: 'person', duration_seconds },
      });

    await event(2);
    await other.shows(() => [...other.cards.values()].some(({ clip_id }) => clip_id !== null));
    const [first] = other.heard;
    const [card] = other.cards.values();
    expect(first).toMatchObject({ state: 'open', camera_ids: ['porch'], labels: ['person'], clip_id: null });
    expect(first?.subject).toContain('Person on Front porch');
    expect(card).toMatchObject({
      incident_id: first?.incident_id,
      state: 'closed',
      clip_url: `https://attic.local:8443/api/clips/${card?.clip_id}/media`,
    });
    const revisions = other.heard.map(({ revision }) => revision);
    expect(revisions).toEqual([...new Set(revisions)].toSorted((a, b) => a - b));
    // Whoever connects now finds the newest.
    const late = await connect();
    const found = once(late as never, 'message') as Promise<[string, Buffer, { retain: boolean }]>;
    await late.subscribeAsync(topic('notify.mqtt.latest'));
    const [, bytes, { retain }] = await found;
    expect(retain).toBe(true);
    expect(JSON.parse(bytes.toString())).toMatchObject({ incident_id: card?.incident_id, state: 'closed' });
    await late.endAsync(true);
    // Trouble: an attempt fails, is in the journal, and is repeated until it is taken.
    await ask({ command: 'resilience.toggle', arguments: { name: 'mqtt-broken', enabled: true } });
    await event(30);
    const { payload } = await agent.message(({ topic: said }) => said === 'notify.mqtt.failed');
    expect(payload).toMatchObject({
      channel: 'mqtt',
      target: 'mqtt',
      reason: { code: 'NOTIFY_UNREACHABLE' },
    });
    // Killed with a message that waits and an event that goes on: the next start ends it, and tells so.
    const waiting = (payload as Payload<'notify.mqtt.failed'>).notice_id;
    expect(other.cards.has(waiting)).toBe(false);
    await client.endAsync(true);
    process.kill(agent.pid, 'SIGKILL');
    await agent[Symbol.asyncDispose]();
    lives.use(await start());
    await other.shows(() => other.cards.get(waiting)?.state === 'closed');
    expect(other.heard.find(({ incident_id }) => incident_id === waiting)?.state).toBe('closed');
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
