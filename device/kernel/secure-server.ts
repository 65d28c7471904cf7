import { createServer, type Server } from 'node:https';
import { STATUS_CODES, type RequestListener } from 'node:http';
import type { Duplex } from 'node:stream';
import { CodedError } from '../contract/errors.ts';
import type { TlsSource } from '../contract/tls.ts';

export interface SecureServerLimits {
  /** More connections at a time are refused. */
  readonly connections: number;
  /** A client that has not said all of its request by then is cut off. */
  readonly requestMs: number;
}

const HANDSHAKE_MS = 10_000;
/** A connection on which nothing moves for this long is closed; also when its reader has stopped reading. */
const IDLE_MS = 60_000;
const MAX_HEADER_BYTES = 16_384;

/**
 * An HTTPS server that follows its identity: new connections get the newest certificate, those that are open
 * stay as they are. Not listening yet.
 */
export function createSecureServer(
  source: TlsSource,
  { connections, requestMs }: SecureServerLimits,
  handler: RequestListener,
): Server {
  const server = createServer(
    {
      ...source.current,
      minVersion: 'TLSv1.2',
      handshakeTimeout: HANDSHAKE_MS,
      maxHeaderSize: MAX_HEADER_BYTES,
      headersTimeout: requestMs,
      requestTimeout: requestMs,
      connectionsCheckingInterval: Math.min(requestMs, 5000),
    },
    handler,
  );
  server.maxConnections = connections;
  server.timeout = IDLE_MS;
  const closed = new AbortController();
  server.once('close', () => closed.abort());
  source.onChange(
    (identity) => server.setSecureContext({ ...identity, minVersion: 'TLSv1.2' }),
    closed.signal,
  );
  return server;
}

/** An answer to who has no `ServerResponse`: before or instead of one. Ends the connection. */
export function answerRaw(socket: Duplex, status: number, body: string): void {
  socket.end(
    [
      `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
      'content-type: application/json',
      `content-length: ${Buffer.byteLength(body)}`,
      'connection: close',
      '',
      body,
    ].join('\r\n'),
  );
}

const NONSENSE: Readonly<Record<string, number>> = {
  HPE_HEADER_OVERFLOW: 431,
  ERR_HTTP_REQUEST_TIMEOUT: 408,
};

/** For `clientError`: what came is not even HTTP. */
export function refuseNonsense({ code = '' }: NodeJS.ErrnoException, socket: Duplex): void {
  if (!socket.writable || code === 'ECONNRESET') return void socket.destroy();
  const status = NONSENSE[code] ?? 400;
  const error = new CodedError(
    status === 431 ? 'REQUEST_TOO_LARGE' : 'REQUEST_INVALID',
    STATUS_CODES[status],
  );
  answerRaw(socket, status, JSON.stringify({ error: error.report() }));
}
