import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { pino } from 'pino';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { createBus, subscribe, topicToMqtt, type Bus, type ReceivedMessage } from '../../device/bus/index.ts';
import { envelope, TOPICS, type Payload, type TopicPattern } from '../../device/contract/topics.ts';
import { noMeter } from '../../device/contract/metrics.ts';
import { systemClock } from '../../device/kernel/clock.ts';
import { payloadOf } from './payloads.ts';

const PATTERNS = Object.keys(TOPICS) as TopicPattern[];
const CAMERA = 'front-door_2';

const startBus = (): Promise<Bus> =>
  createBus({
    nodeId: 'attic',
    host: '127.0.0.1',
    port: 0,
    version: '0',
    anonymous: 'read',
    strict: true,
    meter: noMeter,
    clock: systemClock,
    log: pino({ level: 'silent' }),
  });

/** Publishes each payload and returns what a subscriber makes of it, in order. */
async function across(topic: string, payloads: readonly unknown[]): Promise<readonly ReceivedMessage[]> {
  await using bus = await startBus();
  const heard: ReceivedMessage[] = [];
  const stop = new AbortController();
  await subscribe({
    host: '127.0.0.1',
    port: bus.port,
    globs: [topic],
    signal: stop.signal,
    onState(state) {
      if (state !== 'connected') return;
      for (const payload of payloads)
        bus.publish<'event.new'>(topic as 'event.new', payload as Payload<'event.new'>);
    },
    onMessage(message) {
      // The bus itself has said that it is there.
      if ((message.payload as { version?: string }).version === '0') return;
      heard.push(message);
      if (heard.length === payloads.length) stop.abort();
    },
  });
  return heard;
}

test.each(PATTERNS)('whatever fits %s crosses a real broker unchanged, and still fits', async (pattern) => {
  const topic = pattern.replace('*', CAMERA);
  const payloads = fc.sample(payloadOf(pattern), { seed: 1, numRuns: 40 });
  const wire = TOPICS[pattern].payload.extend(envelope.shape);
  const heard = await across(topic, payloads);
  expect(heard.map((message) => message.topic)).toEqual(payloads.map(() => topic));
  for (const [at, { payload }] of heard.entries()) {
    const { schema: _schema, ts: _ts, seq: _seq, ...rest } = wire.parse(payload);
    expect(rest).toEqual(payloads[at]);
  }
});

interface AsyncApi {
  readonly channels: Readonly<
    Record<string, { address: string; messages: Record<string, { $ref: string }> }>
  >;
  readonly operations: Readonly<
    Record<
      string,
      { channel: { $ref: string }; action: string; messages: readonly [{ readonly $ref: string }] }
    >
  >;
  readonly components: { readonly messages: Readonly<Record<string, { name: string; payload: object }>> };
}

test('the AsyncAPI document names the very addresses and fields that are on the wire', () => {
  const api = parse(readFileSync('device/design/asyncapi.yaml', 'utf8')) as AsyncApi;
  const follow = (ref: string): unknown =>
    ref
      .slice(2)
      .split('/')
      .reduce<unknown>((node, key) => (node as Record<string, unknown>)[key], api);

  const described = Object.values(api.operations).map(({ action, channel, messages: [said] }) => {
    const { address } = follow(channel.$ref) as AsyncApi['channels'][string];
    const message = follow(said.$ref) as { $ref: string };
    const { name, payload } = follow(message.$ref) as AsyncApi['components']['messages'][string];
    return { name, action, payload, address: address.replace('{node}', 'attic').replace('{camera_id}', '*') };
  });
  const received = PATTERNS.filter((pattern) => 'request' in TOPICS[pattern]);
  const named = (wanted: string) =>
    described.filter(({ action }) => action === wanted).map(({ name }) => name);
  expect(named('send')).toEqual(PATTERNS);
  expect(named('receive')).toEqual(received);
  for (const { name, action, address, payload } of described) {
    expect(address).toBe(topicToMqtt('attic', name));
    const asked = TOPICS[name as TopicPattern].payload;
    const wire = action === 'send' ? envelope.extend(asked.shape) : asked;
    const fields = Object.keys((payload as { properties: object }).properties);
    expect(fields.toSorted()).toEqual(Object.keys(wire.shape).toSorted());
  }
});
