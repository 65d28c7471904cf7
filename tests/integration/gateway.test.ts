import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:tls';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ERRORS } from '../../device/contract/errors.ts';
import { CountingMeter } from './bus-fixture.ts';
import { startApi, startDevice, startGateway, PASSWORD, type Device } from './web-fixture.ts';

let device: Device;
beforeAll(async () => {
  device = await startDevice();
});
afterAll(() => device[Symbol.asyncDispose]());

const bearer = (token: string) => ({ headers: { authorization: `Bearer ${token}` } });
const viewer = () => bearer(device.tokens.viewer);

test('as the runbook asks: /health; and nothing else without saying who asks', async () => {
  await using rig = await startGateway(device);
  rig.publish('status.bus', { depth: 1 });
  expect(await rig.call('GET', '/health')).toMatchObject({
    status: 200,
    json: { status: 'ok', buffer_size: 1, topics: ['status.*'], clients: 0 },
  });
  expect(await rig.call('GET', '/events')).toMatchObject({
    status: 401,
    json: { error: { code: 'UNAUTHENTICATED' } },
  });
  expect((await rig.call('GET', '/other')).status).toBe(404);
  expect((await rig.call('POST', '/health')).status).toBe(404);
});

test('who comes later hears what is kept, then what happens, as topic and payload', async () => {
  await using rig = await startGateway(device);
  rig.publish('status.bus', { depth: 1 });
  rig.publish('event.new', { event_id: 'e0' });
  const client = rig.connect(viewer());
  await client.heard({ topic: 'status.bus' });
  rig.publish('event.new', { event_id: 'e1' });
  rig.publish('status.health.summary', { status: 'healthy' });
  await client.heard({ topic: 'status.health.summary' });
  expect(client.messages).toEqual([
    { type: 'ready', user: 'viewer-token', role: 'viewer', topics: ['status.*'] },
    { topic: 'status.bus', payload: { depth: 1 } },
    { topic: 'status.health.summary', payload: { status: 'healthy' } },
  ]);
});

test('a session of the control API counts here too, but not from pages of other hosts', async () => {
  await using api = await startApi(device);
  await using rig = await startGateway(device);
  const login = await api.call('POST', '/api/login', { body: { name: 'ada', password: PASSWORD } });
  const cookie = login.headers['set-cookie']?.[0]?.split(';')[0] ?? '';
  const own = rig.connect({ headers: { cookie, origin: `https://localhost:${api.api.port}` } });
  expect(await own.heard({ type: 'ready' })).toMatchObject({ user: 'ada', role: 'admin' });
  const foreign = rig.connect({ headers: { cookie, origin: 'https://evil.example' } });
  expect(await foreign.refused).toMatchObject({ status: 403 });
});

test('a client may say who it is in its first message; before that it hears and gets nothing', async () => {
  await using rig = await startGateway(device);
  rig.publish('status.bus', {});
  const client = rig.connect();
  await client.opened;
  rig.publish('status.bus', {});
  client.send({ type: 'command', command: 'recordings.list' });
  client.send({ type: 'subscribe', topics: ['*'], replay: 10 });
  await client.heard({ type: 'error' });
  client.send({ type: 'auth', token: device.tokens.operator });
  await client.heard({ type: 'ready' });
  const types = client.messages.map(({ type, topic }) => type ?? topic);
  expect(types.slice(0, 3)).toEqual(['error', 'error', 'ready']);
});

test('who does not say who it is, or says it wrong, is sent away', async () => {
  await using rig = await startGateway(device, {}, { limits: { authMs: 100, tickMs: 20 } });
  expect(await rig.connect().closed).toBe(4401);
  const wrong = rig.connect();
  await wrong.opened;
  wrong.send({ type: 'auth', token: 'spy_wrong' });
  expect(await wrong.closed).toBe(4401);
  expect(wrong.messages).toMatchObject([{ type: 'error', error: { code: 'UNAUTHENTICATED' } }]);
  const refused = await rig.connect(bearer('spy_wrong')).refused;
  expect([refused.status, refused.body]).toEqual([401, expect.stringContaining('UNAUTHENTICATED')]);
});

