import { readFile } from 'node:fs/promises';
import type { IClientOptions, MqttClient } from 'mqtt';
import type { Caller } from '../contract/access.ts';
import { CodedError, type ErrorReport } from '../contract/errors.ts';
import type { BridgeSettings } from '../contract/settings.ts';
import type { RequestTopic } from '../contract/topics.ts';
import { backoff } from '../kernel/backoff.ts';
import type { Clock } from '../kernel/clock.ts';
import type { Log } from '../kernel/log.ts';
import type { DurableMap } from './durable-map.ts';
import { matches, topicToMqtt } from './names.ts';
import { createSealer } from './sealer.ts';

/** By number, as text; they grow by one. */
export interface OutgoingMessage {
  readonly topic: string;
  readonly payload: string;
  readonly retain: boolean;
}

export interface BridgeState {
  readonly connected: boolean;
  readonly waitingMessages: number;
  readonly waitingBytes: number;
  /** Why it is not connected. */
  readonly reason: ErrorReport | null;
}

export interface BridgeOptions {
  readonly nodeId: string;
  readonly version: string;
  readonly settings: BridgeSettings;
  readonly map: DurableMap<OutgoingMessage>;
  readonly clock: Clock;
  readonly log: Log;
  readonly onDrop: (reason: 'bridge_full') => void;
  readonly onRequest: (topic: RequestTopic, payload: Buffer, caller: Caller) => void;
}

const DELAYS = { firstMs: 500, maxMs: 30_000 } as const;
const CONNECT_MS = 10_000;
const END_MS = 1000;
const KEEPALIVE_S = 30;
/** Sent and not acknowledged yet. */
const MAX_IN_FLIGHT = 16;
/**
 * The one request that is taken from there. The others are topics that the agent speaks on as well, and what it
 * says there would come back as a request.
 */
const REQUEST = 'dashboard.control.command' satisfies RequestTopic;

/**
 * Passes messages on to another broker: stored first, sent in order with QoS 1, forgotten when acknowledged. While
 * that broker is away, of a retained topic only the latest waits; beyond the bounds the oldest goes (`bridge_full`).
 *
 * Invariant: what is in the map was not acknowledged, so after an interruption it is sent again from its beginning:
 * nothing is lost up to the bounds, the order is kept, and the last few may come twice.
 */
export class Bridge implements AsyncDisposable {
  readonly #o: BridgeOptions;
  readonly #stopping = new AbortController();
  /** Numbers of what waits, oldest first, with its size. */
  readonly #waiting = new Map<number, number>();
  readonly #latest = new Map<string, number>();
  readonly #running: Promise<void>;
  #waitingBytes = 0;
  #lastNumber = 0;
  #client: MqttClient | null = null;
  #lastSent = 0;
  #inFlight = new Set<number>();
  #reason: ErrorReport | null = new CodedError('BRIDGE_UNREACHABLE', 'not tried yet').report();
  #idle: (() => void) | null = null;

  constructor(options: BridgeOptions) {
    this.#o = options;
    const kept = [...options.map.entries()].map(([key, message]) => [Number(key), message] as const);
    for (const [number, message] of kept.toSorted(([a], [b]) => a - b)) this.#note(number, message);
    this.#running = this.#run();
  }

  get state(): BridgeState {
    return {
      connected: this.#client !== null,
      waitingMessages: this.#waiting.size,
      waitingBytes: this.#waitingBytes,
      reason: this.#client ? null : this.#reason,
    };
  }

