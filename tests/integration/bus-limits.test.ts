/** Crowds, floods and giants: whatever they do, what the agent publishes arrives, complete and in order. */
import { once } from 'node:events';
import type { Socket } from 'node:net';
import fc from 'fast-check';
import { generate } from 'mqtt-packet';
import { expect, test } from 'vitest';
import { collect, connectClient, connectRaw, motion, mqttTopic, startBus } from './bus-fixture.ts';

const hello = (clientId: string): Buffer =>
  generate({ cmd: 'connect', protocolId: 'MQTT', protocolVersion: 4, clientId, clean: true, keepalive: 0 });

/** Publishes so many, waits until they were heard, and expects each of them once and in order. */
async function expectUndisturbed(bus: Awaited<ReturnType<typeof startBus>>, port = bus.port): Promise<void> {
  await using reader = await connectClient(port);
  const heard = await collect(reader, mqttTopic('motion.start'));
  for (let n = 0; n < 200; n++) bus.publish('motion.start', motion(`cam${n}`));
  const messages = await heard.until(200);
  expect(messages.map(({ payload }) => payload['camera_id'])).toEqual(
    Array.from({ length: 200 }, (_, n) => `cam${n}`),
  );
}

test('500 idle connections change nothing for those who listen', async () => {
  await using bus = await startBus({ limits: { connections: 600, connectionsPerAddress: 600 } });
  const idle: Socket[] = [];
  try {
    while (idle.length < 500) idle.push(await connectRaw(bus.port));
    for (const [n, socket] of idle.entries()) socket.write(hello(`idle${n}`));
    await expect.poll(() => bus.clients, { timeout: 30_000 }).toBe(500);
    await expectUndisturbed(bus);
  } finally {
    for (const socket of idle) socket.destroy();
  }
});

test('from one address come so many and no more; others find room', async () => {
  await using bus = await startBus({ host: '::', limits: { connectionsPerAddress: 2 } });
  await using _first = await connectClient(bus.port);
  await using _second = await connectClient(bus.port);
  using third = await connectRaw(bus.port);
  third.resume();
  await once(third, 'close');
  expect(bus.meter.drops('too_many_clients')).toBe(1);
  await using other = await connectClient(bus.port, { host: '::1' });
  expect(other.connected).toBe(true);
});

test('a packet that is too long is refused by its header, before it has come', async () => {
  await using bus = await startBus({ limits: { packetBytes: 10_000 } });
  using giant = await connectRaw(bus.port);
  giant.resume();
  giant.write(hello('giant'));
  await expect.poll(() => bus.clients).toBe(1);
  // A header that promises 200 MB, and nothing after it.
  giant.write(Buffer.from([0x30, 0x80, 0x84, 0xaf, 0x5f]));
  await once(giant, 'close');
  expect(bus.meter.drops('packet_refused')).toBe(1);
  await expectUndisturbed(bus);
});

test('a stranger may say no more than who he is', async () => {
  await using bus = await startBus();
  using stranger = await connectRaw(bus.port);
  stranger.resume();
  stranger.write(generate({ cmd: 'connect', clientId: 'x'.repeat(9000), keepalive: 0 }));
  await once(stranger, 'close');
  expect(bus.meter.drops('packet_refused')).toBe(1);
});

test('a flood waits in the flooder’s own socket, however small its packets are', async () => {
  await using bus = await startBus({
    limits: { packetsPerSecond: 50 },
    authenticate: async () => ({ user: 'op', role: 'operator', surface: 'mqtt' }),
  });
  let asked = 0;
  bus.handle('dashboard.control.command', () => (asked += 1));
  using flooder = await connectRaw(bus.port);
  flooder.resume();
  flooder.write(
    generate({ cmd: 'connect', clientId: 'flood', username: 'op', password: Buffer.from('x'), keepalive: 0 }),
  );
  await expect.poll(() => bus.clients).toBe(1);
  const one = generate({
    cmd: 'publish',
    qos: 0,
    dup: false,
    retain: false,
    topic: mqttTopic('dashboard.control.command'),
    payload: '{"command":"x"}',
  });
  const sent = 10_000;
  flooder.write(Buffer.concat(Array.from({ length: sent }, () => one)));
  await expect.poll(() => bus.meter.drops('client_throttled')).toBe(1);
  await expectUndisturbed(bus);
  // As many as may come at once, and those of the time that this took; nothing near what was sent.
  const letIn = asked + bus.meter.drops('requests_waiting');
  expect(letIn).toBeGreaterThan(50);
  expect(letIn).toBeLessThan(sent / 5);
  await expect.poll(() => bus.clients).toBe(1);
});