test('filters by glob, with as much replay as is asked for', async () => {
  await using rig = await startGateway(device, { topics: ['*'] });
  for (const depth of [1, 2, 3]) rig.publish('status.bus', { depth });
  const client = rig.connect(viewer());
  await client.heard({ type: 'ready' });
  client.messages.length = 0;
  client.send({ type: 'subscribe', topics: ['status.*', 'event.new'], replay: 2 });
  await client.heard({ type: 'subscribed' });
  rig.publish('motion.start', {});
  rig.publish('event.new', { event_id: 'e1' });
  await client.heard({ topic: 'event.new' });
  const after = client.messages.slice(client.messages.findIndex(({ type }) => type === 'subscribed') + 1);
  expect(after.map(({ topic, payload }) => [topic, payload])).toEqual([
    ['status.bus', { depth: 2 }],
    ['status.bus', { depth: 3 }],
    ['event.new', { event_id: 'e1' }],
  ]);
  client.send({ type: 'subscribe', topics: ['event.#'] });
  expect(await client.heard({ type: 'error' })).toMatchObject({ error: { code: 'REQUEST_INVALID' } });
});

test('what a role may not read it does not hear: live, in the replay, or by polling', async () => {
  await using rig = await startGateway(device, { topics: ['*'] });
  rig.publish('secret.thing', { n: 1 });
  const [low, high] = [rig.connect(viewer()), rig.connect(bearer(device.tokens.admin))];
  await high.heard({ topic: 'secret.thing' });
  await low.heard({ type: 'ready' });
  rig.publish('secret.thing', { n: 2 });
  rig.publish('status.bus', {});
  await low.heard({ topic: 'status.bus' });
  expect(low.messages.some(({ topic }) => topic === 'secret.thing')).toBe(false);
  const polled = await rig.call('GET', '/events', { token: device.tokens.viewer });
  expect(polled.json).toMatchObject({ events: [{ topic: 'status.bus' }] });
});

test('a command is answered to who asked, and to nobody else', async () => {
  await using rig = await startGateway(device);
  const [asker, other] = [rig.connect(bearer(device.tokens.operator)), rig.connect(viewer())];
  await Promise.all([asker, other].map((client) => client.heard({ type: 'ready' })));
  asker.send({
    type: 'command',
    command: 'camera.state',
    camera_id: 'porch',
    arguments: { enabled: true },
    request_id: 'r1',
  });
  expect(await asker.heard({ type: 'result' })).toEqual({
    type: 'result',
    request_id: 'r1',
    command: 'camera.state',
    ok: true,
    result: { did: 'camera.state' },
  });
  expect(device.audit.at(-1)?.caller).toEqual({
    user: 'operator-token',
    role: 'operator',
    surface: 'websocket',
  });
  other.send({ type: 'command', command: 'camera.state', camera_id: 'porch', arguments: { enabled: true } });
  expect(await other.heard({ type: 'result' })).toMatchObject({ ok: false, error: { code: 'FORBIDDEN' } });
  expect(other.messages).toHaveLength(2);
});

test('keepalives come; who does not answer pings is gone; who is removed hears no more', async () => {
  await using rig = await startGateway(device, { keepaliveMs: 100 }, { limits: { tickMs: 20 } });
  const secret = await device.access.addToken('short-lived', 'viewer', null);
  const client = rig.connect(bearer(secret));
  await client.heard({ type: 'keepalive' });
  const dead = rig.connect({ ...viewer(), autoPong: false });
  await dead.opened;
  expect(await dead.closed).toBe(1006);
  await device.access.remove('short-lived');
  expect(await client.closed).toBe(4401);
});

