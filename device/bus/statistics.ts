import type { Payload } from '../contract/topics.ts';
import type { SubscriberNumbers, Traffic } from './clients.ts';

export interface BusNumbers {
  readonly version: string;
  readonly uptimeMs: number;
  readonly connections: number;
  readonly clients: number;
  readonly subscribers: readonly SubscriberNumbers[];
  readonly capacityBytes: number;
  readonly sessions: readonly {
    clientId: string;
    messages: number;
    bytes: number;
    oldestUtcMs: number | null;
  }[];
  readonly retained: number;
  readonly subscriptions: number;
  readonly topics: number;
  readonly published: number;
  readonly requests: number;
  readonly dropped: number;
  readonly traffic: Traffic;
}

/** The subscribers with most waiting are named; beyond so many they tell nothing new. */
const MAX_NAMED = 32;

/** `status.bus`. Pure. */
export function statusOfBus(numbers: BusNumbers): Payload<'status.bus'> {
  const { subscribers, capacityBytes, topics, published, dropped, traffic } = numbers;
  const worst = subscribers.toSorted((a, b) => b.depth - a.depth || b.dropped - a.dropped);
  const depth = worst[0]?.depth ?? 0;
  const full = depth / capacityBytes;
  return {
    queue_depth: depth,
    queue_capacity: capacityBytes,
    watermark: full >= 0.9 ? 'critical' : full >= 0.75 ? 'high' : 'normal',
    subscriber_count: subscribers.length,
    topic_count: topics,
    published_total: published,
    processed_total: traffic.delivered,
    dropped_total: dropped,
    lag_seconds: Math.max(0, ...subscribers.map(({ lagMs }) => lagMs)) / 1000,
    subscribers: worst.slice(0, MAX_NAMED).map(({ client, depth, dropped, lagMs }) => {
      return { client, depth, dropped, lag_seconds: lagMs / 1000 };
    }),
  };
}

/** What admins read below `$SYS/broker/`, by the names that brokers have in common. Pure. */
export function systemTopics(numbers: BusNumbers): readonly (readonly [topic: string, value: string])[] {
  const { version, uptimeMs, connections, clients, sessions, retained, subscriptions } = numbers;
  const { published, requests, dropped, traffic } = numbers;
  const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);
  const values = {
    version: `spyoncino ${version}`,
    uptime: `${Math.floor(uptimeMs / 1000)} seconds`,
    'clients/connected': clients,
    'clients/total': clients + sessions.filter(({ clientId }) => !isNamed(numbers, clientId)).length,
    'connections/sockets': connections,
    'subscriptions/count': subscriptions,
    'retained messages/count': retained,
    'store/messages/count': sum(sessions.map(({ messages }) => messages)),
    'store/messages/bytes': sum(sessions.map(({ bytes }) => bytes)),
    'publish/messages/published': published,
    'publish/messages/received': requests,
    'publish/messages/sent': traffic.delivered,
    'publish/messages/dropped': dropped,
    'bytes/received': traffic.receivedBytes,
    'bytes/sent': traffic.sentBytes,
  };
  return Object.entries(values).map(([name, value]) => [`$SYS/broker/${name}`, String(value)] as const);
}

const isNamed = ({ subscribers }: BusNumbers, clientId: string): boolean =>
  subscribers.some(({ client }) => client === clientId);
