/** Passing messages on to another broker: a real mosquitto that comes and goes. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { BridgeSettings } from '../../device/contract/settings.ts';
import type { StateStore } from '../../device/contract/state-store.ts';
import { systemClock } from '../../device/kernel/clock.ts';
import { requirePackages } from '../harness/packages.ts';
import { connectClient, motion, mqttTopic, startBus } from './bus-fixture.ts';
import { freePort } from '../harness/free-port.ts';
import { openStateStore } from '../harness/state-store.ts';

requirePackages(['mosquitto']);

let dir: string;
let port: number;
let state: StateStore & Disposable;
let mosquitto: ChildProcess | null;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'bus-bridge-'));
  port = await freePort();
  state = await openStateStore(dir);
  mosquitto = null;
});
afterEach(async () => {
  await stopMosquitto();
  state[Symbol.dispose]();
  await rm(dir, { recursive: true });
});

async function startMosquitto(): Promise<void> {
  const config = join(dir, 'mosquitto.conf');
  const keeps = `persistence true\npersistence_location ${dir}/\n`;
  await writeFile(config, `listener ${port} 127.0.0.1\nallow_anonymous true\nuser root\n${keeps}`);
  mosquitto = spawn('/usr/sbin/mosquitto', ['-c', config], { stdio: ['ignore', 'ignore', 'pipe'] });
  const { stderr } = mosquitto;
  if (stderr)
    for await (const text of stderr.iterator({ destroyOnReturn: false }))
      if (String(text).includes('running')) break;
  stderr?.resume();
}

async function stopMosquitto(): Promise<void> {
  if (!mosquitto || mosquitto.exitCode !== null) return;
  const exited = once(mosquitto, 'exit');
  mosquitto.kill('SIGTERM');
  await exited;
  mosquitto = null;
}

const bridge = (settings: Partial<BridgeSettings> = {}): BridgeSettings => ({
  url: `mqtt://127.0.0.1:${port}`,
  topics: ['motion.*', 'status.*'],
  username: null,
  password: null,
  caFile: null,
  commandsAs: null,
  maxMessages: 1000,
  maxBytes: 1 << 20,
  ...settings,
});
/** Outages are shorter than in life. */
const clock = {
  ...systemClock,
  sleep: (ms: number, signal?: AbortSignal) => systemClock.sleep(Math.min(ms, 100), signal),
};
const start = (settings: Partial<BridgeSettings> = {}) =>
  startBus({ state, bridge: bridge(settings), clock });
const publish = (bus: Awaited<ReturnType<typeof start>>, from: number, to: number): void => {
  for (let n = from; n < to; n++) bus.publish('motion.start', motion(`cam${n}`));
};
const cams = (from: number, to: number): string[] =>
  Array.from({ length: to - from }, (_, n) => `cam${from + n}`);

/** A client that the other broker keeps messages for, and the cameras whose motion it was told. */
async function listener() {
  const heard: string[] = [];
  const client = await connectClient(port, { clientId: 'listener', clean: false }, (made) =>
    made.on('message', (_topic, bytes) =>
      heard.push((JSON.parse(bytes.toString()) as { camera_id: string }).camera_id),
    ),
  );
  await client.subscribeAsync(mqttTopic('motion.start'), { qos: 1 });
  return Object.assign(client, { heard });
}

test('nothing is lost and the order is kept while the other broker is away, also over a restart of the agent', async () => {
  await startMosquitto();
  await (await listener()).endAsync();
  await stopMosquitto();
  {
    await using bus = await start();
    publish(bus, 0, 20);
    await expect.poll(() => bus.bridge?.reason?.message).toContain('ECONNREFUSED');
    expect(bus.bridge).toMatchObject({ connected: false, waitingMessages: 21 });
  }
  await using bus = await start();
  publish(bus, 20, 40);
  await startMosquitto();
  await expect
    .poll(() => bus.bridge, { timeout: 20_000 })
    .toMatchObject({ connected: true, waitingMessages: 0 });
  publish(bus, 40, 60);
  await expect.poll(() => bus.bridge?.waitingMessages).toBe(0);
  await stopMosquitto();
  await expect.poll(() => bus.bridge?.connected).toBe(false);
  publish(bus, 60, 80);
  expect(bus.bridge?.waitingMessages).toBe(20);
  await startMosquitto();
  publish(bus, 80, 90);
  await using back = await listener();
  await expect.poll(() => unique(back.heard), { timeout: 20_000 }).toEqual(cams(0, 90));
});

/** QoS 1: the last few may come twice. */
const unique = (heard: readonly string[]): string[] => [...new Set(heard)];