  /** `topic` decides whether it is passed on; null: it is. Does not wait for anybody. */
  take(topic: string | null, mqttTopic: string, payload: string, retain: boolean): void {
    const { settings, map, onDrop } = this.#o;
    if (topic !== null && !settings.topics.some((glob) => matches(glob, topic))) return;
    const older = retain ? this.#latest.get(mqttTopic) : undefined;
    if (older !== undefined && !this.#inFlight.has(older)) this.#remove(older);
    const number = this.#lastNumber + 1;
    const message = { topic: mqttTopic, payload, retain };
    map.set(String(number), message);
    this.#note(number, message);
    while (this.#waiting.size > settings.maxMessages || this.#waitingBytes > settings.maxBytes) {
      const [oldest] = this.#waiting.keys();
      if (oldest === undefined) break;
      this.#remove(oldest);
      onDrop('bridge_full');
    }
    this.#send();
  }

  /** Resolves when everything was acknowledged; at once while there is no connection. */
  async sent(): Promise<void> {
    if (this.#client && this.#waiting.size > 0) await new Promise<void>((resolve) => (this.#idle = resolve));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  #note(number: number, message: OutgoingMessage): void {
    const bytes = message.topic.length + message.payload.length + 64;
    this.#lastNumber = number;
    this.#waiting.set(number, bytes);
    this.#waitingBytes += bytes;
    if (message.retain) this.#latest.set(message.topic, number);
  }

  #remove(number: number): void {
    const key = String(number);
    const topic = this.#o.map.get(key)?.topic ?? '';
    this.#waitingBytes -= this.#waiting.get(number) ?? 0;
    this.#waiting.delete(number);
    if (this.#latest.get(topic) === number) this.#latest.delete(topic);
    this.#o.map.delete(key);
    if (this.#waiting.size === 0) this.#settle();
  }

  #settle(): void {
    this.#idle?.();
    this.#idle = null;
  }

  async #run(): Promise<void> {
    const { clock, log, settings } = this.#o;
    const { signal } = this.#stopping;
    let delays = backoff(DELAYS);
    while (!signal.aborted) {
      try {
        await this.#connectOnce(() => (delays = backoff(DELAYS)));
      } catch (error) {
        const coded = CodedError.from(error, 'BRIDGE_UNREACHABLE');
        if (coded.message !== this.#reason?.message)
          log.warn({ err: coded, url: settings.url }, 'the bridge is down');
        this.#reason = coded.report();
      }
      this.#client = null;
      this.#settle();
      if (!signal.aborted) await clock.sleep(delays.next().value, signal).catch(() => {});
    }
  }

  /** One connection: returns when told to stop, throws BRIDGE_UNREACHABLE when it is lost. */
  async #connectOnce(onConnected: () => void): Promise<void> {
    const { settings, nodeId, log, onRequest } = this.#o;
    const { signal } = this.#stopping;
    const options = await this.#connectOptions();
    // Only those who have a bridge need it.
    const { connect } = await import('mqtt');
    if (signal.aborted) return;
    const over = Promise.withResolvers<void>();
    const client = connect(settings.url, options);
    const lost = (why: string): void => over.reject(new CodedError('BRIDGE_UNREACHABLE', why));
    client.on('error', (error) => lost(error.message));
    client.on('close', () => lost('the connection was closed'));
    client.on('message', (_topic, payload, { retain }) => {
      // A retained one would be done again at each connection.
      if (retain || settings.commandsAs === null) return;
      onRequest(REQUEST, payload, { user: 'bridge', role: settings.commandsAs, surface: 'mqtt' });
    });
    client.on('connect', () => {
      onConnected();
      log.info({ url: settings.url, waiting: this.#waiting.size }, 'the bridge is up');
      this.#client = client;
      this.#inFlight = new Set();
      this.#lastSent = 0;
      if (settings.commandsAs !== null) client.subscribe(topicToMqtt(nodeId, REQUEST), { qos: 1 });
      this.#send();
    });
    const stop = (): void => over.resolve();
    signal.addEventListener('abort', stop, { once: true });
    try {
      await over.promise;
    } finally {
      signal.removeEventListener('abort', stop);
      this.#client = null;
      await this.#end(client);
    }
  }

  /** Orderly where nothing is on its way any more; else, or where that takes long, the other broker says for us that we are gone. */
  async #end(client: MqttClient): Promise<void> {
    const ended = new AbortController();
    const late = this.#o.clock.sleep(END_MS, ended.signal).then(
      () => client.stream.destroy(),
      () => {},
    );
    await client.endAsync(!client.connected || this.#inFlight.size > 0);
    ended.abort();
    await late;
  }

  async #connectOptions(): Promise<IClientOptions> {
    const { settings, nodeId, version, clock } = this.#o;
    const { json } = createSealer(clock)('status.availability', { state: 'offline', version });
    return {
      clientId: `spyoncino-${nodeId}`,
      protocolVersion: 4,
      clean: true,
      reconnectPeriod: 0,
      connectTimeout: CONNECT_MS,
      keepalive: KEEPALIVE_S,
      queueQoSZero: false,
      will: {
        topic: topicToMqtt(nodeId, 'status.availability'),
        payload: Buffer.from(json),
        qos: 1,
        retain: true,
      },
      ...(settings.username === null ? {} : { username: settings.username }),
      ...(settings.password === null ? {} : { password: settings.password }),
      ...(settings.caFile === null ? {} : { ca: await readFile(settings.caFile, 'utf8') }),
    };
  }

  #send(): void {
    const client = this.#client;
    if (!client) return;
    for (const number of this.#waiting.keys()) {
      if (this.#inFlight.size >= MAX_IN_FLIGHT) return;
      if (number <= this.#lastSent) continue;
      const message = this.#o.map.get(String(number));
      if (!message) continue;
      this.#lastSent = number;
      this.#inFlight.add(number);
      const { topic, payload, retain } = message;
      client.publish(topic, payload, { qos: 1, retain }, (error) => {
        // Of an earlier connection, or not acknowledged: it is sent again by the next.
        if (error || client !== this.#client) return;
        this.#inFlight.delete(number);
        this.#remove(number);
        this.#send();
      });
    }
  }
}
