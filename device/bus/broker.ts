import type { EventEmitter } from 'node:events';
import { Aedes } from 'aedes';
import type { Meter } from '../contract/metrics.ts';
import type { BridgeSettings, BusSettings } from '../contract/settings.ts';
import type { StateStore } from '../contract/state-store.ts';
import type { TlsSource } from '../contract/tls.ts';
import type { Payload, RequestTopic, TopicName, TopicPattern } from '../contract/topics.ts';
import type { Clock } from '../kernel/clock.ts';
import type { Log } from '../kernel/log.ts';
import type { Authenticate } from './access.ts';
import { Bridge, type BridgeState } from './bridge.ts';
import { Clients } from './clients.ts';
import { DurableMap } from './durable-map.ts';
import { announcementOf, pictureTopic } from './home-assistant.ts';
import { Listeners } from './listeners.ts';
import { topicToMqtt } from './names.ts';
import { createPolicy } from './policy.ts';
import { Requests, type RequestHandler } from './requests.ts';
import { createSealer, type SealedMessage } from './sealer.ts';
import { statusOfBus, systemTopics, type BusNumbers } from './statistics.ts';
import { Store } from './store.ts';

export interface Bus extends AsyncDisposable {
  readonly port: number;
  /** null without TLS. */
  readonly tlsPort: number | null;
  /** Connected MQTT clients. */
  readonly clients: number;
  /** null without one. */
  readonly bridge: BridgeState | null;
  /**
   * Checks the payload against the topic's schema, adds the envelope, and hands it to the broker. Does not
   * wait for anybody and does not throw: a message that does not fit is logged, counted and dropped
   * (`strict` makes it throw PAYLOAD_INVALID).
   */
  publish<P extends TopicPattern>(topic: TopicName<P>, payload: Payload<P>): void;
  /** What is retained on the topic is gone: of a camera that is no more. */
  forget<P extends TopicPattern>(topic: TopicName<P>): void;
  /** From now on `handler` does what clients ask for on the topic. */
  handle<P extends RequestTopic>(topic: P, handler: RequestHandler<P>): void;
  /** Retained messages below Home Assistant's prefix: exactly these; what was there before goes. */
  announce(messages: readonly { readonly topic: string; readonly payload: object }[]): void;
  /** The last still of a camera, a JPEG, where Home Assistant finds it; one that is too large is dropped. */
  showPicture(cameraId: string, jpeg: Buffer): void;
  /** Calls `listener` with each message that is published, until disposed of. It must not throw. */
  tap(listener: (message: { readonly topic: string; readonly json: string }) => void): Disposable;
  /** For `status.bus`. */
  statistics(): Payload<'status.bus'>;
  /** Ends the connections of this user or token, who may no longer do what it could. */
  disconnect(user: string): void;
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
  /** Whether programs on this machine may read without a name; default: nobody may. */
  readonly anonymous?: BusSettings['anonymous'];
  /** Without it nobody has a name. */
  readonly authenticate?: Authenticate;
  /** Keeps what outlives a restart; without it nothing does. */
  readonly state?: StateStore;
  readonly tls?: BusSettings['tls'];
  /** Needed for `tls`. */
  readonly certificates?: TlsSource;
  /** PEM of who signs certificates of clients; without it none counts. */
  readonly clientCa?: string;
  readonly limits?: Partial<BusLimits>;
  readonly sessions?: BusSettings['sessions'];
  readonly bridge?: BridgeSettings | null;
  readonly homeAssistant?: { readonly prefix: string } | null;
  /** Throw on a payload that does not fit its topic; for tests. */
  readonly strict?: boolean;
}

export type BusLimits = BusSettings['limits'] & {
  /** A client that takes nothing for this long is disconnected. */
  readonly drainMs: number;
  /** A connection that does not introduce itself within this time is closed. */
  readonly connectMs: number;
  /** Bytes that wait for one slow client; what would come on top is dropped for that client alone. */
  readonly clientBufferBytes: number;
};

const LIMITS: BusLimits = {
  drainMs: 10_000,
  connectMs: 5000,
  clientBufferBytes: 1 << 20,
  connections: 256,
  connectionsPerAddress: 64,
  packetBytes: 256 << 10,
  packetsPerSecond: 100,
};
const SESSIONS: BusSettings['sessions'] = { maxMessages: 1000, maxBytes: 1 << 20, maxAgeMs: 86_400_000 };
const SYSTEM_MS = 10_000;
/** Stills of 1080p have 200 to 400 kB. In base64 it is still less than waits for one slow client. */
const MAX_PICTURE_BYTES = 600_000;
/** What waits for somebody is durable after this. */
const GATHER_MS = 300;
/** Most of what is retained is said anew every few seconds, and all of it soon after a start: it spares the card. */
const RETAINED_MS = 600_000;
/** How long a stopping bus waits until `offline` has reached its clients. */
const FAREWELL_MS = 500;

