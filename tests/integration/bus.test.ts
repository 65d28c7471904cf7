import { once } from 'node:events';
import { expect, test } from 'vitest';
import { createBus } from '../../device/bus/index.ts';
import type { Payload } from '../../device/contract/topics.ts';
import { noMeter } from '../../device/contract/metrics.ts';
import { systemClock } from '../../device/kernel/clock.ts';
import { collect, connectClient, connectRaw, log, motion, mqttTopic, next, startBus } from './bus-fixture.ts';

const down = { state: 'down', model: null, backend: null, reason: null } as const;

test('a subscriber gets messages in order, stamped, on the topic of the node', async () => {
  await using bus = await startBus({ strict: true });
  await using client = await connectClient(bus.port);
  const heard = await collect(client, mqttTopic('motion.start'));
  for (let n = 0; n < 50; n++) bus.publish('motion.start', motion(`cam${n}`));
  const messages = await heard.until(50);
  expect(messages.map(({ payload }) => [payload['camera_id'], payload['seq']])).toEqual(
    Array.from({ length: 50 }, (_, n) => [`cam${n}`, n + 1]),
  );
  expect(messages[0]).toMatchObject({
    topic: 'spyoncino/attic/motion/start',
    retain: false,
    payload: { schema: '1.0.0', ts: expect.any(Number) },
  });
});

test('who comes late gets the latest of what is retained, and nothing else', async () => {
  await using bus = await startBus();
  bus.publish('status.detector', { ...down, state: 'starting' });
  bus.publish('motion.start', motion('porch'));
  bus.publish('status.detector', down);
  await using client = await connectClient(bus.port);
  const heard = await collect(client, mqttTopic('#').replaceAll('.', '/'));
  const messages = await heard.until(2);
  bus.publish('motion.start', motion('porch'));
  await heard.until(3);
  expect(new Map(messages.map(({ topic, retain }) => [topic, retain]))).toEqual(
    new Map([
      [mqttTopic('motion.start'), false],
      [mqttTopic('status.availability'), true],
      [mqttTopic('status.detector'), true],
    ]),
  );
  expect(messages.find(({ topic }) => topic.endsWith('detector'))?.payload).toMatchObject({
    state: 'down',
    seq: 2,
  });
});

test('a number is used up whether or not somebody listens', async () => {
  await using bus = await startBus();
  bus.publish('motion.start', motion('porch'));
  await using client = await connectClient(bus.port);
  const heard = await collect(client, mqttTopic('motion.start'));
  bus.publish('motion.start', motion('porch'));
  expect((await heard.until(1))[0]?.payload).toMatchObject({ seq: 2 });
});

test('the node says that it is there, and that it leaves', async () => {
  const bus = await startBus();
  await using client = await connectClient(bus.port);
  const heard = await collect(client, mqttTopic('status.availability'));
  await heard.until(1);
  const closed = next(client, 'close');
  await bus[Symbol.asyncDispose]();
  await closed;
  expect(heard.messages.map(({ payload }) => payload)).toMatchObject([
    { state: 'online', version: '1.2.3', seq: 1 },
    { state: 'offline', version: '1.2.3', seq: 2 },
  ]);
});

test('a payload that does not fit is dropped and counted, and the next one goes through', async () => {
  await using bus = await startBus();
  await using client = await connectClient(bus.port);
  const heard = await collect(client, mqttTopic('motion.start'));
  bus.publish('motion.start', { camera_id: 1 } as unknown as Payload<'motion.start'>);
  bus.publish('motion.start', motion('porch'));
  expect((await heard.until(1))[0]?.payload).toMatchObject({ camera_id: 'porch', seq: 1 });
  expect(bus.meter.drops('payload_invalid')).toBe(1);
  expect(bus.meter.counts.get('spyoncino_published_total{motion.start}')).toBe(1);
});

test('a strict bus throws instead', async () => {
  await using bus = await startBus({ strict: true });
  const publish = (): void => bus.publish('motion.start', {} as unknown as Payload<'motion.start'>);
  expect(publish).toThrow(expect.objectContaining({ code: 'PAYLOAD_INVALID' }));
});

test('a port that is taken is named', async () => {
  await using bus = await startBus();
  const options = { nodeId: 'b', version: '0', meter: noMeter, log, clock: systemClock, port: bus.port };
  await expect(createBus({ ...options, host: '127.0.0.1' })).rejects.toMatchObject({
    code: 'PORT_IN_USE',
    message: expect.stringContaining(`127.0.0.1:${bus.port}`),
  });
  await expect(createBus({ ...options, host: '192.0.2.1' })).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
  });
});

test('a closed bus leaves the port free, cuts everyone off, and ignores what comes late', async () => {
  const bus = await startBus();
  await using client = await connectClient(bus.port);
  using stranger = await connectRaw(bus.port);
  const gone = Promise.all([next(client, 'close'), once(stranger, 'close')]);
  await Promise.all([bus[Symbol.asyncDispose](), bus[Symbol.asyncDispose]()]);
  await gone;
  bus.publish('motion.start', motion('porch'));
  expect(bus.meter.drops('closed')).toBe(1);
  expect(bus.clients).toBe(0);
  await using again = await startBus({ port: bus.port });
  expect(again.port).toBe(bus.port);
});

test('two buses in one process know nothing of each other', async () => {
  await using attic = await startBus();
  await using cellar = await startBus({ nodeId: 'cellar' });
  await using client = await connectClient(cellar.port);
  const heard = await collect(client, 'spyoncino/#');
  attic.publish('motion.start', motion('porch'));
  cellar.publish('motion.start', motion('boiler'));
  expect((await heard.until(2)).map(({ topic }) => topic)).toEqual([
    'spyoncino/cellar/status/availability',
    'spyoncino/cellar/motion/start',
  ]);
});
