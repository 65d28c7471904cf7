/** What the bus keeps for clients that are away, also over a restart of the agent. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { MqttClient } from 'mqtt';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { BusOptions } from '../../device/bus/index.ts';
import type { StateStore } from '../../device/contract/state-store.ts';
import { systemClock } from '../../device/kernel/clock.ts';
import { collect, connectClient, motion, mqttTopic, startBus } from './bus-fixture.ts';
import { openStateStore } from '../harness/state-store.ts';

let dir: string;
let state: StateStore & Disposable;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'bus-state-'));
  state = await openStateStore(dir);
});
afterEach(async () => {
  state[Symbol.dispose]();
  await rm(dir, { recursive: true });
});

const start = (options: Partial<BusOptions> = {}) =>
  startBus({
    state,
    authenticate: async ({ username }) => ({ user: username ?? '', role: 'viewer', surface: 'mqtt' }),
    ...options,
  });
type TestBus = Awaited<ReturnType<typeof start>>;

/** Connects with a session that outlives it, and collects from before anything can come. */
async function tablet(bus: TestBus, username = 'anna') {
  const heard: string[] = [];
  const client = await connectClient(
    bus.port,
    { username, password: 'x', clientId: 'tablet', clean: false },
    (made) =>
      made.on('message', (_topic, bytes) =>
        heard.push((JSON.parse(bytes.toString()) as { camera_id: string }).camera_id),
      ),
  );
  return Object.assign(client, { heard });
}

async function subscribed(bus: TestBus): Promise<void> {
  await using client = await tablet(bus);
  await client.subscribeAsync(mqttTopic('motion.start'), { qos: 1 });
}
const gone = (bus: TestBus) => expect.poll(() => bus.clients).toBe(0);
const publish = (bus: TestBus, from: number, to: number): void => {
  for (let n = from; n < to; n++) bus.publish('motion.start', motion(`cam${n}`));
};
const cams = (from: number, to: number): string[] =>
  Array.from({ length: to - from }, (_, n) => `cam${from + n}`);

test('who was away gets what it missed, in order, once, and then what is new', async () => {
  await using bus = await start();
  await subscribed(bus);
  await gone(bus);
  publish(bus, 0, 50);
  await using back = await tablet(bus);
  publish(bus, 50, 60);
  await expect.poll(() => back.heard).toEqual(cams(0, 60));
});

test('also over a restart of the agent', async () => {
  {
    await using bus = await start();
    await subscribed(bus);
    await gone(bus);
    publish(bus, 0, 5);
  }
  {
    await using bus = await start();
    publish(bus, 5, 10);
    await using back = await tablet(bus);
    await expect.poll(() => back.heard).toEqual(cams(0, 10));
    await acknowledged(back);
  }
  await using bus = await start();
  await using again = await tablet(bus);
  publish(bus, 10, 11);
  await expect.poll(() => again.heard).toEqual(['cam10']);
});

/** What the client sent before this has been heard. */
const acknowledged = (client: MqttClient) => client.subscribeAsync(mqttTopic('storage.gap'));

test('what is retained is there after a restart, without having been said again', async () => {
  const down = { state: 'down', model: 'm', backend: null, reason: null } as const;
  {
    await using bus = await start();
    bus.publish('status.detector', down);
    bus.publish('status.detector', { ...down, model: 'n' });
    bus.publish<'status.camera.*'>('status.camera.old', {
      camera_id: 'old',
      state: 'stopped',
      generation: 1,
      since_ts: 1,
      reason: null,
      retry_in_ms: null,
      streams: [],
    });
    bus.forget<'status.camera.*'>('status.camera.old');
  }
  await using bus = await start();
  await using client = await connectClient(bus.port);
  const heard = await collect(client, 'spyoncino/#');
  await heard.until(2);
  bus.publish('motion.start', motion('porch'));
  const messages = new Map((await heard.until(3)).map(({ topic, payload }) => [topic, payload]));
  expect([...messages.keys()].toSorted()).toEqual(
    ['motion.start', 'status.availability', 'status.detector'].map(mqttTopic),
  );
  expect(messages.get(mqttTopic('status.detector'))).toMatchObject({ model: 'n' });
  expect(messages.get(mqttTopic('status.availability'))).toMatchObject({ state: 'online' });
});

test('so many messages are kept, the newest; what went is counted', async () => {
  await using bus = await start({ sessions: { maxMessages: 10, maxBytes: 1 << 20, maxAgeMs: 1e9 } });
  await subscribed(bus);
  await gone(bus);
  publish(bus, 0, 25);
  await using back = await tablet(bus);
  await expect.poll(() => back.heard).toEqual(cams(15, 25));
  expect(bus.meter.drops('session_full')).toBe(15);
});

test('so many bytes, and for so long', async () => {
  let aheadMs = 0;
  const clock = { ...systemClock, utcMs: () => systemClock.utcMs() + aheadMs };
  await using bus = await start({ clock, sessions: { maxMessages: 100, maxBytes: 3000, maxAgeMs: 60_000 } });
  await subscribed(bus);
  await gone(bus);
  for (const name of ['a', 'b', 'c']) bus.publish('motion.start', motion(name.repeat(1000)));
  await expect.poll(() => bus.meter.drops('session_full')).toBe(1);
  aheadMs = 60_001;
  publish(bus, 0, 1);
  await using back = await tablet(bus);
  await expect.poll(() => back.heard).toEqual(['cam0']);
  expect(bus.meter.drops('session_expired')).toBe(2);
});

test('a session is its user’s: the same client id of another user gets nothing of it', async () => {
  await using bus = await start();
  await subscribed(bus);
  await gone(bus);
  publish(bus, 0, 3);
  await using other = await tablet(bus, 'mallory');
  await acknowledged(other);
  expect(other.heard).toEqual([]);
});

test('who comes with a clean session leaves the old one behind', async () => {
  await using bus = await start();
  await subscribed(bus);
  await gone(bus);
  publish(bus, 0, 3);
  {
    await using _clean = await connectClient(bus.port, {
      username: 'anna',
      password: 'x',
      clientId: 'tablet',
    });
  }
  await gone(bus);
  await using back = await tablet(bus);
  await back.subscribeAsync(mqttTopic('motion.start'), { qos: 1 });
  publish(bus, 3, 4);
  await expect.poll(() => back.heard).toEqual(['cam3']);
});

test('a filter that was refused keeps nothing', async () => {
  await using bus = await start();
  {
    await using client = await tablet(bus);
    await expect(
      client.subscribeAsync(['$SYS/broker/#', mqttTopic('motion.start')], { qos: 1 }),
    ).rejects.toThrow('Subscribe error');
  }
  await gone(bus);
  publish(bus, 0, 1);
  await using back = await tablet(bus);
  await expect.poll(() => back.heard).toEqual(['cam0']);
});
