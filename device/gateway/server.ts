import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { WebSocketServer } from 'ws';
import { SESSION_COOKIE, type Caller, type Credentials, type Origin } from '../contract/access.ts';
import type { Door } from '../contract/commands.ts';
import { CodedError, type ErrorCode } from '../contract/errors.ts';
import type { Meter } from '../contract/metrics.ts';
import type { Module } from '../contract/modules.ts';
import type { GatewaySettings } from '../contract/settings.ts';
import type { TlsSource } from '../contract/tls.ts';
import type { Clock } from '../kernel/clock.ts';
import { readBearer } from '../kernel/bearer.ts';
import { readCookie } from '../kernel/cookie.ts';
import { listen } from '../kernel/listen.ts';
import type { Log } from '../kernel/log.ts';
import { RateLimiter } from '../kernel/rate-limit.ts';
import { answerRaw, createSecureServer, refuseNonsense } from '../kernel/secure-server.ts';
import { TaskSet } from '../kernel/tasks.ts';
import { ReplayBuffer } from './buffer.ts';
import { GatewayClient, type ClientContext, type ClientLimits } from './client.ts';
import { CLOSE } from './protocol.ts';

/** A message that the bus has published. */
export interface TappedMessage {
  /** Dotted. */
  readonly topic: string;
  readonly json: string;
}

export interface GatewayOptions {
  readonly settings: GatewaySettings;
  readonly tls: TlsSource;
  readonly access: { authenticate(credentials: Credentials, origin: Origin): Promise<Caller> };
  /** Whether a message of `topic` may be told to `caller`. */
  readonly mayRead: (caller: Caller, topic: string) => boolean;
  /** Whether `topic` fits `glob`; throws when that is not one. */
  readonly matches: (glob: string, topic: string) => boolean;
  readonly door: Door;
  /** Calls `listener` with every message that is published, until disposed of. */
  readonly tap: (listener: (message: TappedMessage) => void) => Disposable;
  readonly clock: Clock;
  readonly log: Log;
  readonly meter: Meter;
  readonly limits?: Partial<GatewayLimits>;
}

export interface GatewayLimits extends ClientLimits {
  /** Connections of any kind at a time, websockets at a time, and those of them that have not said who they are. */
  readonly connections: number;
  readonly clients: number;
  readonly strangers: number;
  readonly requestMs: number;
  readonly requestsPerMinute: number;
  readonly messageBytes: number;
  readonly bufferBytes: number;
  /** How often links are looked at. */
  readonly tickMs: number;
}

export interface Gateway extends AsyncDisposable {
  readonly port: number;
  readonly module: Module;
}

const LIMITS: GatewayLimits = {
  connections: 256,
  clients: 64,
  strangers: 16,
  requestMs: 10_000,
  requestsPerMinute: 240,
  messageBytes: 64 * 1024,
  bufferBytes: 4 * 1024 * 1024,
  clientBytes: 1024 * 1024,
  drainMs: 15_000,
  authMs: 5000,
  messagesPerSecond: 20,
  commandsAtOnce: 8,
  tickMs: 1000,
};

const STATUS: Partial<Record<ErrorCode, number>> = {
  UNAUTHENTICATED: 401,
  CROSS_SITE: 403,
  NOT_FOUND: 404,
  REQUEST_INVALID: 400,
  TOO_MANY_REQUESTS: 429,
};
const FAREWELL_MS = 200;
/** A poll is answered by then, with nothing if there was nothing. */
const POLL_MS = 25_000;

/**
 * Messages of the bus over TLS websockets, and by polling for who has none.
 * Throws PORT_IN_USE, or CONFIG_INVALID when the address cannot be listened on.
 */
export async function serveGateway(options: GatewayOptions): Promise<Gateway> {
  const gateway = new WebsocketGateway(options);
  await gateway.open();
  return gateway;
}

class WebsocketGateway implements Gateway {
  readonly #o: GatewayOptions;
  readonly #limits: GatewayLimits;
  readonly #buffer: ReplayBuffer;
  readonly #server;
  readonly #sockets: WebSocketServer;
  readonly #clients = new Set<GatewayClient>();
  readonly #rates: RateLimiter;
  readonly #tasks: TaskSet;
  readonly #stopping = new AbortController();
  #news = Promise.withResolvers<void>();
  #tap: Disposable | null = null;
  #port = 0;
  #closing: Promise<void> | null = null;

