import { once, type EventEmitter } from 'node:events';
import { connect as connectTcp, type Socket } from 'node:net';
import { connect, type IClientOptions, type MqttClient } from 'mqtt';
import { pino } from 'pino';
import { createBus, topicToMqtt, type Bus, type BusOptions } from '../../device/bus/index.ts';
import type { Meter } from '../../device/contract/metrics.ts';
import { systemClock } from '../../device/kernel/clock.ts';

export const NODE = 'attic';
export const log = pino({ level: 'silent' });

/** Counts by `metric{label values}`. */
export class CountingMeter implements Meter {
  readonly counts = new Map<string, number>();
  observe(): void {}
  set(): void {}
  count(name: string, labels: Readonly<Record<string, string>> = {}, by = 1): void {
    const key = `${name}{${Object.values(labels).join(',')}}`;
    this.counts.set(key, (this.counts.get(key) ?? 0) + by);
  }
  drops(reason: string): number {
    return this.counts.get(`spyoncino_drops_total{bus,${reason}}`) ?? 0;
  }
}

export async function startBus(
  options: Partial<BusOptions> = {},
): Promise<Bus & { readonly meter: CountingMeter }> {
  const meter = new CountingMeter();
  const common = {
    nodeId: NODE,
    host: '127.0.0.1',
    port: 0,
    version: '1.2.3',
    anonymous: 'read',
    log,
    clock: systemClock,
  } as const;
  return Object.assign(await createBus({ ...common, meter, ...options }), { meter });
}

export const motion = (camera_id: string, score = 0.5) => ({ camera_id, start_ts: 1, score });

/** An MQTT client that does not reconnect; ends with its scope. `onMade` comes before anything is received. */
export async function connectClient(
  port: number,
  options: IClientOptions = {},
  onMade: (client: MqttClient) => void = () => {},
): Promise<MqttClient & AsyncDisposable> {
  const client = connect({ host: '127.0.0.1', port, protocol: 'mqtt', reconnectPeriod: 0, ...options });
  onMade(client);
  try {
    await once(client as unknown as EventEmitter, 'connect');
  } catch (error) {
    await client.endAsync(true);
    throw error;
  }
  client.on('error', () => {});
  return Object.assign(client, { [Symbol.asyncDispose]: () => client.endAsync(true) });
}

/** Subscribes and collects; `until` resolves once that many messages have come. */
export async function collect(client: MqttClient, filter: string) {
  const messages: {
    readonly topic: string;
    readonly payload: Record<string, unknown>;
    readonly retain: boolean;
  }[] = [];
  client.on('message', (topic, bytes, { retain }) => {
    messages.push({ topic, payload: JSON.parse(bytes.toString()) as Record<string, unknown>, retain });
  });
  await client.subscribeAsync(filter);
  const until = async (count: number): Promise<typeof messages> => {
    while (messages.length < count) await next(client, 'message');
    return messages;
  };
  return { messages, until };
}

/** A TCP connection that speaks no MQTT by itself; gone with its scope. */
export async function connectRaw(port: number): Promise<Socket & Disposable> {
  const socket = connectTcp({ host: '127.0.0.1', port });
  socket.on('error', () => {});
  await once(socket, 'connect');
  return Object.assign(socket, { [Symbol.dispose]: () => socket.destroy() });
}

export const mqttTopic = (dotted: string): string => topicToMqtt(NODE, dotted);

/** The client's own types do not admit that it is an ordinary emitter. */
export const next = (client: MqttClient, event: 'close' | 'message'): Promise<unknown> =>
  once(client as unknown as EventEmitter, event);