/**
 * The device's bus: an MQTT 3.1.1 broker inside the agent. Clients read, and ask on the topics that are marked so;
 * nobody but the agent says anything.
 * Throws PORT_IN_USE, or CONFIG_INVALID when an address cannot be listened on.
 *
 * Invariants: publishing never waits for a client, and no client waits for another. Both rest on `concurrency: 0`
 * (Aedes would else hold all messages back once that many are undelivered to anyone) together with a byte limit
 * per client. Clients are known as `user/client id`, so that nobody takes over another user's session. What a
 * client asks for goes to its handler and to no other client.
 */
export async function createBus(options: BusOptions): Promise<Bus> {
  const { nodeId, version, meter, log, clock, state = null } = options;
  const { tls = null, certificates, bridge: bridgeSettings = null, strict = false } = options;
  const limits = { ...LIMITS, ...options.limits };
  const prefix = options.homeAssistant?.prefix ?? null;
  const startedMs = clock.monotonicMs();
  const seal = createSealer(clock);
  const topics = new Set<string>();
  const taps = new Set<Parameters<Bus['tap']>[0]>();
  let [published, dropped] = [0, 0];
  const drop = (reason: string): void => {
    dropped += 1;
    meter.count('spyoncino_drops_total', { stage: 'bus', reason });
  };
  await using building = new AsyncDisposableStack();
  const durable = async <V>(name: string, gatherMs: number): Promise<DurableMap<V>> =>
    building.use(await DurableMap.open<V>({ name, store: state, gatherMs, clock, log }));

  const clients = new Clients();
  const policy = createPolicy({
    nodeId,
    anonymous: options.anonymous ?? 'none',
    authenticate: options.authenticate ?? (async () => null),
    prefix,
    clientBufferBytes: limits.clientBufferBytes,
    clients,
    log,
    onDrop: drop,
    onRequest: (topic, payload, caller) => void requests.take(topic, payload, caller),
  });
  const store = new Store({
    retained: await durable('bus.retained', RETAINED_MS),
    sessions: await durable('bus.sessions', GATHER_MS),
    limits: options.sessions ?? SESSIONS,
    clock,
    isConnected: (clientId) => clients.known().some(([{ id }]) => id === clientId),
    mayRead: policy.mayRead,
    onDrop: drop,
  });
  const requests = new Requests({
    answer: (answer) => bus.publish('dashboard.control.result', answer),
    onRefused: drop,
    log,
  });

  const broker = await Aedes.createBroker({
    concurrency: 0,
    persistence: store,
    drainTimeout: limits.drainMs,
    connectTimeout: limits.connectMs,
    queueLimit: 16,
    maxInflightInbound: 16,
    maxTopicLevels: 8,
    ...policy,
  });
  building.defer(() => closeBroker(broker));
  (broker as EventEmitter).on('error', (error) => log.error({ err: error }, 'broker failed'));
  for (const event of ['clientError', 'connectionError'] as const) {
    broker.on(event, (client, error) => {
      const state = clients.get(client);
      // Comes once for each message that the client did not take.
      if (error.message === 'drain timeout' && state && !state.isFrozen) {
        state.isFrozen = true;
        drop('client_frozen');
      }
      log.debug({ err: error, client: client.id }, 'bus client failed');
    });
  }
  broker.on('clientReady', (client) => {
    const state = clients.get(client);
    if (state) state.isReady = true;
    for (const { topic, payload } of store.takeUnsent(client.id)) {
      client.publish({ cmd: 'publish', qos: 1, dup: false, retain: false, topic, payload });
    }
  });
  broker.on('unsubscribe', (filters, client) => {
    for (const filter of filters) clients.get(client)?.filters.delete(filter);
  });
  const countClients = (): void => meter.set('spyoncino_bus_clients', broker.connectedClients);
  broker.on('client', countClients);
  broker.on('clientDisconnect', (client) => {
    countClients();
    store.seen(client.id);
  });

  if (tls && !certificates) log.error({}, 'the bus has no certificate, so it does not listen with TLS');
  const listeners = building.use(
    await Listeners.open({
      host: options.host,
      port: options.port,
      tls: tls && certificates ? { ...tls, certificates, clientCa: options.clientCa ?? null } : null,
      limits,
      handshakeMs: limits.connectMs,
      clock,
      log,
      onConnection: (connection) => clients.add(broker.handle(connection), connection),
      onDrop: drop,
    }),
  );

  const bridge = bridgeSettings
    ? building.use(
        new Bridge({
          nodeId,
          version,
          settings: bridgeSettings,
          map: await durable('bus.bridge', GATHER_MS),
          clock,
          log,
          onDrop: drop,
          onRequest: (topic, payload, caller) => void requests.take(topic, payload, caller),
        }),
      )
    : null;

  /** Calls `onTaken` when every client has taken the message or is gone. */
  function send(
    topic: string,
    payload: string,
    retain: boolean,
    { qos = 1, onTaken = () => {} }: { qos?: 0 | 1; onTaken?: () => void } = {},
  ): void {
    broker.publish(
      { cmd: 'publish', qos, dup: false, retain, topic, payload: Buffer.from(payload) },
      (error) => {
        if (error) log.warn({ err: error, topic }, 'a message was not published');
        onTaken();
      },
    );
  }

  function numbers(): BusNumbers {
    return {
      version,
      uptimeMs: clock.monotonicMs() - startedMs,
      connections: listeners.connections,
      clients: broker.connectedClients,
      subscribers: clients.subscribers,
      capacityBytes: limits.clientBufferBytes,
      sessions: store.sessions,
      retained: store.retainedTopics.length,
      subscriptions: [...clients.known()].reduce((sum, [, { filters }]) => sum + filters.size, 0),
      topics: topics.size,
      published,
      requests: requests.taken,
      dropped,
      traffic: clients.traffic,
    };
  }

  const stopping = new AbortController();
  async function tellSystemTopics(): Promise<void> {
    while (!stopping.signal.aborted) {
      for (const [topic, value] of systemTopics(numbers())) send(topic, value, true);
      await clock.sleep(SYSTEM_MS, stopping.signal).catch(() => {});
    }
  }
  const telling = tellSystemTopics();

  const owned = building.move();
  let closing: Promise<void> | null = null;
  async function close(): Promise<void> {
    listeners.close();
    stopping.abort();
    await telling;
    const { json } = seal('status.availability', { state: 'offline', version });
    const farewellHeard = new AbortController();
    const patience = clock.sleep(FAREWELL_MS, farewellHeard.signal).catch(() => {});
    const farewell = new Promise<void>((resolve) => {
      send(topicToMqtt(nodeId, 'status.availability'), json, true, { onTaken: resolve });
    });
    bridge?.take('status.availability', topicToMqtt(nodeId, 'status.availability'), json, true);
    await Promise.race([Promise.all([farewell, bridge?.sent()]), patience]);
    farewellHeard.abort();
    await owned.disposeAsync();
  }

  const bus: Bus = {
    port: listeners.port,
    tlsPort: listeners.tlsPort,
    get clients() {
      return broker.connectedClients;
    },
    get bridge() {
      return bridge?.state ?? null;
    },
    publish(topic, payload) {
      if (closing) return drop('closed');
      const beganMs = clock.monotonicMs();
      let sealed: SealedMessage;
      try {
        sealed = seal(topic, payload);
      } catch (error) {
        if (strict) throw error;
        log.error({ err: error, topic }, 'a message does not fit its topic');
        return drop('payload_invalid');
      }
      const mqttTopic = topicToMqtt(nodeId, topic);
      if (sealed.retain || broker.connectedClients > 0 || store.hasSessions) {
        send(mqttTopic, sealed.json, sealed.retain);
      }
      bridge?.take(topic, mqttTopic, sealed.json, sealed.retain);
      for (const listener of taps) listener({ topic, json: sealed.json });
      published += 1;
      topics.add(sealed.pattern);
      meter.count('spyoncino_published_total', { topic: sealed.pattern });
      meter.observe('spyoncino_publish_ms', clock.monotonicMs() - beganMs);
    },
    tap(listener) {
      taps.add(listener);
      return { [Symbol.dispose]: () => void taps.delete(listener) };
    },
    forget(topic) {
      send(topicToMqtt(nodeId, topic), '', true);
      bridge?.take(topic, topicToMqtt(nodeId, topic), '', true);
    },
    handle: (topic, handler) => requests.handle(topic, handler),
    announce(messages) {
      if (prefix === null || closing) return;
      const wanted = new Map(messages.map(({ topic, payload }) => [topic, JSON.stringify(payload)]));
      const stale = store.retainedTopics.filter(
        (topic) => topic.startsWith(`${prefix}/`) && !wanted.has(announcementOf(topic)),
      );
      for (const topic of stale) wanted.set(topic, '');
      for (const [topic, payload] of wanted) {
        if (store.retainedPayload(topic) !== payload) send(topic, payload, true);
        bridge?.take(null, topic, payload, true);
      }
    },
    showPicture(cameraId, jpeg) {
      if (prefix === null || closing) return;
      const topic = pictureTopic(prefix, nodeId, cameraId);
      if (jpeg.length > MAX_PICTURE_BYTES) return drop('picture_too_large');
      const text = jpeg.toString('base64');
      // Not for sessions of clients that are away: it would push out what they wait for.
      send(topic, text, true, { qos: 0 });
      bridge?.take(null, topic, text, true);
    },
    statistics: () => statusOfBus(numbers()),
    disconnect(user) {
      for (const [client, , caller] of clients.known()) if (caller.user === user) client.close();
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
