import { Readable } from 'node:stream';
import type { AedesPublishPacket, Client, Subscription } from 'aedes';
import type { BusSettings } from '../contract/settings.ts';
import type { Clock } from '../kernel/clock.ts';
import type { DurableMap } from './durable-map.ts';
import { filterTakes, isSystemTopic } from './names.ts';

/** `s:<client>`: a session. `q:<number>:<client>`: what waits for it. */
export type StoredEntry = StoredSession | StoredMessage;
interface StoredSession {
  readonly filters: readonly (readonly [string, number])[];
  readonly seenUtcMs: number;
}
interface StoredMessage {
  readonly topic: string;
  readonly payload: string;
  readonly utcMs: number;
}

interface Queued extends StoredMessage {
  /** Grows by one: the order of delivery. */
  readonly number: number;
  readonly bytes: number;
  /** By these the broker asks for it. */
  readonly brokerId: string;
  readonly brokerCounter: number;
  /** Once it was sent on the present connection. */
  messageId: number | null;
}

interface Session {
  readonly filters: Map<string, number>;
  /** Oldest first. */
  readonly queue: Map<number, Queued>;
  queuedBytes: number;
  seenUtcMs: number;
}

export type StoreDrop = 'session_full' | 'session_expired' | 'session_forgotten';

export interface StoreOptions {
  /** Payloads, by topic. */
  readonly retained: DurableMap<string>;
  readonly sessions: DurableMap<StoredEntry>;
  readonly limits: BusSettings['sessions'];
  readonly clock: Clock;
  readonly isConnected: (clientId: string) => boolean;
  readonly mayRead: (client: Client, filter: string) => boolean;
  readonly onDrop: (reason: StoreDrop, clientId: string) => void;
}

type Ids = Pick<Client, 'id'>;
type SentPacket = Pick<AedesPublishPacket, 'brokerId' | 'brokerCounter' | 'messageId'>;

/** What is retained and larger (pictures) is not worth its writes: it is said anew after a start. */
const MAX_KEPT_CHARACTERS = 65_536;
const MAX_SESSIONS = 64;
/** A client that was away for so long has other filters when it comes back, if it does. */
const FORGET_AFTER_MS = 30 * 86_400_000;

/**
 * What the broker remembers, in the form that Aedes asks for it: the latest of each retained topic, and QoS 1
 * sessions with what waits for clients that are away. Both outlive a restart, `$SYS` excepted.
 *
 * Bounds: messages, bytes and age per session, the oldest going first (`session_full`, `session_expired`); so many
 * sessions, the one that has been away for longest going first (`session_forgotten`).
 */
export class Store {
  readonly #o: StoreOptions;
  readonly #retained = new Map<string, string>();
  readonly #sessions = new Map<string, Session>();
  /** QoS 2 messages of clients on their way in: by client, ids. They are gone with the connection. */
  readonly #incoming = new Map<string, Set<number>>();
  #lastNumber = 0;

