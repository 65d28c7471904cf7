import { CodedError } from '../contract/errors.ts';
import { backoff } from '../kernel/backoff.ts';
import { systemClock, type Clock } from '../kernel/clock.ts';
import { globToFilter, matches, mqttToTopic } from './names.ts';

export interface ReceivedMessage {
  /** Dotted name. */
  readonly topic: string;
  /** The payload as sent; null when it is not JSON. */
  readonly payload: unknown;
  readonly raw: string;
}

export type SubscriptionState = 'connected' | 'disconnected';

export interface SubscribeOptions {
  readonly host: string;
  readonly port: number;
  /** A user and its password, or any name and the secret of a token. */
  readonly username?: string;
  readonly password?: string;
  /** With TLS; `ca` is the PEM of who vouches for the agent, where that is not whom the system trusts. */
  readonly tls?: { readonly ca: string | null };
  /** Only messages of this node. */
  readonly node?: string;
  /** See `matches`. */
  readonly globs: readonly string[];
  readonly signal: AbortSignal;
  readonly onMessage: (message: ReceivedMessage) => void;
  readonly onState?: (state: SubscriptionState) => void;
  readonly clock?: Clock;
}

const CONNECT_MS = 5000;

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
  { host, port, username, password, tls, node, globs, signal, onMessage }: SubscribeOptions,
  filters: readonly string[],
  onConnected: () => void,
): Promise<void> {
  // Only the command line needs it, and the agent, which shares this room, is some megabytes lighter without.
  const { connect } = await import('mqtt');
  if (signal.aborted) return;
  const address = `${host}:${port}`;
  const over = Promise.withResolvers<void>();
  const orFail = (work: () => void): void => {
    try {
      work();
    } catch (error) {
      over.reject(error);
    }
  };
  let subscribed = false;
  const client = connect({
    protocol: tls ? 'mqtts' : 'mqtt',
    host,
    port,
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(tls?.ca ? { ca: tls.ca } : {}),
    protocolVersion: 4,
    clean: true,
    // Reconnecting is ours: with backoff, and with an end.
    reconnectPeriod: 0,
    connectTimeout: CONNECT_MS,
  });
  const lost = (why: string, cause?: Error): void => {
    if (subscribed) over.resolve();
    else over.reject(unreachable(`${address}: ${why}`, cause));
  };
  client.on('error', (error) => {
    if (isRefusal(error)) over.reject(new CodedError('UNAUTHENTICATED', address, { cause: error }));
    lost(error.message, error);
  });
  client.on('close', () => lost('the connection was closed'));
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
        if (error) throw unreachable(`${address}: it does not serve ${node ?? 'us'}`, error);
        subscribed = true;
        onConnected();
      }),
    ),
  );
  const stop = (): void => over.resolve();
  signal.addEventListener('abort', stop, { once: true });
  try {
    await over.promise;
  } finally {
    signal.removeEventListener('abort', stop);
    await client.endAsync(true);
  }
}

/** Bad user name or password (4), not authorized (5): MQTT 3.1.1 §3.2.2.3. */
const isRefusal = (error: Error & { code?: unknown }): boolean => error.code === 4 || error.code === 5;

const unreachable = (detail: string, cause?: Error): CodedError =>
  new CodedError('BUS_UNREACHABLE', detail, cause && { cause });

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
