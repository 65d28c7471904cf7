import type { AedesOptions, Client, ConnectPacket } from 'aedes';
import type { Caller } from '../contract/access.ts';
import type { BusSettings } from '../contract/settings.ts';
import type { RequestTopic } from '../contract/topics.ts';
import type { Log } from '../kernel/log.ts';
import { ANONYMOUS, maySubscribe, requestOn, type Authenticate } from './access.ts';
import type { Clients } from './clients.ts';
import type { Connection } from './connection.ts';

export interface PolicyOptions {
  readonly nodeId: string;
  readonly anonymous: BusSettings['anonymous'];
  readonly authenticate: Authenticate;
  /** Of Home Assistant; null: it is told nothing. */
  readonly prefix: string | null;
  readonly clientBufferBytes: number;
  readonly clients: Clients;
  readonly log: Log;
  readonly onDrop: (reason: 'client_refused' | 'publish_refused' | 'client_slow') => void;
  readonly onRequest: (topic: RequestTopic, payload: Buffer, caller: Caller) => void;
}

export type Policy = Required<
  Pick<
    AedesOptions,
    | 'preConnect'
    | 'authenticate'
    | 'authorizeSubscribe'
    | 'authorizePublish'
    | 'authorizeForward'
    | 'published'
  >
> & { readonly mayRead: (client: Client, filter: string) => boolean };

const MAX_FILTERS = 64;
const MAX_CLIENT_ID = 128;
/** Passwords are slow to check; beyond so many at once the answer is no. */
const MAX_AUTHENTICATING = 32;
/** Where requests go within the broker: nobody can subscribe to it. */
const REQUESTS = '$requests/';
const IGNORED = '$ignored';

/** What the broker asks about its clients: who they are, what they may, and what they are sent. */
export function createPolicy(options: PolicyOptions): Policy {
  const { nodeId, anonymous, prefix, clients, log, onDrop, onRequest } = options;
  const connectionOf = (client: Client): Connection => client.conn as Connection;
  const callerOf = (client: Client | null): Caller | null => (client && clients.get(client)?.caller) ?? null;
  const mayRead = (client: Client, filter: string): boolean => {
    const caller = callerOf(client);
    return caller !== null && maySubscribe(caller.role, nodeId, filter, prefix);
  };

  let authenticating = 0;
  async function identify(
    connection: Connection,
    username: string | undefined,
    password: Buffer | undefined,
  ): Promise<Caller | null> {
    const { address, certificateSha256, isLocal } = connection;
    if (username === undefined && certificateSha256 === null) {
      return anonymous === 'read' && isLocal ? ANONYMOUS : null;
    }
    if (authenticating >= MAX_AUTHENTICATING) return null;
    authenticating += 1;
    try {
      const secret = password?.toString() ?? null;
      return await options.authenticate({
        username: username ?? null,
        password: secret,
        address,
        certificateSha256,
      });
    } catch (error) {
      log.debug({ err: error }, 'it was not made sure who a client is');
      return null;
    } finally {
      authenticating -= 1;
    }
  }

  async function letIn(
    client: Client,
    username: string | undefined,
    password: Buffer | undefined,
  ): Promise<boolean> {
    const connection = connectionOf(client);
    const caller = await identify(connection, username, password);
    const state = clients.get(client);
    if (!caller || !state) {
      onDrop('client_refused');
      log.warn({ address: connection.address, username }, 'a client of the bus was refused');
      return false;
    }
    state.caller = caller;
    connection.admit();
    (client as { id: string }).id = `${caller.user}/${client.id}`;
    return true;
  }

  return {
    mayRead,
    preConnect(client, packet: ConnectPacket, done) {
      if (packet.username === undefined && connectionOf(client).certificateSha256 === null)
        packet.clean = true;
      delete packet.will;
      done(null, packet.clientId.length <= MAX_CLIENT_ID);
    },
    authenticate(client, username, password, done) {
      const answer = async (): Promise<void> => done(null, await letIn(client, username, password));
      void answer();
    },
    authorizeSubscribe(client, subscription, done) {
      const filters = clients.get(client)?.filters;
      if (filters && filters.size < MAX_FILTERS && mayRead(client, subscription.topic)) {
        filters.add(subscription.topic);
        return done(null, subscription);
      }
      log.warn({ client: client.id, filter: subscription.topic }, 'subscription refused');
      done(null, null);
    },
    authorizePublish(client, packet, done) {
      const caller = callerOf(client);
      // Without a name one reads, whatever viewers may ask for.
      const request = caller && caller !== ANONYMOUS ? requestOn(caller.role, nodeId, packet.topic) : null;
      packet.retain = false;
      if (request) {
        packet.topic = `${REQUESTS}${request}`;
        return done(null);
      }
      // Home Assistant says on its own topic that it is there, and would be cut off over and over.
      if (caller && prefix !== null && packet.topic === `${prefix}/status`) {
        packet.topic = IGNORED;
        return done(null);
      }
      log.warn({ client: client?.id, topic: packet.topic }, 'publication refused');
      onDrop('publish_refused');
      done(new Error('this client may not publish here'));
    },
    published({ topic, payload }, client, done) {
      const caller = callerOf(client);
      if (caller && topic.startsWith(REQUESTS)) {
        onRequest(topic.slice(REQUESTS.length) as RequestTopic, payload as Buffer, caller);
      }
      done(null);
    },
    authorizeForward(client, packet) {
      const state = clients.get(client);
      if (!state) return null;
      // It comes in order, after what waited for the client (what is sent from there has an id).
      const isLive = packet.messageId === undefined;
      if (isLive && packet.qos > 0 && !client.clean && !state.isReady) return null;
      if (client.conn.writableLength <= options.clientBufferBytes) {
        state.delivered += 1;
        return packet;
      }
      onDrop('client_slow');
      state.dropped += 1;
      // What waits for a session goes on in order when its client is back.
      if (!client.clean) client.conn.destroy();
      return null;
    },
  };
}
