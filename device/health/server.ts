import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { listen } from '../kernel/listen.ts';
import type { Log } from '../kernel/log.ts';

export interface MetricsServer extends AsyncDisposable {
  readonly port: number;
}

export interface MetricsServerOptions {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** The numbers of now, in Prometheus' text format. */
  readonly collect: () => Promise<string>;
  /** Whether the agent does what it is there for. */
  readonly isReady: () => boolean;
  readonly log: Log;
  /** A connection on which nothing moves for this long is closed. */
  readonly idleMs?: number;
}

interface Page {
  readonly status: number;
  readonly type: string;
  readonly body: string;
  readonly headers?: Readonly<Record<string, string>>;
}

const MAX_CONNECTIONS = 32;

/**
 * `GET /metrics` for Prometheus, `GET /health` (or `/health/live`) for whoever asks whether the agent is alive,
 * `GET /health/ready` (503 while not) for who asks whether it does its work.
 * Throws PORT_IN_USE, or CONFIG_INVALID when the address cannot be listened on.
 */
export async function serveMetrics(options: MetricsServerOptions): Promise<MetricsServer> {
  const { host, port, log, idleMs = 10_000 } = options;
  const collect = shared(options.collect);
  const server = createServer(
    { maxHeaderSize: 8192, headersTimeout: idleMs, requestTimeout: idleMs, keepAliveTimeout: idleMs },
    (request, response) => {
      page(request, collect, options.isReady)
        .catch((error: unknown): Page => {
          log.error({ err: error }, 'metrics could not be collected');
          return plain(500, 'metrics could not be collected\n');
        })
        .then((answer) => send(request, response, answer))
        .catch((error: unknown) => log.error({ err: error }, 'metrics could not be sent'));
    },
  );
  server.maxConnections = MAX_CONNECTIONS;
  // Covers readers that stop reading as well; Node then destroys the socket.
  server.timeout = idleMs;
  const openPort = await listen(server, 'metrics', host, port);
  server.on('error', (error) => log.error({ err: error }, 'metrics listener failed'));

  let closed: Promise<void> | null = null;
  async function close(): Promise<void> {
    const released = once(server, 'close');
    server.close();
    server.closeAllConnections();
    await released;
  }
  return {
    port: openPort,
    async [Symbol.asyncDispose]() {
      closed ??= close();
      await closed;
    },
  };
}

async function page(
  { method, url = '/' }: IncomingMessage,
  collect: () => Promise<string>,
  isReady: () => boolean,
): Promise<Page> {
  const path = url.split('?', 1)[0] ?? '';
  if (!PATHS.has(path)) return plain(404, `see ${[...PATHS].join(', ')}\n`);
  if (method !== 'GET' && method !== 'HEAD') {
    return { ...plain(405, 'read only\n'), headers: { allow: 'GET, HEAD' } };
  }
  switch (path) {
    case '/metrics':
      return { status: 200, type: 'text/plain; version=0.0.4; charset=utf-8', body: await collect() };
    case '/health/ready':
      return isReady() ? state(200, 'ok') : state(503, 'not ready');
    default:
      return state(200, 'ok');
  }
}

const PATHS = new Set(['/metrics', '/health', '/health/live', '/health/ready']);

const state = (status: number, text: string): Page => ({
  status,
  type: 'application/json',
  body: JSON.stringify({ status: text }),
});

const plain = (status: number, body: string): Page => ({
  status,
  type: 'text/plain; charset=utf-8',
  body,
});

function send(
  { method }: IncomingMessage,
  response: ServerResponse,
  { status, type, body, headers }: Page,
): void {
  response.writeHead(status, {
    'content-type': type,
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
    ...headers,
  });
  response.end(method === 'HEAD' ? undefined : body);
}

/** However many ask at a time, `work` runs once at a time, and all of them get its answer. */
function shared<T>(work: () => Promise<T>): () => Promise<T> {
  let running: Promise<T> | null = null;
  return () => {
    running ??= work().finally(() => {
      running = null;
    });
    return running;
  };
}
