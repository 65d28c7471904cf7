import { request as requestPlain } from 'node:http';
import { request as requestTls } from 'node:https';
import { DeliveryError, networkFailure } from './delivery.ts';

export interface Post {
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
  /** PEM of who vouches for the receiver beside those whom the system trusts. */
  readonly ca: string | null;
  readonly timeoutMs: number;
}

export interface PostAnswer {
  readonly status: number;
  /** What the receiver asked for; null: nothing. */
  readonly retryAfterMs: number | null;
}

/**
 * One request, one answer: nothing is followed elsewhere, and of the answer only its head is read.
 * @throws DeliveryError NOTIFY_UNREACHABLE, NOTIFY_TLS
 */
export function post({ url, headers, body, ca, timeoutMs }: Post, signal: AbortSignal): Promise<PostAnswer> {
  const { promise, resolve, reject } = Promise.withResolvers<PostAnswer>();
  const request = url.protocol === 'https:' ? requestTls : requestPlain;
  const late = AbortSignal.timeout(timeoutMs);
  let hasBegun = false;
  const sent = request(url, {
    method: 'POST',
    headers: { ...headers, 'content-length': body.byteLength },
    signal: AbortSignal.any([signal, late]),
    // A connection of its own: one that died unnoticed would cost the first message after an outage.
    agent: false,
    ...(ca === null ? {} : { ca }),
  });
  sent.on('socket', (socket) =>
    socket.once(url.protocol === 'https:' ? 'secureConnect' : 'connect', () => (hasBegun = true)),
  );
  sent.on('response', (response) => {
    response.destroy();
    resolve({
      status: response.statusCode ?? 0,
      retryAfterMs: retryAfterMs(response.headers['retry-after']),
    });
  });
  sent.on('error', (error: NodeJS.ErrnoException) =>
    reject(
      late.aborted
        ? new DeliveryError('NOTIFY_UNREACHABLE', `no answer within ${timeoutMs / 1000} s`, {
            maybeDelivered: hasBegun,
          })
        : networkFailure(error.code, hasBegun),
    ),
  );
  sent.end(body);
  return promise;
}

/** More than this is not believed. */
const MAX_RETRY_AFTER_MS = 3_600_000;

/** Seconds only: a date would need the receiver's clock to be right. */
function retryAfterMs(header: string | undefined): number | null {
  const seconds = Number(header);
  if (header === undefined || !Number.isFinite(seconds) || seconds < 0) return null;
  return Math.min(seconds * 1000, MAX_RETRY_AFTER_MS);
}