test('another broker that freezes holds up neither the bus nor its end, and gets what it missed', async () => {
  await startMosquitto();
  await (await listener()).endAsync();
  {
    await using bus = await start();
    await expect.poll(() => bus.bridge).toMatchObject({ connected: true, waitingMessages: 0 });
    mosquitto?.kill('SIGSTOP');
    publish(bus, 0, 50);
    expect(bus.bridge?.waitingMessages).toBe(50);
  }
  mosquitto?.kill('SIGCONT');
  await using back = await listener();
  await using _bus = await start();
  await expect.poll(() => unique(back.heard), { timeout: 20_000 }).toEqual(cams(0, 50));
});

test('all that waited arrives, in order', async () => {
  await startMosquitto();
  await using other = await listener();
  await using bus = await start();
  publish(bus, 0, 300);
  await expect.poll(() => unique(other.heard), { timeout: 20_000 }).toEqual(cams(0, 300));
  await expect.poll(() => bus.bridge?.waitingMessages).toBe(0);
});

test('beyond the bound the oldest goes, counted; of what is retained only the latest waits', async () => {
  await using bus = await start({ maxMessages: 10 });
  for (let n = 0; n < 50; n++)
    bus.publish('status.detector', { state: 'down', model: `m${n}`, backend: null, reason: null });
  expect([bus.bridge?.waitingMessages, bus.meter.drops('bridge_full')]).toEqual([2, 0]);
  publish(bus, 0, 30);
  expect([bus.bridge?.waitingMessages, bus.meter.drops('bridge_full')]).toEqual([10, 22]);
});

test('the other broker is told when the agent is gone, and when it is there', async () => {
  await startMosquitto();
  const states: unknown[] = [];
  await using other = await connectClient(port, {}, (client) =>
    client.on('message', (_topic, bytes) =>
      states.push((JSON.parse(bytes.toString()) as { state: string }).state),
    ),
  );
  await other.subscribeAsync(mqttTopic('status.availability'));
  const bus = await start();
  await expect.poll(() => states).toEqual(['online']);
  await bus[Symbol.asyncDispose]();
  await expect.poll(() => states).toEqual(['online', 'offline']);
});

test('who may publish there may ask as far as settings say; what is retained there asks for nothing', async () => {
  await startMosquitto();
  await using other = await connectClient(port);
  const command = mqttTopic('dashboard.control.command');
  await other.publishAsync(command, '{"command":"stale"}', { qos: 1, retain: true });
  await using bus = await start({ commandsAs: 'operator' });
  const heard: unknown[] = [];
  bus.handle('dashboard.control.command', ({ command }, caller) => heard.push([command, caller]));
  await expect.poll(() => bus.bridge?.connected).toBe(true);
  await expect
    .poll(async () => {
      await other.publishAsync(command, '{"command":"storage.cleanup"}', { qos: 1 });
      return heard[0];
    })
    .toEqual(['storage.cleanup', { user: 'bridge', role: 'operator', surface: 'mqtt' }]);
});

test('what Home Assistant is told goes there too, and what is gone is taken back', async () => {
  await startMosquitto();
  const told = new Map<string, string>();
  await using other = await connectClient(port, {}, (client) =>
    client.on('message', (topic, bytes) => told.set(topic, bytes.toString())),
  );
  await other.subscribeAsync('homeassistant/#');
  await using bus = await startBus({
    state,
    bridge: bridge(),
    clock,
    homeAssistant: { prefix: 'homeassistant' },
  });
  await using local = await connectClient(bus.port);
  const here = new Map<string, string>();
  local.on('message', (topic, bytes) => here.set(topic, bytes.toString()));
  const [a, b] = ['homeassistant/switch/attic/a/config', 'homeassistant/switch/attic/b/config'] as const;
  bus.announce([
    { topic: a, payload: { name: 'a' } },
    { topic: b, payload: { name: 'b' } },
  ]);
  await local.subscribeAsync('homeassistant/#');
  bus.announce([{ topic: b, payload: { name: 'b' } }]);
  const expected = new Map([
    [a, ''],
    [b, '{"name":"b"}'],
  ]);
  await expect.poll(() => told).toEqual(expected);
  await expect.poll(() => here).toEqual(expected);
  const camera = 'homeassistant/camera/attic/camera_porch_picture';
  bus.announce([{ topic: `${camera}/config`, payload: { name: 'porch' } }]);
  bus.showPicture('porch', Buffer.from([0xff, 0xd8, 0xff]));
  for (const messages of [told, here]) {
    await expect.poll(() => messages.get(`${camera}/picture`)).toBe('/9j/');
  }
  bus.announce([]);
  for (const messages of [told, here]) {
    await expect.poll(() => messages.get(`${camera}/picture`)).toBe('');
  }
  bus.showPicture('porch', Buffer.alloc(1 << 20));
  expect(bus.meter.drops('picture_too_large')).toBe(1);
  // Home Assistant says hello on its own topic: nobody minds.
  await local.publishAsync('homeassistant/status', 'online', { qos: 1 });
  expect(bus.meter.drops('publish_refused')).toBe(0);
});
