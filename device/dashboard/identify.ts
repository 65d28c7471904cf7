import { SESSION_COOKIE, type Caller, type Origin } from '../contract/access.ts';
import { CodedError } from '../contract/errors.ts';
import { readBearer } from '../kernel/bearer.ts';
import { readCookie } from '../kernel/cookie.ts';
import type { AccessPort } from './options.ts';

type Headers = Readonly<Record<string, string | string[] | undefined>>;

/** Who asks, by token or by the cookie of a session; null when nobody says so. Throws UNAUTHENTICATED. */
export async function identify(access: AccessPort, headers: Headers, origin: Origin): Promise<Caller | null> {
  const secret = readBearer(headers['authorization']) ?? readCookie(headers['cookie'], SESSION_COOKIE);
  return secret === null ? null : await access.authenticate({ kind: 'bearer', secret }, origin);
}

/**
 * Browsers send cookies by themselves. What changes something must therefore come from a page of this very
 * address (`origin`), and with a header that forms and links of other pages cannot set. Throws CROSS_SITE.
 */
export function refuseCrossSite(method: string, headers: Headers): void {
  if (method === 'GET' || method === 'HEAD') return;
  const { origin, host } = headers;
  if (typeof origin === 'string' && URL.parse(origin)?.host !== host) throw new CodedError('CROSS_SITE');
  const isByCookie =
    readBearer(headers['authorization']) === null && readCookie(headers['cookie'], SESSION_COOKIE) !== null;
  if (isByCookie && headers['x-spyoncino'] !== '1') throw new CodedError('CROSS_SITE');
}
