import { watch, type FSWatcher } from 'node:fs';
import { hostname, networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { CodedError, type ErrorReport } from '../contract/errors.ts';
import type { TlsIdentity, TlsSource } from '../contract/tls.ts';
import type { Clock } from '../kernel/clock.ts';
import type { Log } from '../kernel/log.ts';
import { TaskSet } from '../kernel/tasks.ts';
import { OwnIdentity } from './own.ts';
import { Replacement } from './replacement.ts';

/** Names of files in the certificates' directory; the first two as in the original system. */
const SERVERS = ['control-api', 'websocket', 'mqtt'] as const;
export type ServerName = (typeof SERVERS)[number];

export interface TlsOptions {
  readonly stateDir: string;
  /** Where the owner may put other certificates; need not exist. */
  readonly certsDir: string;
  /** Of the device, as clients may call it, now. The first is its title. */
  readonly names: () => readonly string[];
  readonly clock: Clock;
  readonly log: Log;
}

/** Changes that no watch tells of (a link's target, another mount, the calendar, new addresses) are found by then. */
const CHECK_MS = 30_000;
/** A pair of files is copied one after the other. */
const SETTLE_MS = 500;

/** The certificates of all servers of the device, kept up to date while it runs. */
export class Tls implements AsyncDisposable {
  readonly #o: TlsOptions;
  readonly #own: OwnIdentity;
  readonly #sources = new Map<ServerName, Source>();
  readonly #stopping = new AbortController();
  readonly #tasks: TaskSet;
  #watcher: FSWatcher | null = null;
  #wake = Promise.withResolvers<void>();

  private constructor(options: TlsOptions) {
    const { stateDir, names, clock, log } = options;
    this.#o = options;
    this.#own = new OwnIdentity({ directory: join(stateDir, 'tls'), names, clock, log });
    this.#tasks = new TaskSet((name, error) => log.error({ err: error, task: name }, 'certificates failed'));
  }

  static async open(options: TlsOptions): Promise<Tls> {
    const tls = new Tls(options);
    const own = await tls.#own.current();
    for (const name of SERVERS) {
      const source = new Source(new Replacement(options.certsDir, name), own, options.log);
      await source.check(own, options.clock.utcMs());
      tls.#sources.set(name, source);
    }
    tls.#tasks.run('certificates', () => tls.#keep());
    return tls;
  }

  /** The device's own authority, for clients to trust, as PEM. */
  get authority(): string {
    return this.#own.authority;
  }

  of(name: ServerName): TlsSource {
    return this.#sources.get(name)!;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort();
    await this.#tasks.settle();
    this.#watcher?.close();
  }

  async #keep(): Promise<void> {
    const { clock, log } = this.#o;
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      this.#watch();
      const turn = new AbortController();
      await Promise.race([
        this.#wake.promise.then(() => clock.sleep(SETTLE_MS, signal)),
        clock.sleep(CHECK_MS, AbortSignal.any([signal, turn.signal])),
      ]).catch(() => {});
      turn.abort();
      if (signal.aborted) return;
      this.#wake = Promise.withResolvers();
      try {
        const own = await this.#own.current();
        for (const source of this.#sources.values()) await source.check(own, clock.utcMs());
      } catch (error) {
        log.error({ err: error }, 'certificates could not be looked at');
      }
    }
  }

  /** Best effort: without it changes are seen a little later. */
  #watch(): void {
    if (this.#watcher) return;
    const forget = (): void => {
      this.#watcher?.close();
      this.#watcher = null;
    };
    try {
      this.#watcher = watch(this.#o.certsDir, { persistent: false }, () => this.#wake.resolve());
      this.#watcher.on('error', forget);
    } catch {
      forget();
    }
  }
}

export interface ClientCertificateOptions extends Pick<TlsOptions, 'stateDir' | 'names' | 'clock' | 'log'> {
  readonly name: string;
  readonly validMs: number;
}

/** A key, and a certificate for it that the device's own authority signed, for a client to say who it is. */
export async function issueClient(options: ClientCertificateOptions): Promise<TlsIdentity> {
  const { stateDir, name, validMs } = options;
  return await new OwnIdentity({ ...options, directory: join(stateDir, 'tls') }).client(name, validMs);
}

/** One server's: the owner's files where they are good, else what was good before, else the device's own. */
class Source implements TlsSource {
  readonly #replacement: Replacement;
  readonly #log: Log;
  readonly #listeners = new Set<(identity: TlsIdentity) => void>();
  #version: string | null = null;
  #isReplaced = false;
  #current: TlsIdentity;
  #trouble: ErrorReport | null = null;

  constructor(replacement: Replacement, own: TlsIdentity, log: Log) {
    this.#replacement = replacement;
    this.#current = own;
    this.#log = log;
  }

  get current(): TlsIdentity {
    return this.#current;
  }

  get trouble(): ErrorReport | null {
    return this.#trouble;
  }

  onChange(listener: (identity: TlsIdentity) => void, signal: AbortSignal): void {
    this.#listeners.add(listener);
    signal.addEventListener('abort', () => this.#listeners.delete(listener), { once: true });
  }

  async check(own: TlsIdentity, nowUtcMs: number): Promise<void> {
    const version = await this.#replacement.version();
    if (version !== this.#version) {
      this.#version = version;
      if (version === null) {
        this.#isReplaced = false;
        this.#trouble = null;
      } else await this.#take(nowUtcMs);
    }
    if (!this.#isReplaced) this.#become(own);
  }

  async #take(nowUtcMs: number): Promise<void> {
    try {
      this.#become(await this.#replacement.read(nowUtcMs));
      this.#isReplaced = true;
      this.#trouble = null;
    } catch (error) {
      this.#trouble = CodedError.from(error, 'CERTIFICATE_INVALID').report();
      this.#log.warn({ err: error }, 'a certificate is refused; the one from before stays');
    }
  }

  #become(identity: TlsIdentity): void {
    if (identity.cert === this.#current.cert && identity.key === this.#current.key) return;
    this.#current = identity;
    for (const listener of this.#listeners) listener(identity);
  }
}

/**
 * What clients may call this device, now. IPv6 addresses are left out: those of a device change by the day, and a
 * certificate with them.
 */
export function hostNames(): readonly string[] {
  const own = hostname().toLowerCase();
  const isName = /^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$/.test(own);
  const names = isName ? [own, `${own.split('.')[0]}.local`] : [];
  const addresses = Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .filter(({ internal, family }) => !internal && family === 'IPv4')
    .map(({ address }) => address);
  return [
    ...new Set([...names, 'spyoncino.local', 'localhost', '127.0.0.1', '::1', ...addresses.toSorted()]),
  ];
}
