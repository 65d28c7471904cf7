/** How a client proves who it is: Basic (RFC 7617) and Digest (RFC 2617, RFC 7616). */
import { createHash, randomBytes } from 'node:crypto';

export interface Credentials {
  readonly username: string;
  readonly password: string;
}

interface DigestChallenge {
  readonly scheme: 'digest';
  readonly realm: string;
  readonly nonce: string;
  readonly opaque: string | null;
  /** As the server wrote it; null: it did not, which means MD5. */
  readonly algorithm: string | null;
  readonly session: boolean;
  readonly hash: 'md5' | 'sha256';
  readonly qop: 'auth' | null;
  readonly stale: boolean;
}

export type Challenge = DigestChallenge | { readonly scheme: 'basic' };

/** The strongest of what the headers `WWW-Authenticate` offer and we can answer; null: none. */
export function chooseChallenge(headers: readonly string[]): Challenge | null {
  const challenges = headers.flatMap(splitChallenges).flatMap((text) => parseChallenge(text) ?? []);
  const strength = (challenge: Challenge): number =>
    challenge.scheme === 'basic' ? 0 : challenge.hash === 'md5' ? 1 : 2;
  return challenges.sort((a, b) => strength(b) - strength(a))[0] ?? null;
}

/** One header may hold several challenges. */
const splitChallenges = (header: string): string[] => header.split(/,\s*(?=(?:Digest|Basic)\s)/i);

const ALGORITHMS: ReadonlyMap<string, Pick<DigestChallenge, 'hash' | 'session'>> = new Map([
  ['md5', { hash: 'md5', session: false }],
  ['md5-sess', { hash: 'md5', session: true }],
  ['sha-256', { hash: 'sha256', session: false }],
  ['sha-256-sess', { hash: 'sha256', session: true }],
]);

function parseChallenge(text: string): Challenge | null {
  const [, scheme = '', rest = ''] = /^\s*(\w+)\s*(.*)$/s.exec(text) ?? [];
  if (scheme.toLowerCase() === 'basic') return { scheme: 'basic' };
  if (scheme.toLowerCase() !== 'digest') return null;
  const fields = new Map<string, string>();
  for (const [, name, quoted, plain] of rest.matchAll(/(\w+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,]+))/g)) {
    fields.set(name!.toLowerCase(), quoted?.replace(/\\(.)/g, '$1') ?? plain ?? '');
  }
  const [realm, nonce, algorithm = null] = [
    fields.get('realm'),
    fields.get('nonce'),
    fields.get('algorithm'),
  ];
  const how = ALGORITHMS.get((algorithm ?? 'md5').toLowerCase());
  const qops = fields
    .get('qop')
    ?.split(',')
    .map((qop) => qop.trim().toLowerCase());
  if (realm === undefined || nonce === undefined || !how || (qops && !qops.includes('auth'))) return null;
  return {
    scheme: 'digest',
    realm,
    nonce,
    opaque: fields.get('opaque') ?? null,
    algorithm,
    ...how,
    qop: qops ? 'auth' : null,
    stale: fields.get('stale')?.toLowerCase() === 'true',
  };
}

/** Answers one challenge, request after request. */
export class Authorizer {
  readonly challenge: Challenge;
  readonly #credentials: Credentials;
  readonly #newCnonce: () => string;
  #uses = 0;

  constructor(
    challenge: Challenge,
    credentials: Credentials,
    newCnonce = (): string => randomBytes(16).toString('base64url'),
  ) {
    this.challenge = challenge;
    this.#credentials = credentials;
    this.#newCnonce = newCnonce;
  }

  /** The header `Authorization`. */
  authorize(method: string, uri: string): string {
    const { username, password } = this.#credentials;
    if (this.challenge.scheme === 'basic') {
      return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
    }
    const { realm, nonce, opaque, algorithm, session, hash, qop } = this.challenge;
    const h = (...parts: string[]): string => createHash(hash).update(parts.join(':')).digest('hex');
    const count = (++this.#uses).toString(16).padStart(8, '0');
    const cnonce = qop || session ? this.#newCnonce() : '';
    const secret = h(username, realm, password);
    const ha1 = session ? h(secret, nonce, cnonce) : secret;
    const ha2 = h(method, uri);
    const response = qop ? h(ha1, nonce, count, cnonce, qop, ha2) : h(ha1, nonce, ha2);
    const quoted = (name: string, value: string): string => `${name}="${value.replace(/[\\"]/g, '\\$&')}"`;
    return `Digest ${[
      quoted('username', username),
      quoted('realm', realm),
      quoted('nonce', nonce),
      quoted('uri', uri),
      quoted('response', response),
      ...(algorithm ? [`algorithm=${algorithm}`] : []),
      ...(opaque === null ? [] : [quoted('opaque', opaque)]),
      ...(qop ? [`qop=${qop}`, `nc=${count}`] : []),
      ...(cnonce ? [quoted('cnonce', cnonce)] : []),
    ].join(', ')}`;
  }
}
