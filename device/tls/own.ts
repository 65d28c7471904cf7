import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { join } from 'node:path';
import type { TlsIdentity } from '../contract/tls.ts';
import type { Clock } from '../kernel/clock.ts';
import { makeDirectoryDurable, replaceFile } from '../kernel/durable-file.ts';
import type { Log } from '../kernel/log.ts';
import { makeAuthority, makeClient, makeServer } from './issue.ts';

const RENEW_BEFORE_MS = 30 * 86_400_000;

export interface OwnIdentityOptions {
  readonly directory: string;
  /** Of the device, as clients may call it, now. The first is its title. */
  readonly names: () => readonly string[];
  readonly clock: Clock;
  readonly log: Log;
}

/**
 * The certificate that the device signs for itself, and the authority that signs it. Key and certificate are one
 * file, so that a power cut cannot part them. Where they cannot be kept they are made anew at the next start.
 */
export class OwnIdentity {
  readonly #o: OwnIdentityOptions;
  #authority: TlsIdentity | null = null;
  #server: TlsIdentity | null = null;

  constructor(options: OwnIdentityOptions) {
    this.#o = options;
  }

  /** For clients to trust, as PEM. */
  get authority(): string {
    return this.#authority?.cert ?? '';
  }

  /** A certificate that is valid, for some time, and for all names of now. */
  async current(): Promise<TlsIdentity> {
    const { clock } = this.#o;
    const names = this.#o.names();
    this.#authority ??= await this.#read('authority.pem');
    this.#server ??= await this.#read('server.pem');
    const nowMs = clock.utcMs();
    if (!this.#authority || !isValid(this.#authority, nowMs, RENEW_BEFORE_MS)) {
      this.#authority = await makeAuthority(names[0] ?? 'device', nowMs);
      this.#server = null;
      await this.#write('authority.pem', this.#authority.key + this.#authority.cert, 0o600);
      await this.#write('authority.crt', this.#authority.cert, 0o644);
    }
    if (this.#server && this.#isGood(this.#server, names, nowMs)) return this.#server;
    this.#server = await makeServer(this.#authority, names, nowMs);
    await this.#write('server.pem', this.#server.key + this.#server.cert, 0o600);
    this.#o.log.info({ names }, 'certificate made');
    return this.#server;
  }

  /** A key, and a certificate for it by which a client says who it is. */
  async client(name: string, validMs: number): Promise<TlsIdentity> {
    await this.current();
    return await makeClient(this.#authority!, name, this.#o.clock.utcMs(), validMs);
  }

  #isGood(server: TlsIdentity, names: readonly string[], nowMs: number): boolean {
    const certificate = new X509Certificate(server.cert);
    const covers = (name: string): boolean =>
      (isIP(name) ? certificate.checkIP(name) : certificate.checkHost(name)) !== undefined;
    const issuer = new X509Certificate(this.authority);
    return (
      isValid(server, nowMs, RENEW_BEFORE_MS) &&
      certificate.checkIssued(issuer) &&
      certificate.verify(issuer.publicKey) &&
      names.every(covers)
    );
  }

  /** null when there is none, or none that makes sense. */
  async #read(name: string): Promise<TlsIdentity | null> {
    const path = join(this.#o.directory, name);
    try {
      const text = await readFile(path, 'utf8');
      const at = text.indexOf('-----BEGIN CERTIFICATE-----');
      const identity = { key: text.slice(0, Math.max(0, at)), cert: text.slice(Math.max(0, at)) };
      if (!belongTogether(identity)) throw new Error('key and certificate do not belong together');
      return identity;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') {
        this.#o.log.warn({ err: error, path }, 'a certificate cannot be used and is made anew');
      }
      return null;
    }
  }

  async #write(name: string, content: string, mode: number): Promise<void> {
    const path = join(this.#o.directory, name);
    try {
      await makeDirectoryDurable(this.#o.directory);
      await replaceFile(path, content, mode);
    } catch (error) {
      this.#o.log.warn({ err: error, path }, 'a certificate cannot be kept; the next start makes another');
    }
  }
}

/** Throws when either makes no sense. */
export const belongTogether = ({ cert, key }: TlsIdentity): boolean =>
  new X509Certificate(cert).checkPrivateKey(createPrivateKey(key));

/** A clock that was wrong when the certificate was made may have put it into the future. */
function isValid({ cert }: TlsIdentity, nowMs: number, forMs: number): boolean {
  const { validFromDate, validToDate } = new X509Certificate(cert);
  return validFromDate.getTime() <= nowMs && nowMs + forMs < validToDate.getTime();
}
