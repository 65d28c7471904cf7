/** The bus against mosquitto: the same messages to the same subscribers, and what the broker's process spends. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connectAsync } from 'mqtt';
import { pino } from 'pino';
import { createBus, topicToMqtt } from '../../device/bus/index.ts';
import { noMeter } from '../../device/contract/metrics.ts';
import type { Payload } from '../../device/contract/topics.ts';
import { systemClock } from '../../device/kernel/clock.ts';
import { table } from './facts.ts';
import { cpuMsOf } from './process.ts';
import { freePort } from '../harness/free-port.ts';

const MESSAGES = 20_000;
const SUBSCRIBERS = [0, 1, 5];
const TOPIC = topicToMqtt('bench', 'event.update');

interface Figures {
  readonly cpuUs: number;
  readonly perSecond: number;
}

export async function benchBus(): Promise<string> {
  const missing = ['mosquitto', 'mosquitto_sub'].filter((name) => spawnSync('which', [name]).status !== 0);
  const rows = [['subscribers', 'broker', 'µs CPU / message', 'messages / s']];
  for (const subscribers of SUBSCRIBERS) {
    if (subscribers > 0 && missing.includes('mosquitto_sub')) continue;
    rows.push(row(subscribers, 'ours (with check and stamp)', await benchOurs(subscribers)));
    if (subscribers === 0 || missing.length > 0) continue;
    rows.push(row(subscribers, 'mosquitto (without its publisher)', await benchMosquitto(subscribers)));
  }
  const left = missing.length > 0 ? `\n(left out: ${missing.join(', ')} not installed)` : '';
  return `bus: ${MESSAGES} × event.update, ${PAYLOAD.length} bytes as JSON\n${table(rows)}${left}`;
}

const row = (subscribers: number, broker: string, { cpuUs, perSecond }: Figures): string[] => [
  String(subscribers),
  broker,
  cpuUs.toFixed(1),
  String(Math.round(perSecond)),
];

async function benchOurs(count: number): Promise<Figures> {
  await using bus = await createBus({
    nodeId: 'bench',
    host: '127.0.0.1',
    port: 0,
    version: '0',
    anonymous: 'read',
    meter: noMeter,
    log: pino({ level: 'silent' }),
    clock: systemClock,
  });
  const subscribers = subscribe(bus.port, count);
  while (bus.statistics().subscriber_count < count) await systemClock.sleep(20);
  const before = process.cpuUsage();
  const startedMs = performance.now();
  for (let n = 0; n < MESSAGES; n++) {
    bus.publish('event.update', EVENT);
    // As a pipeline does: other things happen between messages.
    if (n % 20 === 0) await new Promise(setImmediate);
    while (bus.statistics().watermark !== 'normal') await new Promise(setImmediate);
  }
  await Promise.all(subscribers);
  const { user, system } = process.cpuUsage(before);
  return {
    cpuUs: (user + system) / MESSAGES,
    perSecond: MESSAGES / ((performance.now() - startedMs) / 1000),
  };
}

async function benchMosquitto(count: number): Promise<Figures> {
  const dir = await mkdtemp(join(tmpdir(), 'bench-bus-'));
  const port = await freePort();
  const config = join(dir, 'mosquitto.conf');
  await writeFile(
    config,
    `listener ${port} 127.0.0.1\nallow_anonymous true\nsys_interval 1\nmax_queued_messages 0\n`,
  );
  const broker = spawn('mosquitto', ['-c', config], { stdio: ['ignore', 'ignore', 'pipe'] });
  try {
    await running(broker);
    await using client = Object.assign(await connectAsync({ host: '127.0.0.1', port }), {
      [Symbol.asyncDispose]: () => client.endAsync(),
    });
    const counted = Promise.withResolvers<void>();
    client.on('message', (_topic, bytes) => {
      if (Number(bytes.toString()) === count + 1) counted.resolve();
    });
    await client.subscribeAsync('$SYS/broker/subscriptions/count');
    const subscribers = subscribe(port, count);
    await counted.promise;
    await client.unsubscribeAsync('$SYS/broker/subscriptions/count');
    const before = cpuMsOf([broker.pid ?? 0]);
    const startedMs = performance.now();
    for (let n = 0; n < MESSAGES; n += 20) {
      await Promise.all(Array.from({ length: 20 }, () => client.publishAsync(TOPIC, PAYLOAD)));
    }
    await Promise.all(subscribers);
    const perSecond = MESSAGES / ((performance.now() - startedMs) / 1000);
    return { cpuUs: ((cpuMsOf([broker.pid ?? 0]) - before) * 1000) / MESSAGES, perSecond };
  } finally {
    const exited = once(broker, 'exit');
    broker.kill('SIGTERM');
    await exited;
    await rm(dir, { recursive: true });
  }
}

/** Each resolves when that subscriber has had all messages. */
const subscribe = (port: number, count: number): Promise<unknown>[] =>
  Array.from({ length: count }, () => {
    const args = ['-h', '127.0.0.1', '-p', String(port), '-t', TOPIC, '-C', String(MESSAGES), '-W', '120'];
    return once(spawn('mosquitto_sub', args, { stdio: 'ignore' }), 'exit').then(([code]) => {
      if (code !== 0) throw new Error('a subscriber did not get all messages');
    });
  });

async function running({ stderr }: ChildProcess): Promise<void> {
  if (!stderr) return;
  for await (const text of stderr.iterator({ destroyOnReturn: false }))
    if (String(text).includes('running')) break;
  stderr.resume();
}

const EVENT: Payload<'event.update'> = {
  event_id: 'porch-lx2k3j-1',
  camera_id: 'porch',
  track_id: 1,
  label: 'person',
  score: 0.8,
  top_score: 0.9,
  box: [0.1, 0.2, 0.3, 0.4],
  zones: ['path'],
  entered_zones: ['path'],
  stationary: false,
  start_ts: 1_700_000_000_000,
  last_seen_ts: 1_700_000_002_000,
  end_ts: null,
  end_reason: null,
  best: { ts: 1_700_000_001_500, box: [0.1, 0.2, 0.3, 0.4], score: 0.9 },
  still: 'media/stills/2023/11/14/porch-lx2k3j-1.jpg',
};
const PAYLOAD = JSON.stringify({ schema: '1.0.0', ts: 1_700_000_000_000, seq: 1, ...EVENT });
