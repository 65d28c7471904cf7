import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, type TLSSocket } from 'node:tls';
import type { BusSettings } from '../contract/settings.ts';
import type { TlsIdentity, TlsSource } from '../contract/tls.ts';
import type { Clock } from '../kernel/clock.ts';
import { listen } from '../kernel/listen.ts';
import type { Log } from '../kernel/log.ts';
import { Connection } from './connection.ts';

export interface ListenersOptions {
  readonly host: string;
  readonly port: number;
  readonly tls:
    | (NonNullable<BusSettings['tls']> & {
        readonly certificates: TlsSource;
        /** PEM of who signs certificates of clients; null: none counts. */
        readonly clientCa: string | null;
      })
    | null;
  readonly limits: BusSettings['limits'];
  readonly handshakeMs: number;
  readonly clock: Clock;
  readonly log: Log;
  readonly onConnection: (connection: Connection) => void;
  readonly onDrop: (
    reason: 'too_many_clients' | 'packet_refused' | 'client_throttled' | 'handshake_failed',
  ) => void;
}

/** The open doors of the bus: so many connections altogether, so many from one address, no packet too long. */
export class Listeners implements AsyncDisposable {
  readonly #o: ListenersOptions;
  readonly #servers: Server[] = [];
  readonly #sockets = new Set<Socket>();
  readonly #perAddress = new Map<string, number>();
  #port = 0;
  #tlsPort: number | null = null;
  readonly #closing = new AbortController();

  private constructor(options: ListenersOptions) {
    this.#o = options;
  }

  /** Throws PORT_IN_USE, or CONFIG_INVALID when an address cannot be listened on. */
  static async open(options: ListenersOptions): Promise<Listeners> {
    const listeners = new Listeners(options);
    try {
      await listeners.#openPlain();
      await listeners.#openTls();
    } catch (error) {
      await listeners[Symbol.asyncDispose]();
      throw error;
    }
    return listeners;
  }

  get port(): number {
    return this.#port;
  }

  get tlsPort(): number | null {
    return this.#tlsPort;
  }

  get connections(): number {
    return this.#sockets.size;
  }

  /** Nobody new gets in; who is in stays. */
  close(): void {
    this.#closing.abort();
    for (const server of this.#servers) if (server.listening) server.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = this.#servers.filter(({ listening }) => listening).map((server) => once(server, 'close'));
    this.close();
    for (const socket of this.#sockets) socket.destroy();
    await Promise.all(closed);
  }

  async #openPlain(): Promise<void> {
    const { host, port } = this.#o;
    const server = createServer(SOCKET, (socket) => this.#connect(socket, null));
    this.#port = await this.#listen(server, 'bus', host, port);
  }

  async #openTls(): Promise<void> {
    const { tls, handshakeMs: handshakeTimeout, onDrop, log } = this.#o;
    if (!tls) return;
    const { certificates, clientCa, clientCertificates } = tls;
    // Without a list of its own, TLS would trust the authorities of the web.
    const context = ({ key, cert }: TlsIdentity) => ({
      ...{ key, cert, ca: clientCa ?? [] },
      minVersion: 'TLSv1.2' as const,
    });
    const asked = {
      requestCert: clientCertificates !== 'none',
      rejectUnauthorized: clientCertificates === 'required',
    };
    const server = createTlsServer({
      ...SOCKET,
      ...context(certificates.current),
      ...asked,
      handshakeTimeout,
    });
    server.on('secureConnection', (socket) => this.#connect(socket, certificateOf(socket)));
    server.on('tlsClientError', (error) => {
      onDrop('handshake_failed');
      log.debug({ err: error }, 'a TLS handshake failed');
    });
    this.#tlsPort = await this.#listen(server, 'bus with TLS', tls.host, tls.port);
    certificates.onChange((identity) => {
      try {
        server.setSecureContext(context(identity));
      } catch (error) {
        log.error({ err: error }, 'the new certificate of the bus cannot be used; the old one stays');
      }
    }, this.#closing.signal);
  }

  async #listen(server: Server, what: string, host: string, port: number): Promise<number> {
    this.#servers.push(server);
    // Before anything else hears of it, TLS included.
    server.prependListener('connection', (socket: Socket) => this.#admit(socket));
    const opened = await listen(server, what, host, port);
    server.on('error', (error) => this.#o.log.error({ err: error }, `the listener of ${what} failed`));
    return opened;
  }

  #admit(socket: Socket): void {
    const { connections, connectionsPerAddress } = this.#o.limits;
    const address = addressOf(socket);
    const there = this.#perAddress.get(address) ?? 0;
    if (this.#sockets.size >= connections || there >= connectionsPerAddress) {
      this.#o.onDrop('too_many_clients');
      socket.destroy();
      return;
    }
    this.#sockets.add(socket);
    this.#perAddress.set(address, there + 1);
    socket.once('close', () => {
      this.#sockets.delete(socket);
      const left = (this.#perAddress.get(address) ?? 1) - 1;
      if (left > 0) this.#perAddress.set(address, left);
      else this.#perAddress.delete(address);
    });
  }

  #connect(socket: Socket, certificateSha256: string | null): void {
    if (socket.destroyed) return;
    const { limits, clock, onConnection, onDrop } = this.#o;
    onConnection(
      new Connection({
        socket,
        address: addressOf(socket),
        certificateSha256,
        packetBytes: limits.packetBytes,
        packetsPerSecond: limits.packetsPerSecond,
        clock,
        onPacketRefused: () => onDrop('packet_refused'),
        onThrottled: () => onDrop('client_throttled'),
      }),
    );
  }
}

const SOCKET = { noDelay: true, keepAlive: true } as const;

/** An IPv4 address stays one behind an IPv6 listener. */
const addressOf = ({ remoteAddress = '' }: Socket): string => remoteAddress.replace(/^::ffff:/, '');

function certificateOf(socket: TLSSocket): string | null {
  const { fingerprint256 } = socket.authorized ? socket.getPeerCertificate() : {};
  return fingerprint256?.replaceAll(':', '').toLowerCase() ?? null;
}
