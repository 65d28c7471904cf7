import type { MqttClient } from 'mqtt';
import { CodedError } from '../contract/errors.ts';

/** Where an agent's bus is, and who asks there. */
export interface BusAddress {
  readonly host: string;
  readonly port: number;
  /** A user and its password, or any name and the secret of a token. */
  readonly username?: string;
  readonly password?: string;
  /** With TLS; `ca` is the PEM of who vouches for the agent, where that is not whom the system trusts. */
  readonly tls?: { readonly ca: string | null };
}

const CONNECT_MS = 5000;

/** One connection, about to be made. When it is lost it is not made anew. */
export async function connectTo({ host, port, username, password, tls }: BusAddress): Promise<MqttClient> {
  // Only the command line needs it, and the agent, which shares this room, is some megabytes lighter without.
  const { connect } = await import('mqtt');
  return connect({
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
}

/** What an error of a connection means: UNAUTHENTICATED or BUS_UNREACHABLE. */
export function connectionError({ host, port }: BusAddress, error: Error): CodedError {
  const address = `${host}:${port}`;
  if (isRefusal(error)) return new CodedError('UNAUTHENTICATED', address, { cause: error });
  return new CodedError('BUS_UNREACHABLE', `${address}: ${error.message}`, { cause: error });
}

/** Bad user name or password (4), not authorized (5): MQTT 3.1.1 §3.2.2.3. */
const isRefusal = (error: Error & { code?: unknown }): boolean => error.code === 4 || error.code === 5;