test('a client that stops reading loses the oldest messages and is told how many; others lose none', async () => {
  const meter = new CountingMeter();
  await using rig = await startGateway(device, {}, { meter, limits: { clientBytes: 200_000 } });
  const [slow, quick] = [rig.connect(viewer()), rig.connect(viewer())];
  await Promise.all([slow, quick].map((client) => client.heard({ type: 'ready' })));
  slow.socket.pause();
  const filling = 'x'.repeat(100_000);
  let count = 0;
  while (!meter.counts.get('spyoncino_drops_total{gateway,client_slow}')) {
    rig.publish('status.bus', { count: ++count, filling });
    // What who reads well has taken before the next cannot be too much for it.
    while (quick.messages.length < count + 1) await once(quick.socket, 'message');
    expect(count).toBeLessThan(2000);
  }
  slow.socket.resume();
  const { count: dropped } = await slow.heard({ type: 'dropped' });
  rig.publish('status.bus', { count: 'last' });
  while (!slow.messages.some(({ payload }) => (payload as { count?: unknown })?.count === 'last'))
    await once(slow.socket, 'message');
  const numbers = slow.messages.flatMap(
    ({ payload }) => (payload as { count?: number } | undefined)?.count ?? [],
  );
  expect(numbers.length - 1 + Number(dropped)).toBe(count);
  expect(numbers).toEqual([...new Set(numbers)]);
});