  constructor(options: StoreOptions) {
    this.#o = options;
    const queued: [number, string, StoredMessage][] = [];
    for (const [topic, payload] of options.retained.entries()) this.#retained.set(topic, payload);
    for (const [key, entry] of options.sessions.entries()) {
      if (key.startsWith('s:')) {
        const { filters, seenUtcMs } = entry as StoredSession;
        this.#sessions.set(key.slice(2), {
          filters: new Map(filters),
          queue: new Map(),
          queuedBytes: 0,
          seenUtcMs,
        });
      } else {
        const border = key.indexOf(':', 2);
        queued.push([Number(key.slice(2, border)), key.slice(border + 1), entry as StoredMessage]);
      }
    }
    for (const [number, clientId, message] of queued.toSorted(([a], [b]) => a - b)) {
      this.#lastNumber = number;
      const session = this.#sessions.get(clientId);
      const known = { brokerId: EARLIER_RUN, brokerCounter: number, messageId: null };
      if (session) this.#add(session, { ...message, ...sizeOf(message), ...known, number });
      else options.sessions.delete(`q:${number}:${clientId}`);
    }
  }

  get retainedTopics(): readonly string[] {
    return [...this.#retained.keys()];
  }

  retainedPayload(topic: string): string | null {
    return this.#retained.get(topic) ?? null;
  }

  /** What waits in sessions, connected or not. */
  get sessions(): readonly {
    clientId: string;
    messages: number;
    bytes: number;
    oldestUtcMs: number | null;
  }[] {
    return [...this.#sessions].map(([clientId, { queue, queuedBytes }]) => {
      const [oldest] = queue.values();
      return { clientId, messages: queue.size, bytes: queuedBytes, oldestUtcMs: oldest?.utcMs ?? null };
    });
  }

  get hasSessions(): boolean {
    return this.#sessions.size > 0;
  }

  /** The client has just gone. */
  seen(clientId: string): void {
    const session = this.#sessions.get(clientId);
    if (!session) return;
    session.seenUtcMs = this.#o.clock.utcMs();
    this.#keep(clientId, session);
  }

  /** Takes out what came for the client while it was being given older things. */
  takeUnsent(clientId: string): readonly StoredMessage[] {
    const session = this.#sessions.get(clientId);
    const unsent = [...(session?.queue.values() ?? [])].filter(({ messageId }) => messageId === null);
    for (const message of unsent) if (session) this.#remove(clientId, session, message);
    return unsent;
  }

  // From here on: what Aedes calls.

  async setup(): Promise<void> {}

  async storeRetained({ topic, payload }: { topic: string; payload: string | Buffer }): Promise<void> {
    const text = payload.toString();
    if (text === '') this.#retained.delete(topic);
    else this.#retained.set(topic, text);
    if (isSystemTopic(topic) || text.length > MAX_KEPT_CHARACTERS) return;
    if (text === '') this.#o.retained.delete(topic);
    else this.#o.retained.set(topic, text);
  }

  createRetainedStreamCombi(filters: readonly string[]): Readable {
    const found = [...this.#retained].filter(([topic]) =>
      filters.some((filter) => filterTakes(filter, topic)),
    );
    // QoS 0, as Aedes would not lower it for subscribers with wildcards.
    return Readable.from(
      found.map(([topic, payload]) => {
        return { cmd: 'publish', qos: 0, retain: true, dup: false, topic, payload: Buffer.from(payload) };
      }),
    );
  }

  async addSubscriptions(client: Client, subscriptions: readonly Subscription[]): Promise<void> {
    const session = this.#sessions.get(client.id) ?? this.#newSession(client.id);
    for (const { topic, qos } of subscriptions) {
      if (this.#o.mayRead(client, topic)) session.filters.set(topic, Math.min(1, qos));
    }
    this.#keep(client.id, session);
  }

  async removeSubscriptions({ id }: Ids, filters: readonly string[]): Promise<void> {
    const session = this.#sessions.get(id);
    if (!session) return;
    for (const filter of filters) session.filters.delete(filter);
    this.#keep(id, session);
  }

  async subscriptionsByClient({ id }: Ids): Promise<{ topic: string; qos: number }[]> {
    return [...(this.#sessions.get(id)?.filters ?? [])].map(([topic, qos]) => ({ topic, qos }));
  }

  async subscriptionsByTopic(topic: string): Promise<{ clientId: string; topic: string; qos: number }[]> {
    return [...this.#sessions].flatMap(([clientId, { filters }]) => {
      const taken = [...filters].find(([filter, qos]) => qos > 0 && filterTakes(filter, topic));
      return taken ? [{ clientId, topic: taken[0], qos: taken[1] }] : [];
    });
  }

  /** A clean session begins: what was there of an old one goes. */
  async cleanSubscriptions({ id }: Ids): Promise<void> {
    this.#forget(id);
  }

  async outgoingEnqueue(subscription: { clientId: string }, packet: AedesPublishPacket): Promise<void> {
    await this.outgoingEnqueueCombi([subscription], packet);
  }

  async outgoingEnqueueCombi(
    subscriptions: readonly { clientId: string }[],
    { topic, payload, brokerId, brokerCounter }: AedesPublishPacket,
  ): Promise<void> {
    if (subscriptions.length === 0) return;
    const { clock, sessions, limits, onDrop } = this.#o;
    const message = { topic, payload: payload.toString(), utcMs: clock.utcMs() };
    const known = { ...message, ...sizeOf(message), brokerId, brokerCounter };
    for (const { clientId } of subscriptions) {
      const session = this.#sessions.get(clientId);
      if (!session) continue;
      const number = ++this.#lastNumber;
      this.#add(session, { ...known, number, messageId: null });
      sessions.set(`q:${number}:${clientId}`, message);
      this.#expire(clientId, session);
      while (session.queue.size > limits.maxMessages || session.queuedBytes > limits.maxBytes) {
        const [oldest] = session.queue.values();
        if (oldest) this.#remove(clientId, session, oldest);
        onDrop('session_full', clientId);
      }
    }
  }

  /** It is being sent under this id. One that was given up meanwhile goes out all the same. */
  async outgoingUpdate({ id }: Ids, packet: SentPacket): Promise<void> {
    const waiting = this.#sessions.get(id)?.queue.values();
    const sent = waiting?.find(
      ({ brokerId, brokerCounter }) => brokerId === packet.brokerId && brokerCounter === packet.brokerCounter,
    );
    if (sent) sent.messageId = packet.messageId ?? null;
  }

  /** The client has it. Without an id it was not sent, and stays. */
  async outgoingClearMessageId({ id }: Ids, { messageId }: { messageId?: number }): Promise<unknown> {
    const session = this.#sessions.get(id);
    const acknowledged = session?.queue.values().find((queued) => queued.messageId === messageId);
    if (!session || !acknowledged) return undefined;
    this.#remove(id, session, acknowledged);
    return { ...PUBLISH, ...acknowledged, qos: 1 };
  }

  /** Everything that waits, and what comes while it is read. */
  outgoingStream({ id }: Ids): Readable {
    const session = this.#sessions.get(id);
    if (!session) return Readable.from([]);
    this.#expire(id, session);
    return Readable.from(unsentOf(session), { highWaterMark: 1 });
  }

  async incomingStorePacket({ id }: Ids, { messageId = 0 }: { messageId?: number }): Promise<void> {
    const ids = this.#incoming.get(id) ?? new Set();
    this.#incoming.set(id, ids.add(messageId));
  }

  async incomingGetPacket({ id }: Ids, { messageId = 0 }: { messageId?: number }): Promise<object> {
    if (!this.#incoming.get(id)?.has(messageId)) throw new Error('no such packet');
    return { messageId };
  }

  async incomingDelPacket({ id }: Ids, { messageId = 0 }: { messageId?: number }): Promise<void> {
    if (!this.#incoming.get(id)?.delete(messageId)) throw new Error('no such packet');
  }

  async cleanIncoming({ id }: Ids): Promise<void> {
    this.#incoming.delete(id);
  }

  // Nobody can leave a last will.

  async putWill(): Promise<void> {}

  async delWill(): Promise<void> {}

  streamWill(): Readable {
    return Readable.from([]);
  }

  #newSession(clientId: string): Session {
    const nowMs = this.#o.clock.utcMs();
    const away = [...this.#sessions]
      .filter(([id]) => !this.#o.isConnected(id))
      .toSorted(([, a], [, b]) => a.seenUtcMs - b.seenUtcMs);
    for (const [at, [id, { seenUtcMs }]] of away.entries()) {
      const isTooMany = this.#sessions.size - at >= MAX_SESSIONS;
      if (isTooMany || seenUtcMs < nowMs - FORGET_AFTER_MS) {
        this.#forget(id);
        this.#o.onDrop('session_forgotten', id);
      }
    }
    const session = { filters: new Map(), queue: new Map(), queuedBytes: 0, seenUtcMs: nowMs };
    this.#sessions.set(clientId, session);
    return session;
  }

  #forget(clientId: string): void {
    const session = this.#sessions.get(clientId);
    if (!session) return;
    for (const message of session.queue.values()) this.#remove(clientId, session, message);
    this.#sessions.delete(clientId);
    this.#o.sessions.delete(`s:${clientId}`);
  }

  #keep(clientId: string, { filters, seenUtcMs }: Session): void {
    this.#o.sessions.set(`s:${clientId}`, { filters: [...filters], seenUtcMs });
  }

  #add(session: Session, message: Queued): void {
    session.queue.set(message.number, message);
    session.queuedBytes += message.bytes;
  }

  #remove(clientId: string, session: Session, { number, bytes }: Queued): void {
    if (!session.queue.delete(number)) return;
    session.queuedBytes -= bytes;
    this.#o.sessions.delete(`q:${number}:${clientId}`);
  }

  #expire(clientId: string, session: Session): void {
    const oldestUtcMs = this.#o.clock.utcMs() - this.#o.limits.maxAgeMs;
    for (const message of session.queue.values()) {
      if (message.utcMs >= oldestUtcMs) return;
      this.#remove(clientId, session, message);
      this.#o.onDrop('session_expired', clientId);
    }
  }
}

const PUBLISH = { cmd: 'publish', retain: false, dup: false } as const;

const EARLIER_RUN = 'earlier run';

/** With what goes with a message in memory. */
const sizeOf = ({ topic, payload }: { topic: string; payload: string }) => ({
  bytes: topic.length + payload.length + 64,
});

/** What was sent on an earlier connection goes again, under a new id. */
function* unsentOf(session: Session): Generator<object> {
  for (const message of session.queue.values()) message.messageId = null;
  for (const { topic, payload, brokerId, brokerCounter } of session.queue.values()) {
    yield { ...PUBLISH, qos: 1, topic, payload: Buffer.from(payload), brokerId, brokerCounter };
  }
}