  constructor(options: GatewayOptions) {
    const { settings, tls, log } = options;
    this.#o = options;
    this.#limits = { ...LIMITS, ...options.limits };
    this.#buffer = new ReplayBuffer(settings.bufferSize, this.#limits.bufferBytes);
    this.#rates = new RateLimiter({ maxEvents: this.#limits.requestsPerMinute, perMs: 60_000 });
    this.#tasks = new TaskSet((name, error) => log.error({ err: error, task: name }, 'gateway failed'));
    this.#sockets = new WebSocketServer({
      noServer: true,
      maxPayload: this.#limits.messageBytes,
      perMessageDeflate: false,
    });
    this.#server = createSecureServer(tls, this.#limits, (request, response) => {
      this.#tasks.run('request', () => this.#answer(request, response));
    });
    this.#server.on('upgrade', (request, socket, head) => {
      socket.on('error', () => socket.destroy());
      this.#tasks.run('upgrade', () => this.#upgrade(request, socket, head));
    });
    this.#server.on('clientError', refuseNonsense);
    this.#sockets.on('wsClientError', (error, socket) => {
      this.#refuse(socket, new CodedError('REQUEST_INVALID', error.message));
    });
    this.#server.on('drop', () => this.#drop('too_many_clients'));
  }

  async open(): Promise<void> {
    const { settings, clock, log, tap } = this.#o;
    this.#port = await listen(this.#server, 'websocket gateway', settings.host, settings.port);
    this.#server.on('error', (error) => log.error({ err: error }, 'gateway listener failed'));
    this.#tap = tap((message) => this.#publish(message));
    this.#tasks.run('ticks', async () => {
      const { signal } = this.#stopping;
      while (!signal.aborted) {
        for (const client of this.#clients) client.tick();
        await clock.sleep(this.#limits.tickMs, signal).catch(() => {});
      }
    });
  }

  get port(): number {
    return this.#port;
  }

  get module(): Module {
    const { tls, settings } = this.#o;
    return {
      id: 'modules.dashboard.websocket_gateway',
      instance: null,
      health: () => ({
        status: tls.trouble ? 'degraded' : 'healthy',
        reasons: tls.trouble ? [tls.trouble] : [],
        details: {
          clients: this.#clients.size,
          topics: settings.topics,
          buffer_size: this.#buffer.size,
        },
      }),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing ??= this.#close();
    await this.#closing;
  }

  async #close(): Promise<void> {
    this.#tap?.[Symbol.dispose]();
    this.#stopping.abort();
    const closed = once(this.#server, 'close');
    this.#server.close();
    for (const client of this.#clients) client.close(CLOSE.goingAway, 'the device stops');
    // A moment for farewells; who does not answer is not waited for.
    if (this.#clients.size > 0) await this.#o.clock.sleep(FAREWELL_MS);
    for (const client of this.#clients) client.terminate();
    this.#server.closeAllConnections();
    await closed;
    await this.#tasks.settle();
  }

  /** Never waits, never throws: the bus goes on. */
  #publish({ topic, json }: TappedMessage): void {
    const bytes = Buffer.from(`{"topic":${JSON.stringify(topic)},"payload":${json}}`);
    if (this.#o.settings.topics.some((glob) => this.#o.matches(glob, topic))) {
      this.#buffer.add(topic, bytes);
      this.#news.resolve();
      this.#news = Promise.withResolvers();
    }
    for (const client of this.#clients) client.offer({ topic, bytes });
  }

  async #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    try {
      const { pathname } = addressOf(request);
      if (pathname !== '/ws') throw new CodedError('NOT_FOUND');
      this.#limitRate(request);
      const secret = secretOf(request);
      const caller = secret === null ? null : await this.#authenticate(secret, request);
      const strangers = [...this.#clients].filter(({ isKnown }) => !isKnown).length;
      if (this.#clients.size >= this.#limits.clients || (!caller && strangers >= this.#limits.strangers)) {
        this.#drop('too_many_clients');
        throw new CodedError('TOO_MANY_REQUESTS', 'too many clients');
      }
      if (this.#stopping.signal.aborted || socket.destroyed) return void socket.destroy();
      this.#sockets.handleUpgrade(request, socket, head, (websocket) => {
        const client = new GatewayClient(websocket, this.#context(request));
        this.#clients.add(client);
        this.#countClients();
        websocket.once('close', () => {
          this.#clients.delete(client);
          this.#countClients();
        });
        if (caller && secret !== null) client.welcome(caller, secret);
      });
    } catch (error) {
      this.#refuse(socket, error);
    }
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let status = 200;
    let body: string;
    try {
      body = await this.#page(request, response);
    } catch (error) {
      ({ status, body } = this.#refusal(error));
    }
    response.writeHead(status, {
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(body),
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
    });
    response.end(request.method === 'HEAD' ? undefined : body);
  }

  async #page(request: IncomingMessage, response: ServerResponse): Promise<string> {
    const { pathname, searchParams } = addressOf(request);
    if (request.method !== 'GET' && request.method !== 'HEAD') throw new CodedError('NOT_FOUND');
    this.#limitRate(request);
    const { settings } = this.#o;
    if (pathname === '/health') {
      return JSON.stringify({
        status: 'ok',
        buffer_size: this.#buffer.size,
        topics: settings.topics,
        clients: this.#clients.size,
      });
    }
    if (pathname !== '/events') throw new CodedError('NOT_FOUND');
    const secret = secretOf(request);
    if (secret === null) throw new CodedError('UNAUTHENTICATED');
    const caller = await this.#authenticate(secret, request);
    const limit = wholeOf(searchParams.get('limit') ?? '50', 1, settings.bufferSize, 'limit');
    const after = searchParams.get('after');
    const afterNo = after === null ? 0 : wholeOf(after, 0, Number.MAX_SAFE_INTEGER, 'after');
    const mayRead = (topic: string): boolean => this.#o.mayRead(caller, topic);
    if (after !== null && afterNo === this.#buffer.lastNo) await this.#waitForNews(response);
    // Numbers begin anew when the agent does; who comes with one from before gets all there is.
    const from = afterNo > this.#buffer.lastNo ? 0 : afterNo;
    const events = this.#buffer.last(limit, mayRead, from).map(({ bytes }) => bytes.toString());
    return `{"events":[${events.join(',')}],"next":${this.#buffer.lastNo}}`;
  }

  async #waitForNews(response: ServerResponse): Promise<void> {
    const done = new AbortController();
    const signal = AbortSignal.any([done.signal, this.#stopping.signal]);
    const isGone = once(response, 'close', { signal });
    await Promise.race([this.#news.promise, isGone, this.#o.clock.sleep(POLL_MS, signal)]).catch(() => {});
    done.abort();
    await isGone.catch(() => {});
  }

  async #authenticate(secret: string, { socket }: IncomingMessage): Promise<Caller> {
    const origin: Origin = { surface: 'websocket', address: socket.remoteAddress ?? '' };
    return await this.#o.access.authenticate({ kind: 'bearer', secret }, origin);
  }

  #context(request: IncomingMessage): ClientContext {
    const { clock, door, mayRead, matches, settings } = this.#o;
    return {
      authenticate: (secret) => this.#authenticate(secret, request),
      mayRead,
      matches,
      door,
      buffer: this.#buffer,
      topics: settings.topics,
      keepaliveMs: settings.keepaliveMs,
      limits: this.#limits,
      nowMs: () => clock.monotonicMs(),
      tasks: this.#tasks,
      onDrop: (reason) => this.#drop(reason),
    };
  }

  #limitRate({ socket }: IncomingMessage): void {
    if (!this.#rates.allows(socket.remoteAddress ?? '', this.#o.clock.monotonicMs()))
      throw new CodedError('TOO_MANY_REQUESTS');
  }

  #refuse(socket: Duplex, error: unknown): void {
    const { status, body } = this.#refusal(error);
    answerRaw(socket, status, body);
  }

  #refusal(error: unknown): { status: number; body: string } {
    const coded = CodedError.from(error, 'REQUEST_FAILED');
    const isOurs = coded.code === 'REQUEST_FAILED';
    if (isOurs) this.#o.log.error({ err: error }, 'a request failed');
    const told = isOurs ? new CodedError('REQUEST_FAILED') : coded;
    return { status: STATUS[told.code] ?? 503, body: JSON.stringify({ error: told.report() }) };
  }

  #countClients(): void {
    this.#o.meter.set('spyoncino_gateway_clients', this.#clients.size);
  }

  #drop(reason: string): void {
    this.#o.meter.count('spyoncino_drops_total', { stage: 'gateway', reason });
  }
}

/** Throws REQUEST_INVALID. */
function addressOf({ url }: IncomingMessage): URL {
  const address = URL.parse(url ?? '', 'https://device');
  if (!address) throw new CodedError('REQUEST_INVALID', 'address');
  return address;
}

/**
 * The secret of a token, or of the session of a page of this very host; null when there is none. Throws
 * CROSS_SITE when a page of another one uses what the browser sends by itself.
 */
function secretOf({ headers }: IncomingMessage): string | null {
  const bearer = readBearer(headers.authorization);
  if (bearer !== null) return bearer;
  const cookie = readCookie(headers.cookie, SESSION_COOKIE);
  if (cookie === null || headers.origin === undefined) return cookie;
  const host = URL.parse(`https://${headers.host}`)?.hostname;
  if (URL.parse(headers.origin)?.hostname !== host) throw new CodedError('CROSS_SITE');
  return cookie;
}

function wholeOf(text: string, min: number, max: number, name: string): number {
  const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= min && value <= max) return value;
  throw new CodedError('REQUEST_INVALID', `${name} must be a whole number from ${min} to ${max}`);
}
