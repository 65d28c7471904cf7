import type { Client } from 'aedes';
import type { Caller } from '../contract/access.ts';
import type { Connection } from './connection.ts';

/** What is known of one client, as long as it is connected. */
export interface ClientState {
  readonly connection: Connection;
  /** null until it was made sure who it is. */
  caller: Caller | null;
  /** It has been given what waited for it. */
  isReady: boolean;
  readonly filters: Set<string>;
  delivered: number;
  dropped: number;
  isFrozen: boolean;
}

export interface SubscriberNumbers {
  /** `user/client id` */
  readonly client: string;
  /** Bytes that wait for it. */
  readonly depth: number;
  readonly dropped: number;
  readonly lagMs: number;
}

export interface Traffic {
  readonly receivedBytes: number;
  readonly sentBytes: number;
  /** Messages that were handed to subscribers. */
  readonly delivered: number;
}

/** Everybody who is connected, and what went over connections that are gone. */
export class Clients {
  readonly #states = new Map<Client, ClientState>();
  #gone: Traffic = { receivedBytes: 0, sentBytes: 0, delivered: 0 };

  /** Forgets it when its connection is closed. */
  add(client: Client, connection: Connection): void {
    const state: ClientState = {
      connection,
      caller: null,
      isReady: false,
      filters: new Set(),
      delivered: 0,
      dropped: 0,
      isFrozen: false,
    };
    this.#states.set(client, state);
    connection.once('close', () => {
      this.#states.delete(client);
      this.#gone = withTrafficOf(this.#gone, state);
    });
  }

  get(client: Client): ClientState | null {
    return this.#states.get(client) ?? null;
  }

  /** Those that were let in. */
  *known(): Generator<[Client, ClientState, Caller]> {
    for (const [client, state] of this.#states) if (state.caller) yield [client, state, state.caller];
  }

  get subscribers(): readonly SubscriberNumbers[] {
    return [...this.known()]
      .filter(([, { filters }]) => filters.size > 0)
      .map(([{ id }, { connection, dropped }]) => {
        return { client: id, depth: connection.writableLength, dropped, lagMs: connection.lagMs };
      });
  }

  get traffic(): Traffic {
    return this.#states.values().reduce(withTrafficOf, this.#gone);
  }
}

const withTrafficOf = (sum: Traffic, { connection, delivered }: ClientState): Traffic => ({
  receivedBytes: sum.receivedBytes + connection.receivedBytes,
  sentBytes: sum.sentBytes + connection.sentBytes,
  delivered: sum.delivered + delivered,
});
