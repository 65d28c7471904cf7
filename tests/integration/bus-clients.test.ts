/** Clients as they should not be: curious, forward, frozen, forgetful. */
import { once } from 'node:events';
import { generate } from 'mqtt-packet';
import { expect, test } from 'vitest';
import { collect, connectClient, connectRaw, motion, mqttTopic, next, startBus } from './bus-fixture.ts';

test.each(['#', '+/+/motion/start', '$SYS/#', 'spyoncino/cellar/#', 'homeassistant/#'])(
  'reading %s is refused',
  async (filter) => {
    await using bus = await startBus();
    await using client = await connectClient(bus.port);
    await expect(client.subscribeAsync(filter)).rejects.toThrow('Subscribe error');
  },
);

test.each([0, 1, 2] as const)('publishing with QoS %i is refused, and heard by nobody', async (qos) => {
  await using bus = await startBus();
  await using reader = await connectClient(bus.port);
  const heard = await collect(reader, 'spyoncino/#');
  await heard.until(1);
  await using writer = await connectClient(bus.port);
  const cutOff = next(writer, 'close');
  writer.publish(mqttTopic('motion.start'), '{"forged":true}', { qos, retain: true });
  await cutOff;
  bus.publish('motion.start', motion('porch'));
  expect((await heard.until(2))[1]?.payload).toMatchObject({ camera_id: 'porch' });
  expect(bus.meter.drops('publish_refused')).toBe(1);
  expect(bus.clients).toBe(1);
});

test('nobody can leave a last will in our name', async () => {
  await using bus = await startBus();
  await using reader = await connectClient(bus.port);
  const heard = await collect(reader, 'spyoncino/#');
  await heard.until(1);
  const will = {
    topic: mqttTopic('status.availability'),
    payload: Buffer.from('{}'),
    qos: 0,
    retain: true,
  } as const;
  await using writer = await connectClient(bus.port, { will });
  writer.stream.destroy();
  await expect.poll(() => bus.clients).toBe(1);
  bus.publish('motion.start', motion('porch'));
  expect((await heard.until(2)).map(({ topic }) => topic)).toEqual([
    mqttTopic('status.availability'),
    mqttTopic('motion.start'),
  ]);
});

test('nothing is kept for a client that is away', async () => {
  await using bus = await startBus();
  const session = { clientId: 'forgetful', clean: false };
  {
    await using client = await connectClient(bus.port, session);
    await client.subscribeAsync(mqttTopic('motion.start'), { qos: 1 });
  }
  await expect.poll(() => bus.clients).toBe(0);
  bus.publish('motion.start', motion('missed'));
  await using client = await connectClient(bus.port, session);
  const heard = await collect(client, mqttTopic('motion.start'));
  bus.publish('motion.start', motion('seen'));
  expect((await heard.until(1))[0]?.payload).toMatchObject({ camera_id: 'seen' });
});

/** Subscribes to `motion.start` and then takes nothing any more. */
async function freeze(port: number): Promise<Awaited<ReturnType<typeof connectRaw>>> {
  const socket = await connectRaw(port);
  const hello = {
    cmd: 'connect',
    protocolId: 'MQTT',
    protocolVersion: 4,
    clientId: 'frozen',
    keepalive: 0,
  } as const;
  const subscriptions = [{ topic: mqttTopic('motion.start'), qos: 0 }] as const;
  socket.write(generate({ ...hello, clean: true }));
  socket.write(generate({ cmd: 'subscribe', messageId: 1, subscriptions: [...subscriptions] }));
  for (let bytes = 0; bytes < CONNACK_BYTES + SUBACK_BYTES;) {
    const [chunk] = (await once(socket, 'data')) as [Buffer];
    bytes += chunk.length;
  }
  socket.pause();
  return socket;
}

const CONNACK_BYTES = 4;
const SUBACK_BYTES = 5;

/** Publishes until something is dropped; each batch must have reached `heard` before the next. */
async function publishUntilDrop(
  bus: Awaited<ReturnType<typeof startBus>>,
  heard: Awaited<ReturnType<typeof collect>>,
): Promise<number> {
  // Small messages: hundreds of them wait for the frozen client before its limit in bytes is reached.
  const bulk = 'x'.repeat(1500);
  let sent = 0;
  while (bus.meter.drops('client_slow') === 0 && sent < 20_000) {
    for (let n = 0; n < 100; n++) bus.publish('motion.start', motion(`${sent++}-${bulk}`));
    await heard.until(sent);
  }
  return sent;
}

test('a frozen client delays nobody, and costs a bounded amount of memory', async () => {
  await using bus = await startBus({ limits: { drainMs: 600_000 } });
  using _frozen = await freeze(bus.port);
  await using lively = await connectClient(bus.port);
  const heard = await collect(lively, mqttTopic('motion.start'));
  const sent = await publishUntilDrop(bus, heard);
  expect(bus.meter.drops('client_slow')).toBeGreaterThan(0);
  expect(heard.messages.map(({ payload }) => payload['seq'])).toEqual(
    Array.from({ length: sent }, (_, n) => n + 1),
  );
  expect(bus.clients).toBe(2);
});

test('a frozen client is let go in the end', async () => {
  await using bus = await startBus({ limits: { drainMs: 300, clientBufferBytes: 64 << 10 } });
  using _frozen = await freeze(bus.port);
  await using lively = await connectClient(bus.port);
  const heard = await collect(lively, mqttTopic('motion.start'));
  await publishUntilDrop(bus, heard);
  await expect.poll(() => bus.clients, { timeout: 20_000 }).toBe(1);
  expect(bus.meter.drops('client_frozen')).toBe(1);
});

test('who does not introduce himself is let go', async () => {
  await using bus = await startBus({ limits: { connectMs: 50 } });
  using silent = await connectRaw(bus.port);
  using rude = await connectRaw(bus.port);
  rude.write('GET / HTTP/1.1\r\n\r\n');
  silent.resume();
  rude.resume();
  await Promise.all([once(silent, 'close'), once(rude, 'close')]);
  expect(bus.clients).toBe(0);
});

test('there is room for so many and no more', async () => {
  await using bus = await startBus({ limits: { connections: 1 } });
  await using first = await connectClient(bus.port);
  using second = await connectRaw(bus.port);
  second.resume();
  await once(second, 'close');
  expect(bus.meter.drops('too_many_clients')).toBe(1);
  const heard = await collect(first, mqttTopic('motion.start'));
  bus.publish('motion.start', motion('porch'));
  expect(await heard.until(1)).toHaveLength(1);
});
