/** Both web surfaces over real TLS, with a real list of users and a real door; behind it stand working models. */
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { WebSocket, type ClientOptions, type RawData } from 'ws';
import { matches } from '../../device/bus/index.ts';
import { mayActAs, ROLES, type AuditLine, type Role } from '../../device/contract/access.ts';
import { COMMANDS, type CommandName } from '../../device/contract/commands.ts';
import { CodedError } from '../../device/contract/errors.ts';
import type { ClipSummary, EventRecord } from '../../device/contract/library.ts';
import { noMeter } from '../../device/contract/metrics.ts';
import type { GatewaySettings } from '../../device/contract/settings.ts';
import { Access, CommandDoor, type Handlers, type Order } from '../../device/control/index.ts';
import { serveControlApi, type ControlApiOptions } from '../../device/dashboard/index.ts';
import { serveGateway, type GatewayOptions, type TappedMessage } from '../../device/gateway/index.ts';
import { systemClock } from '../../device/kernel/clock.ts';
import { Tls } from '../../device/tls/index.ts';

export const log = pino({ level: 'silent' });
export const PASSWORD = 'correct horse battery';
export const CLIP_BYTES = Buffer.from(Array.from({ length: 1000 }, (_, i) => i % 251));

export interface Device extends AsyncDisposable {
  readonly folder: string;
  readonly authority: string;
  readonly tls: Tls;
  readonly access: Access;
  readonly door: CommandDoor;
  readonly orders: Order[];
  readonly audit: AuditLine[];
  /** Secrets of tokens, one of each role. */
  readonly tokens: Readonly<Record<Role, string>>;
  /** The code on the console, as long as there is no owner. */
  readonly code: string;
}

export async function startDevice({ owned = true } = {}): Promise<Device> {
  const folder = await mkdtemp(join(tmpdir(), 'spyoncino-web-'));
  const stateDir = join(folder, 'state');
  let code = '';
  const [tls, access] = await Promise.all([
    Tls.open({
      stateDir,
      certsDir: join(folder, 'certs'),
      names: () => ['attic', 'localhost', '127.0.0.1'],
      clock: systemClock,
      log,
    }),
    Access.open({ stateDir, clock: systemClock, onSetupCode: (shown) => (code = shown ?? '') }),
  ]);
  const tokens = { viewer: '', operator: '', admin: '' };
  if (owned) {
    await access.claim(code, 'ada', PASSWORD, { surface: 'cli', address: '' });
    for (const role of ROLES) tokens[role] = await access.addToken(`${role}-token`, role, null);
  }
  const orders: Order[] = [];
  const audit: AuditLine[] = [];
  const handle = (name: string) => (order: Order) => {
    orders.push(order);
    if (order.cameraId === 'nowhere') throw new CodedError('CAMERA_UNKNOWN', order.cameraId);
    if (order.cameraId === 'broken') throw new Error('secret inner words');
    return { did: name };
  };
  const handlers = Object.fromEntries(
    (Object.keys(COMMANDS) as CommandName[]).map((name) => [name, handle(name)]),
  ) as unknown as Handlers;
  const door = new CommandDoor({ handlers, audit: (line) => audit.push(line), clock: systemClock, log });
  return {
    folder,
    authority: tls.authority,
    tls,
    access,
    door,
    orders,
    audit,
    tokens,
    code,
    async [Symbol.asyncDispose]() {
      await tls[Symbol.asyncDispose]();
      await rm(folder, { recursive: true });
    },
  };
}

const clipOf = (clipId: string, path: string | null): ClipSummary => ({
  clipId,
  cameraId: 'porch',
  eventIds: ['e1'],
  startUtcMs: 1000,
  endUtcMs: 2000,
  path,
  sizeBytes: 1000,
  sha256: null,
  isProtected: false,
  isUploaded: false,
});

export const EVENT: EventRecord = {
  eventId: 'e1',
  cameraId: 'porch',
  label: 'person',
  score: 0.9,
  zones: ['door'],
  startUtcMs: 1000,
  endUtcMs: null,
  stillPath: 'media/stills/e1.jpg',
  clipId: 'c1',
  isProtected: false,
  state: {} as EventRecord['state'],
};

export async function startApi(device: Device, options: Partial<ControlApiOptions> = {}) {
  const media = join(device.folder, 'data', 'media');
  await mkdir(join(media, 'clips'), { recursive: true });
  await mkdir(join(media, 'stills'), { recursive: true });
  await writeFile(join(media, 'clips', 'c1.mp4'), CLIP_BYTES);
  await writeFile(join(media, 'stills', 'e1.jpg'), 'a jpeg');
  await writeFile(join(device.folder, 'data', 'secret.mp4'), 'not footage');
  const clips = new Map(
    [
      clipOf('c1', 'media/clips/c1.mp4'),
      clipOf('gone', 'media/clips/gone.mp4'),
      clipOf('outside', 'media/../secret.mp4'),
      clipOf('range', null),
    ].map((clip) => [clip.clipId, clip]),
  );
  const api = await serveControlApi({
    host: '127.0.0.1',
    port: 0,
    tls: device.tls.of('control-api'),
    authority: () => device.tls.authority,
    access: device.access,
    door: device.door,
    audit: (line) => device.audit.push(line),
    footage: {
      listEvents: async ({ limit }) => ({
        items: [EVENT].slice(0, limit),
        next: { startUtcMs: 1000, no: 7 },
      }),
      getEvent: async (id) => (id === 'e1' ? EVENT : null),
      listClips: async () => ({ items: [...clips.values()], next: null }),
      getClip: async (id) => clips.get(id) ?? null,
      timeline: async (query) => ({
        ...query,
        coverage: [{ startUtcMs: 1, endUtcMs: 2 }],
        gaps: [{ startUtcMs: 2, endUtcMs: 3, reason: new CodedError('AGENT_OFF').report() }],
        events: [EVENT],
      }),
    },
    dataDir: join(device.folder, 'data'),
    cameras: () => [{ cameraId: 'porch', name: 'Porch', enabled: true, status: null }],
    health: () => ({ status: 'healthy', modules: {}, details: {} }),
    ready: () => ({ ready: false, reasons: [new CodedError('DISK_FULL').report()] }),
    config: () => ({ fingerprint: 'f'.repeat(64), data: {} }),
    configHistory: async () => [{ fingerprint: 'f'.repeat(64), author: 'ada', utcMs: 1, changes: [] }],
    clock: systemClock,
    log,
    ...options,
  });
  const call = (method: string, path: string, more: Partial<Ask> = {}): Promise<Reply> =>
    ask({ port: api.port, ca: device.authority, method, path, ...more });
  return { api, call, [Symbol.asyncDispose]: () => api[Symbol.asyncDispose]() };
}