test('a client that takes nothing for too long loses the link', async () => {
  const meter = new CountingMeter();
  const limits = { clientBytes: 100_000, drainMs: 200, tickMs: 20 };
  await using rig = await startGateway(device, {}, { meter, limits });
  const slow = rig.connect(viewer());
  await slow.heard({ type: 'ready' });
  slow.socket.pause();
  const filling = 'x'.repeat(200_000);
  while (rig.gateway.module.health().details['clients'] === 1) {
    rig.publish('status.bus', { filling });
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect(meter.counts.get('spyoncino_drops_total{gateway,client_frozen}')).toBe(1);
});

test('floods end the link, too large messages too; the others do not notice', async () => {
  await using rig = await startGateway(device);
  const [flood, large, calm] = [rig.connect(viewer()), rig.connect(viewer()), rig.connect(viewer())];
  await Promise.all([flood, large, calm].map((client) => client.heard({ type: 'ready' })));
  for (let i = 0; i < 100; i++) flood.send({ type: 'subscribe', topics: [] });
  large.send('x'.repeat(70_000));
  expect(await flood.closed).toBe(1008);
  expect(await large.closed).toBe(1009);
  rig.publish('status.bus', {});
  await calm.heard({ topic: 'status.bus' });
});

test('strangers are few, and clients are not many', async () => {
  await using rig = await startGateway(device, {}, { limits: { strangers: 2, clients: 3 } });
  const strangers = [rig.connect(), rig.connect()];
  await Promise.all(strangers.map(({ opened }) => opened));
  expect((await rig.connect().refused).status).toBe(429);
  await rig.connect(viewer()).heard({ type: 'ready' });
  expect((await rig.connect(viewer()).refused).status).toBe(429);
  expect(rig.gateway.module.health()).toEqual({
    status: 'healthy',
    reasons: [],
    details: { clients: 3, topics: ['status.*'], buffer_size: 0 },
  });
});

test('500 idle connections: whoever is connected hears on, and when they go others come in', async () => {
  await using rig = await startGateway(device);
  const client = rig.connect(viewer());
  await client.heard({ type: 'ready' });
  const idle = await Promise.all(
    Array.from({ length: 500 }, async () => {
      const socket = connect({
        port: rig.gateway.port,
        host: '127.0.0.1',
        ca: device.authority,
        servername: 'localhost',
      });
      // More than a hundred are refused.
      socket.on('error', () => {});
      await new Promise((resolve) => socket.once('secureConnect', resolve).once('close', resolve));
      return socket;
    }),
  );
  rig.publish('status.bus', {});
  await client.heard({ topic: 'status.bus' });
  for (const socket of idle) socket.destroy();
  await expect.poll(async () => (await rig.call('GET', '/health').catch(() => null))?.status).toBe(200);
});

test('polling: the newest, what came since, and waiting for it', async () => {
  await using rig = await startGateway(device);
  const poll = async (query: string) =>
    (await rig.call('GET', `/events${query}`, { token: device.tokens.viewer })).json;
  for (const depth of [1, 2, 3]) rig.publish('status.bus', { depth });
  expect(await poll('?limit=2')).toEqual({
    events: [
      { topic: 'status.bus', payload: { depth: 2 } },
      { topic: 'status.bus', payload: { depth: 3 } },
    ],
    next: 3,
  });
  expect(await poll('?after=2')).toMatchObject({ events: [{ payload: { depth: 3 } }], next: 3 });
  const waiting = poll('?after=3');
  while (rig.taps === 0) await new Promise((resolve) => setImmediate(resolve));
  const news = setInterval(() => rig.publish('status.bus', { depth: 4 }), 20);
  expect(await waiting).toMatchObject({ events: [{ payload: { depth: 4 } }] });
  clearInterval(news);
  // A number from before a restart.
  expect(await poll('?after=1000&limit=1')).toMatchObject({ events: [{ topic: 'status.bus' }] });
  for (const bad of ['?limit=0', '?limit=x', '?limit=51', '?after=-1']) {
    expect(await poll(bad)).toMatchObject({ error: { code: 'REQUEST_INVALID' } });
  }
});

test('whatever clients say is answered with a code, or ends their link alone', async () => {
  await using rig = await startGateway(device, {}, { limits: { messagesPerSecond: 1_000_000 } });
  const client = rig.connect(bearer(device.tokens.admin));
  await client.heard({ type: 'ready' });
  const nearly = fc.record(
    {
      type: fc.constantFrom('auth', 'subscribe', 'command', 'keepalive', '__proto__'),
      topics: fc.oneof(fc.array(fc.oneof(fc.string(), fc.constantFrom('*', '**.**', 'a.*'))), fc.string()),
      replay: fc.oneof(fc.integer(), fc.double()),
      command: fc.oneof(fc.string(), fc.constant('recordings.list')),
      arguments: fc.oneof(fc.object(), fc.string()),
      request_id: fc.string(),
    },
    { requiredKeys: [] },
  );
  const words = fc.oneof(
    fc.json(),
    fc.string(),
    nearly.map((value) => JSON.stringify(value)),
  );
  await fc.assert(
    fc.asyncProperty(words, async (word) => {
      const before = client.messages.length;
      client.send(word);
      while (client.messages.length === before) await once(client.socket, 'message');
      for (const { type, error } of client.messages.slice(before)) {
        expect(['error', 'result', 'subscribed']).toContain(type);
        if (error) expect(ERRORS).toHaveProperty((error as { code: string }).code);
      }
    }),
    { numRuns: 300 },
  );
  client.socket.send(randomBytes(100));
  await client.heard({ type: 'error' });
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 200 }), async (frames) => {
      const raw = await rawSocket(rig.gateway.port, device.authority, device.tokens.viewer);
      raw.end(frames);
      raw.resume();
      await once(raw, 'close');
    }),
    { numRuns: 30 },
  );
  expect((await rig.call('GET', '/health')).status).toBe(200);
});

test('stopping: clients are told, nothing is tapped any more', async () => {
  const rig = await startGateway(device);
  const client = rig.connect(viewer());
  await client.heard({ type: 'ready' });
  expect(rig.taps).toBe(1);
  await rig[Symbol.asyncDispose]();
  expect(await client.closed).toBe(1001);
  expect(rig.taps).toBe(0);
});

/** Upgraded by hand, so that what follows need not be frames. */
async function rawSocket(port: number, ca: string, token: string) {
  const socket = connect({ port, host: '127.0.0.1', ca, servername: 'localhost' });
  socket.on('error', () => {});
  await once(socket, 'secureConnect');
  socket.write(
    [
      'GET /ws HTTP/1.1',
      'host: localhost',
      'connection: upgrade',
      'upgrade: websocket',
      'sec-websocket-version: 13',
      `sec-websocket-key: ${randomBytes(16).toString('base64')}`,
      `authorization: Bearer ${token}`,
      '\r\n',
    ].join('\r\n'),
  );
  await once(socket, 'data');
  return socket;
}
