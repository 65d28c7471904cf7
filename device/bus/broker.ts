import { createServer, type Socket } from 'node:net';
import { once, type EventEmitter } from 'node:events';
import { Aedes, type Client } from 'aedes';
import type { Meter } from '../contract/metrics.ts';
import type { Payload, TopicName, TopicPattern } from '../contract/topics.ts';
import type { Clock } from '../kernel/clock.ts';
import { listen } from '../kernel/listen.ts';
import type { Log } from '../kernel/log.ts';
import { mayPublish, maySubscribe } from './access.ts';
import { topicToMqtt } from './names.ts';
import { createSealer, type SealedMessage } from './sealer.ts';

export interface Bus extends AsyncDisposable {
  readonly port: number;
  /** Connected MQTT clients. */
  readonly clients: number;
  /**
   * Checks the payload against the topic's schema, adds the envelope, and hands it to the broker. Does not
   * wait for anybody and does not throw: a message that does not fit is logged, counted and dropped
   * (`strict` makes it throw PAYLOAD_INVALID).
   */
  publish<P extends TopicPattern>(topic: TopicName<P>, payload: Payload<P>): void;
}

export interface BusOptions {
  readonly nodeId: string;
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** Version of the agent, for `status.availability`. */
  readonly version: string;
  readonly meter: Meter;
  readonly log: Log;
  readonly clock: Clock;
  /** Throw on a payload that does not fit its topic; for tests. */
  readonly strict?: boolean;
  readonly limits?: Partial<BusLimits>;
}

export interface BusLimits {
  /** A client that takes nothing for this long is disconnected. */
  readonly drainMs: number;
  /** A connection that does not introduce itself within this time is closed. */
  readonly connectMs: number;
  /** Bytes that wait for one slow client; what would come on top is dropped for that client alone. */
  readonly clientBufferBytes: number;
  /** Connections at a time; more are refused. */
  readonly connections: number;
}

const LIMITS: BusLimits = { drainMs: 10_000, connectMs: 5000, clientBufferBytes: 1 << 20, connections: 64 };

/** How long a stopping bus waits until `offline` has reached its clients. */
const FAREWELL_MS = 500;

/**
 * The device's bus: an MQTT 3.1.1 broker inside the agent, read-only for its clients.
 * Throws PORT_IN_USE, or CONFIG_INVALID when the address cannot be listened on.
 *
 * Invariants: publishing never waits for a client, and no client waits for another. Both rest on
 * `concurrency: 0` (Aedes would else hold all messages back once that many are undelivered to anyone) together
 * with a byte limit per client. Everything is sent with QoS 0 and sessions are always clean, so nothing is
 * queued for clients that are away.
 */
export async function createBus(options: BusOptions): Promise<Bus> {
  const { nodeId, host, port, version, meter, log, clock, strict = false } = options;
  const limits = { ...LIMITS, ...options.limits };
  const seal = createSealer(clock);
  const drop = (reason: string): void => meter.count('spyoncino_drops_total', { stage: 'bus', reason });

  const broker = await Aedes.createBroker({
    concurrency: 0,
    drainTimeout: limits.drainMs,
    connectTimeout: limits.connectMs,
    queueLimit: 16,
    maxInflightInbound: 1,
    maxTopicLevels: 8,
    preConnect(_client, packet, done) {
      packet.clean = true;
      delete packet.will;
      done(null, true);
    },
    authorizeSubscribe(client, subscription, done) {
      if (maySubscribe(nodeId, subscription.topic)) return done(null, subscription);
      log.warn({ client: client.id, filter: subscription.topic }, 'subscription refused');
      done(null, null);
    },
    authorizePublish(client, packet, done) {
      if (mayPublish()) return done(null);
      log.warn({ client: client?.id, topic: packet.topic }, 'publication refused');
      drop('publish_refused');
      done(new Error('clients may not publish'));
    },
    authorizeForward(client, packet) {
      if (client.conn.writableLength <= limits.clientBufferBytes) return packet;
      drop('client_slow');
      return null;
    },
  });
  (broker as EventEmitter).on('error', (error) => log.error({ err: error }, 'broker failed'));
  const frozen = new WeakSet<Client>();
  for (const event of ['clientError', 'connectionError'] as const) {
    broker.on(event, (client, error) => {
      // Comes once for each message that the client did not take.
      if (error.message === 'drain timeout' && !frozen.has(client)) {
        frozen.add(client);
        drop('client_frozen');
      }
      log.debug({ err: error, client: client.id }, 'bus client failed');
    });
  }
  const countClients = (): void => meter.set('spyoncino_bus_clients', broker.connectedClients);
  broker.on('client', countClients);
  broker.on('clientDisconnect', countClients);

  const sockets = new Set<Socket>();
  const server = createServer({ noDelay: true, keepAlive: true }, (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    broker.handle(socket);
  });
  server.maxConnections = limits.connections;
  server.on('drop', () => drop('too_many_clients'));
  let openPort: number;
  try {
    openPort = await listen(server, 'bus', host, port);
  } catch (error) {
    await closeBroker(broker);
    throw error;
  }
  server.on('error', (error) => log.error({ err: error }, 'bus listener failed'));

  /** Calls `onTaken` when every client has taken the message or is gone. */
  function send(topic: string, { retain, json }: SealedMessage, onTaken: () => void = () => {}): void {
    const payload = Buffer.from(json);
    broker.publish(
      { cmd: 'publish', qos: 0, dup: false, retain, topic: topicToMqtt(nodeId, topic), payload },
      (error) => {
        if (error) log.warn({ err: error, topic }, 'a message was not published');
        onTaken();
      },
    );
  }

  const farewell = (): Promise<void> =>
    new Promise((resolve) =>
      send('status.availability', seal('status.availability', { state: 'offline', version }), resolve),
    );

  let closing: Promise<void> | null = null;
  async function close(): Promise<void> {
    const released = once(server, 'close');
    server.close();
    const farewellHeard = new AbortController();
    const patience = clock.sleep(FAREWELL_MS, farewellHeard.signal).catch(() => {});
    await Promise.race([farewell(), patience]);
    farewellHeard.abort();
    await closeBroker(broker);
    // Those that connected but never introduced themselves are unknown to the broker.
    for (const socket of sockets) socket.destroy();
    await released;
  }

  const bus: Bus = {
    port: openPort,
    get clients() {
      return broker.connectedClients;
    },
    publish(topic, payload) {
      if (closing) return drop('closed');
      const startedMs = clock.monotonicMs();
      let sealed: SealedMessage;
      try {
        sealed = seal(topic, payload);
      } catch (error) {
        if (strict) throw error;
        log.error({ err: error, topic }, 'a message does not fit its topic');
        return drop('payload_invalid');
      }
      if (sealed.retain || broker.connectedClients > 0) send(topic, sealed);
      meter.count('spyoncino_published_total', { topic: sealed.pattern });
      meter.observe('spyoncino_publish_ms', clock.monotonicMs() - startedMs);
    },
    async [Symbol.asyncDispose]() {
      closing ??= close();
      await closing;
    },
  };
  bus.publish('status.availability', { state: 'online', version });
  return bus;
}

const closeBroker = (broker: Aedes): Promise<void> => new Promise((resolve) => broker.close(resolve));