export async function startGateway(
  device: Device,
  settings: Partial<GatewaySettings> = {},
  options: Partial<GatewayOptions> = {},
) {
  const listeners = new Set<(message: TappedMessage) => void>();
  const gateway = await serveGateway({
    settings: {
      host: '127.0.0.1',
      port: 0,
      topics: ['status.*'],
      bufferSize: 50,
      keepaliveMs: 60_000,
      ...settings,
    },
    tls: device.tls.of('websocket'),
    access: device.access,
    mayRead: (caller, topic) => !topic.startsWith('secret.') || mayActAs(caller.role, 'admin'),
    matches,
    door: device.door,
    tap: (listener) => {
      listeners.add(listener);
      return { [Symbol.dispose]: () => void listeners.delete(listener) };
    },
    clock: systemClock,
    log,
    meter: noMeter,
    ...options,
  });
  return {
    gateway,
    get taps(): number {
      return listeners.size;
    },
    publish(topic: string, payload: unknown): void {
      for (const listener of listeners) listener({ topic, json: JSON.stringify(payload) });
    },
    call: (method: string, path: string, more: Partial<Ask> = {}): Promise<Reply> =>
      ask({ port: gateway.port, ca: device.authority, method, path, ...more }),
    connect: (options: ClientOptions = {}): Listener =>
      listenTo(new WebSocket(`wss://localhost:${gateway.port}/ws`, { ca: device.authority, ...options })),
    [Symbol.asyncDispose]: () => gateway[Symbol.asyncDispose](),
  };
}

export interface Listener {
  readonly socket: WebSocket;
  readonly messages: Record<string, unknown>[];
  send(message: unknown): void;
  /** The first message, past or to come, that has these fields. */
  heard(fields: Record<string, unknown>): Promise<Record<string, unknown>>;
  readonly opened: Promise<unknown>;
  /** The code by which the link was closed. */
  readonly closed: Promise<number>;
  /** The answer to a refused upgrade. */
  readonly refused: Promise<{ readonly status: number; readonly body: string }>;
}

function listenTo(socket: WebSocket): Listener {
  const messages: Record<string, unknown>[] = [];
  socket.on('error', () => {});
  socket.on('message', (data: RawData) => {
    messages.push(JSON.parse((data as Buffer).toString()) as Record<string, unknown>);
  });
  const refusal = Promise.withResolvers<{ status: number; body: string }>();
  socket.on('unexpected-response', (_request, response) => {
    let body = '';
    response.on('data', (text: Buffer) => (body += text.toString()));
    response.on('end', () => refusal.resolve({ status: response.statusCode ?? 0, body }));
  });
  const has = (fields: Record<string, unknown>) => (message: Record<string, unknown>) =>
    Object.entries(fields).every(([key, value]) => message[key] === value);
  return {
    socket,
    messages,
    send: (message) => socket.send(typeof message === 'string' ? message : JSON.stringify(message)),
    async heard(fields) {
      for (;;) {
        const found = messages.find(has(fields));
        if (found) return found;
        await once(socket, 'message');
      }
    },
    opened: new Promise((resolve) => socket.once('open', resolve)),
    closed: new Promise((resolve) => socket.once('close', (code) => resolve(code))),
    refused: refusal.promise,
  };
}

export interface Ask {
  readonly port: number;
  readonly ca: string;
  readonly method: string;
  readonly path: string;
  readonly token: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Sent as JSON, or as it is when it is a string. */
  readonly body: unknown;
}

export interface Reply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  readonly bytes: Buffer;
  /** Parsed; undefined where there is none. */
  readonly json: unknown;
}

export async function ask(
  options: Partial<Ask> & Pick<Ask, 'port' | 'ca' | 'method' | 'path'>,
): Promise<Reply> {
  const { port, ca, method, path, token, headers = {}, body } = options;
  const text = body === undefined || typeof body === 'string' ? body : JSON.stringify(body);
  const sent = request({
    host: '127.0.0.1',
    servername: 'localhost',
    port,
    ca,
    method,
    path,
    agent: false,
    headers: {
      ...(token && { authorization: `Bearer ${token}` }),
      ...(text !== undefined && { 'content-type': 'application/json' }),
      ...headers,
    },
  });
  sent.end(text);
  const [response] = (await once(sent, 'response')) as [IncomingMessage];
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  const bytes = Buffer.concat(chunks);
  const isJson = response.headers['content-type']?.includes('application/json') && bytes.length > 0;
  return {
    status: response.statusCode ?? 0,
    headers: response.headers,
    text: bytes.toString(),
    bytes,
    json: isJson ? JSON.parse(bytes.toString()) : undefined,
  };
}
