import { once } from 'node:events';
import { connect as connectTcp, type Socket } from 'node:net';
import { pino } from 'pino';
import { expect, test } from 'vitest';
import { createMeter, mergeMetrics, serveMetrics, type MetricsServer } from '../../device/health/index.ts';
import { parseMetrics } from '../unit/health/metrics-text.ts';

const log = pino({ level: 'silent' });
const isReady = (): boolean => true;

const serve = (
  collect: () => Promise<string> = async () => 'up 1\n',
  idleMs?: number,
): Promise<MetricsServer> =>
  serveMetrics({
    host: '127.0.0.1',
    port: 0,
    collect,
    isReady,
    log,
    ...(idleMs === undefined ? {} : { idleMs }),
  });

const ask = ({ port }: MetricsServer, path: string, method = 'GET'): Promise<Response> =>
  fetch(`http://127.0.0.1:${port}${path}`, { method, headers: { connection: 'close' } });

async function connectRaw({ port }: MetricsServer): Promise<Socket & Disposable> {
  const socket = connectTcp({ host: '127.0.0.1', port });
  socket.on('error', () => {});
  await once(socket, 'connect');
  return Object.assign(socket, { [Symbol.dispose]: () => socket.destroy() });
}

test('a scrape reads the numbers of now', async () => {
  using meter = createMeter({ process: 'agent' });
  await using server = await serve(() => mergeMetrics(meter.registry, []));
  const frames = async (): Promise<number | undefined> => {
    const response = await ask(server, '/metrics?from=prometheus');
    expect(response.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
    return parseMetrics(await response.text())
      .get('spyoncino_frames_total')
      ?.samples.get('spyoncino_frames_total{process="agent"}');
  };
  meter.count('spyoncino_frames_total');
  expect(await frames()).toBe(1);
  meter.count('spyoncino_frames_total');
  expect(await frames()).toBe(2);
});

test('health is a question with a short answer', async () => {
  await using server = await serve();
  const response = await ask(server, '/health');
  expect(response.headers.get('content-type')).toBe('application/json');
  expect(await response.json()).toEqual({ status: 'ok' });
});

test.each([
  ['HEAD', '/metrics', 200],
  ['HEAD', '/health', 200],
  ['POST', '/metrics', 405],
  ['DELETE', '/health', 405],
  ['GET', '/', 404],
  ['GET', '/metrics/x', 404],
  ['GET', '//metrics', 404],
])('%s %s is answered with %i', async (method, path, status) => {
  await using server = await serve();
  const response = await ask(server, path, method);
  expect(response.status).toBe(status);
  if (status === 405) expect(response.headers.get('allow')).toBe('GET, HEAD');
  if (method === 'HEAD') {
    expect(await response.text()).toBe('');
    expect(Number(response.headers.get('content-length'))).toBeGreaterThan(0);
  }
});

test('however many scrape at once, the numbers are collected once', async () => {
  const go = Promise.withResolvers<void>();
  let collected = 0;
  let asked = 0;
  await using server = await serve(async () => {
    collected += 1;
    await go.promise;
    return 'up 1\n';
  });
  const answers = Array.from({ length: 5 }, async () => {
    asked += 1;
    return await (await ask(server, '/metrics')).text();
  });
  await expect.poll(() => collected).toBe(1);
  // All connections stand once another path answers on a later one.
  await ask(server, '/health');
  go.resolve();
  expect(new Set(await Promise.all(answers))).toEqual(new Set(['up 1\n']));
  expect([asked, collected]).toEqual([5, 1]);
});

test('numbers that cannot be collected are a 500, and the next scrape is not spoilt', async () => {
  let broken = true;
  await using server = await serve(async () => {
    if (broken) throw new Error('a child answers nonsense');
    return 'up 1\n';
  });
  const failed = await ask(server, '/metrics');
  expect(failed.status).toBe(500);
  expect(await failed.text()).not.toContain('nonsense');
  broken = false;
  expect((await ask(server, '/metrics')).status).toBe(200);
});

/** Begins a request and never ends it; resolves when the server has had enough. */
async function askForever(server: MetricsServer): Promise<void> {
  using asking = await connectRaw(server);
  asking.resume();
  asking.write('GET /metrics HT');
  await once(asking, 'close');
}

test('who never finishes asking is let go', async () => {
  await using server = await serve(undefined, 100);
  await askForever(server);
  expect((await ask(server, '/health')).status).toBe(200);
});

test('who never finishes reading is let go', async () => {
  const page = 'x'.repeat(32 << 20);
  await using server = await serve(async () => page, 100);
  using reading = await connectRaw(server);
  reading.write('GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n');
  await once(reading, 'readable');
  // The patience of the server passes, several times over.
  for (let round = 0; round < 4; round++) await askForever(server);
  let bytes = 0;
  reading.on('data', (chunk: Buffer) => (bytes += chunk.length));
  await once(reading, 'close');
  expect(bytes).toBeLessThan(page.length);
});

test('probes tell life from readiness', async () => {
  let isReady = false;
  await using server = await serveMetrics({
    host: '127.0.0.1',
    port: 0,
    collect: async () => '',
    isReady: () => isReady,
    log,
  });
  const status = async (path: string): Promise<number> => (await ask(server, path)).status;
  expect([await status('/health/live'), await status('/health/ready')]).toEqual([200, 503]);
  isReady = true;
  expect(await status('/health/ready')).toBe(200);
});

test('a port that is taken is named', async () => {
  await using server = await serve();
  const options = { port: server.port, collect: async () => '', isReady, log };
  await expect(serveMetrics({ ...options, host: '127.0.0.1' })).rejects.toMatchObject({
    code: 'PORT_IN_USE',
  });
  await expect(serveMetrics({ ...options, host: '192.0.2.1' })).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
  });
});

test('a closed server cuts everyone off and leaves the port free', async () => {
  const server = await serve();
  using idle = await connectRaw(server);
  idle.resume();
  const gone = once(idle, 'close');
  await Promise.all([server[Symbol.asyncDispose](), server[Symbol.asyncDispose]()]);
  await gone;
  await using again = await serveMetrics({
    host: '127.0.0.1',
    port: server.port,
    collect: async () => '',
    isReady,
    log,
  });
  expect(again.port).toBe(server.port);
});
