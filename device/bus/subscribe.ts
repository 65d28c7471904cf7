import { CodedError } from '../contract/errors.ts';
import { backoff } from '../kernel/backoff.ts';
import { systemClock, type Clock } from '../kernel/clock.ts';
import { connectionError, connectTo, type BusAddress } from './client.ts';
import { globToFilter, matches, mqttToTopic } from './names.ts';

export interface ReceivedMessage {
  /** Dotted name. */
  readonly topic: string;
  /** The payload as sent; null when it is not JSON. */
  readonly payload: unknown;
  readonly raw: string;
}

export type SubscriptionState = 'connected' | 'disconnected';

export interface SubscribeOptions extends BusAddress {
  /** Only messages of this node. */
  readonly node?: string;
  /** See `matches`. */
  readonly globs: readonly string[];
  readonly signal: AbortSignal;
  readonly onMessage: (message: ReceivedMessage) => void;
  readonly onState?: (state: SubscriptionState) => void;
  readonly clock?: Clock;
}

/**
 * Receives messages from an agent's bus until `signal` aborts. A connection that is lost is made anew, with
 * backoff; retained messages come again then. What `onMessage` throws ends it.
 * Throws BUS_UNREACHABLE when the first connection fails, UNAUTHENTICATED when the agent does not let us in,
 * USAGE when a glob is not one.
 */
export async function subscribe(options: SubscribeOptions): Promise<void> {
  const { signal, onState = () => {}, clock = systemClock } = options;
  const filters = [...new Set(options.globs.map((glob) => globToFilter(glob, options.node ?? null)))];
  let delays = backoff({ firstMs: 500, maxMs: 10_000 });
  for (let connectedOnce = false; !signal.aborted;) {
    try {
      await receive(options, filters, () => {
        connectedOnce = true;
        delays = backoff({ firstMs: 500, maxMs: 10_000 });
        onState('connected');
      });
      if (!signal.aborted) onState('disconnected');
    } catch (error) {
      if (signal.aborted) return;
      if (!connectedOnce || !(error instanceof CodedError && error.code === 'BUS_UNREACHABLE')) throw error;
    }
    await clock.sleep(delays.next().value, signal).catch(() => {});
  }
}

/** One connection: resolves when it is lost or `signal` aborts. */
async function receive(
  options: SubscribeOptions,
  filters: readonly string[],
  onConnected: () => void,
): Promise<void> {
  const { node, globs, signal, onMessage } = options;
  const client = await connectTo(options);
  const over = Promise.withResolvers<void>();
  const orFail = (work: () => void): void => {
    try {
      work();
    } catch (error) {
      over.reject(error);
    }
  };
  let subscribed = false;
  const lost = (error: Error): void => {
    if (subscribed) over.resolve();
    else over.reject(connectionError(options, error));
  };
  client.on('error', lost);
  client.on('close', () => lost(new Error('the connection was closed')));
  client.on('message', (mqttTopic, bytes) =>
    orFail(() => {
      const topic = mqttToTopic(node ?? null, mqttTopic);
      if (topic === null || !globs.some((glob) => matches(glob, topic))) return;
      const raw = bytes.toString();
      onMessage({ topic, payload: parseJson(raw), raw });
    }),
  );
  client.on('connect', () =>
    client.subscribe([...filters], { qos: 0 }, (error) =>
      orFail(() => {
        if (error) throw connectionError(options, new Error(`it does not serve ${node ?? 'us'}`));
        subscribed = true;
        onConnected();
      }),
    ),
  );
  const stop = (): void => over.resolve();
  if (signal.aborted) stop();
  signal.addEventListener('abort', stop, { once: true });
  try {
    await over.promise;
  } finally {
    signal.removeEventListener('abort', stop);
    await client.endAsync(true);
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