test('a client subscribes to so much and no more', async () => {
  await using bus = await startBus();
  await using client = await connectClient(bus.port);
  for (let n = 0; n < 64; n++) await client.subscribeAsync(mqttTopic(`event.${n}`));
  await expect(client.subscribeAsync(mqttTopic('event.new'))).rejects.toThrow('Subscribe error');
  await client.unsubscribeAsync(mqttTopic('event.1'));
  await client.subscribeAsync(mqttTopic('event.new'));
});

test('bytes of any kind are no more than a connection that ends', async () => {
  await using bus = await startBus({ limits: { connectMs: 100, packetsPerSecond: 10_000 } });
  const packets = [
    hello('a'),
    hello(''),
    generate({ cmd: 'pingreq' }),
    generate({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: mqttTopic('#'), qos: 2 }] }),
    generate({ cmd: 'subscribe', messageId: 0xffff, subscriptions: [{ topic: '/'.repeat(300), qos: 1 }] }),
    generate({ cmd: 'unsubscribe', messageId: 2, unsubscriptions: ['+/#/+'] }),
    generate({
      cmd: 'publish',
      topic: mqttTopic('config.update'),
      payload: '{}',
      qos: 2,
      messageId: 1,
      dup: true,
      retain: true,
    }),
    generate({ cmd: 'publish', topic: '$SYS/x/heartbeat', payload: '{}', qos: 0, dup: false, retain: false }),
    generate({ cmd: 'pubrel', messageId: 7 }),
    generate({ cmd: 'puback', messageId: 7 }),
    generate({ cmd: 'connack', returnCode: 0, sessionPresent: false }),
    generate({ cmd: 'disconnect' }),
  ];
  const piece = fc.oneof(
    fc.constantFrom(...packets),
    fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
    fc.tuple(fc.constantFrom(...packets), fc.nat(30), fc.nat(255)).map(([packet, at, byte]) => {
      const broken = Buffer.from(packet);
      broken[at % broken.length] = byte;
      return broken;
    }),
  );
  const talks = fc.sample(fc.array(piece, { minLength: 1, maxLength: 8 }), { seed: 3, numRuns: 150 });
  for (const talk of talks) {
    using socket = await connectRaw(bus.port);
    socket.resume();
    socket.write(hello('polite'));
    socket.end(Buffer.concat(talk));
    // Not `once`, which minds how it ends.
    await new Promise((resolve) => socket.once('close', resolve));
  }
  await expectUndisturbed(bus);
  await expect.poll(() => bus.clients).toBe(0);
});

test('numbers tell who is slow, by how much, and for how long', async () => {
  await using bus = await startBus({ limits: { clientBufferBytes: 64 << 10, drainMs: 600_000 } });
  using frozen = await connectRaw(bus.port);
  frozen.write(hello('frozen'));
  const subscriptions = [{ topic: mqttTopic('motion.start'), qos: 0 as const }];
  frozen.write(generate({ cmd: 'subscribe', messageId: 1, subscriptions }));
  await expect.poll(() => bus.statistics().subscriber_count).toBe(1);
  expect(bus.statistics()).toMatchObject({ queue_depth: 0, watermark: 'normal', lag_seconds: 0 });
  frozen.pause();
  const bulk = 'x'.repeat(4000);
  for (let n = 0; n < 50_000 && bus.meter.drops('client_slow') === 0; n += 50) {
    for (let each = 0; each < 50; each++) bus.publish('motion.start', motion(bulk));
    await new Promise(setImmediate);
  }
  const numbers = bus.statistics();
  expect(numbers).toMatchObject({ watermark: 'critical', queue_capacity: 64 << 10, topic_count: 2 });
  expect(numbers.queue_depth).toBeGreaterThan(60_000);
  expect(numbers.lag_seconds).toBeGreaterThan(0);
  expect(numbers.subscribers[0]).toMatchObject({ client: 'anonymous/frozen', depth: numbers.queue_depth });
  expect(numbers.subscribers[0]?.dropped).toBe(numbers.dropped_total);
});

test('admins read the broker’s counters', async () => {
  await using bus = await startBus({
    authenticate: async ({ username }) => ({ user: username ?? '', role: 'admin', surface: 'mqtt' }),
  });
  await using admin = await connectClient(bus.port, { username: 'root', password: 'x' });
  const values = new Map<string, string>();
  admin.on('message', (topic, bytes) => values.set(topic, bytes.toString()));
  await admin.subscribeAsync('$SYS/broker/#');
  await expect.poll(() => values.get('$SYS/broker/version')).toBe('spyoncino 1.2.3');
  await expect.poll(() => values.get('$SYS/broker/clients/connected')).toBe('0');
});
