import { execFile } from 'node:child_process';
import { readFile, rename, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parse } from 'yaml';
import type { z } from 'zod';
import { mayActAs, ROLES } from '../../device/contract/access.ts';
import { ERRORS } from '../../device/contract/errors.ts';
import { openapi, ROUTES } from '../../device/dashboard/index.ts';
import { requirePackages } from '../harness/packages.ts';
import { CLIP_BYTES, PASSWORD, startApi, startDevice, type Device, type Reply } from './web-fixture.ts';

requirePackages(['curl']);

let device: Device;
let api: Awaited<ReturnType<typeof startApi>>;
const call: typeof api.call = (...parameters) => api.call(...parameters);

beforeAll(async () => {
  device = await startDevice();
  api = await startApi(device, { limits: { requestsPerMinute: 100_000, attemptsPerMinute: 1000 } });
});
afterAll(async () => {
  await api[Symbol.asyncDispose]();
  await device[Symbol.asyncDispose]();
});

/** That it is an error as all are, and nothing of what is inside gets out. */
function expectCoded({ json, text }: Reply): string {
  const { error } = json as { error: { code: string; message: string; advice: string } };
  expect(Object.keys(error).sort()).toEqual(['advice', 'code', 'message']);
  expect(ERRORS).toHaveProperty(error.code);
  expect(text).not.toMatch(/ at .*\.(ts|js)|node_modules|secret inner words/);
  return error.code;
}

const hasBody = (method: string): boolean => method !== 'GET' && method !== 'DELETE';

const addressed = (path: string): string =>
  path
    .replace('{event_id}', 'e1')
    .replace('{clip_id}', 'c1')
    .replace('{camera_id}', 'porch')
    .replace('{name}', 'x');

test('as the runbook asks: curl -k https://localhost:8443/health', async () => {
  const { stdout } = await promisify(execFile)('curl', ['-sk', `https://localhost:${api.api.port}/health`]);
  expect(JSON.parse(stdout)).toEqual({ status: 'ok' });
});

test('curl trusts the device once it is given its authority, and without it refuses', async () => {
  const ca = join(device.folder, 'state', 'tls', 'authority.crt');
  const url = `https://localhost:${api.api.port}/health/live`;
  const { stdout } = await promisify(execFile)('curl', ['-s', '--cacert', ca, url]);
  expect(JSON.parse(stdout)).toEqual({ status: 'ok' });
  await expect(promisify(execFile)('curl', ['-s', url])).rejects.toThrow();
  expect((await call('GET', '/api/authority.crt')).text).toBe(device.authority);
});

test('every route refuses who is not enough, before it reads what was sent', async () => {
  for (const { method, path, access } of ROUTES) {
    if (access === 'open') continue;
    const where = addressed(path);
    const body = hasBody(method) ? { body: '{"nonsense":' } : {};
    const anonymous = await call(method, where, body);
    expect([path, anonymous.status, expectCoded(anonymous)]).toEqual([path, 401, 'UNAUTHENTICATED']);
    for (const role of ROLES.filter((role) => !mayActAs(role, access))) {
      const refused = await call(method, where, { ...body, token: device.tokens[role] });
      expect([path, role, refused.status, expectCoded(refused)]).toEqual([path, role, 403, 'FORBIDDEN']);
    }
  }
});

test('what is open is no more than it has to be', () => {
  const open = ROUTES.filter(({ access }) => access === 'open').map(
    ({ method, path }) => `${method} ${path}`,
  );
  expect(open.sort()).toEqual([
    'GET /api/authority.crt',
    'GET /api/openapi.json',
    'GET /api/setup',
    'GET /health',
    'GET /health/live',
    'GET /health/ready',
    'POST /api/login',
    'POST /api/setup',
  ]);
});

test('a viewer reads, and changes nothing', async () => {
  const before = device.orders.length;
  const token = device.tokens.viewer;
  for (const { method, path } of ROUTES.filter(({ method }) => method !== 'GET')) {
    if (['/api/logout', '/api/login', '/api/setup'].includes(path)) continue;
    const commands = [
      { command: 'config.update', arguments: { changes: {} } },
      { command: 'camera.state', camera_id: 'porch', arguments: { enabled: false } },
    ];
    for (const body of commands) {
      expect((await call(method, addressed(path), { token, body })).status).toBeGreaterThanOrEqual(400);
    }
  }
  expect(device.orders).toHaveLength(before);
});

test('what is answered fits the document, for every route that only reads', async () => {
  const queries: Readonly<Record<string, string>> = {
    '/api/timeline': '?camera_id=porch&from_ts=0&to_ts=1000',
    '/api/events': '?limit=1&label=person&after=1000.7&camera_id=porch&from_ts=0&to_ts=9e12',
  };
  for (const { method, path, answer, status } of ROUTES.filter(({ method }) => method === 'GET')) {
    const reply = await call(method, addressed(path) + (queries[path] ?? ''), { token: device.tokens.admin });
    expect([path, reply.status]).toEqual([path, path === '/health/ready' ? 503 : status]);
    if (typeof answer === 'string') expect(reply.headers['content-type']).toContain(answer);
    else expect((answer as z.ZodType).parse(reply.json)).toEqual(reply.json);
  }
});

test('the document that is served is the one that the routes make, and names each of them', async () => {
  const { json } = await call('GET', '/api/openapi.json');
  expect(json).toEqual(JSON.parse(JSON.stringify(openapi(ROUTES))));
  expect(json).toEqual(parse(await readFile('device/design/openapi.yaml', 'utf8')));
  const { paths } = json as { paths: Record<string, object> };
  expect(
    Object.entries(paths)
      .flatMap(([path, methods]) => Object.keys(methods).map((m) => `${m} ${path}`))
      .sort(),
  ).toEqual(ROUTES.map(({ method, path }) => `${method.toLowerCase()} ${path}`).sort());
});

test('the owner signs in by password: the cookie is for this host, TLS and no script', async () => {
  const reply = await call('POST', '/api/login', { body: { name: 'ada', password: PASSWORD } });
  expect(reply.status).toBe(200);
  const [cookie = ''] = reply.headers['set-cookie'] ?? [];
  expect(cookie).toMatch(
    /^__Host-spyoncino=spy_[\w-]+; Path=\/; Secure; HttpOnly; SameSite=Strict; Max-Age=\d+$/,
  );
  const session = { cookie: cookie.split(';')[0] ?? '' };
  expect((await call('GET', '/api/me', { headers: session })).json).toEqual({ user: 'ada', role: 'admin' });

  // A form or link of another page can send the cookie, but not this header, and not our origin.
  const body = { command: 'storage.cleanup' };
  const bare = await call('POST', '/api/commands', { headers: session, body });
  expect([bare.status, expectCoded(bare)]).toEqual([403, 'CROSS_SITE']);
  const own = `localhost:${api.api.port}`;
  const page = { ...session, 'x-spyoncino': '1', host: own };
  const foreign = await call('POST', '/api/commands', {
    headers: { ...page, origin: 'https://evil.example' },
    body,
  });
  expect([foreign.status, expectCoded(foreign)]).toEqual([403, 'CROSS_SITE']);
  expect((await call('POST', '/api/commands', { headers: { ...page, origin: 'null' }, body })).status).toBe(
    403,
  );
  expect(
    (await call('POST', '/api/commands', { headers: { ...page, origin: `https://${own}` }, body })).status,
  ).toBe(200);

  const out = await call('POST', '/api/logout', { headers: page });
  expect(out.headers['set-cookie']?.[0]).toContain('Max-Age=0');
  expect((await call('GET', '/api/me', { headers: session })).status).toBe(401);
  expect(device.audit.map(({ command }) => command)).toEqual(
    expect.arrayContaining(['session.open', 'session.close']),
  );
});

test('commands go through the door: results, codes and request ids come back', async () => {
  const token = device.tokens.operator;
  const send = (body: unknown) => call('POST', '/api/commands', { token, body });
  expect(
    await send({
      command: 'camera.state',
      camera_id: 'porch',
      arguments: { enabled: true },
      request_id: 'r1',
    }),
  ).toMatchObject({
    status: 200,
    json: { ok: true, request_id: 'r1', command: 'camera.state', result: { did: 'camera.state' } },
  });
  const snapshot = { command: 'camera.snapshot', camera_id: 'nowhere' };
  expect(await send(snapshot)).toMatchObject({ status: 404, json: { error: { code: 'CAMERA_UNKNOWN' } } });
  expect(await send({ command: 'no.such' })).toMatchObject({ status: 404, json: { ok: false } });
  expect(await send({})).toMatchObject({ status: 422, json: { error: { code: 'COMMAND_INVALID' } } });
  expect(await send({ command: 'config.rollback', arguments: { fingerprint: 'abcdef' } })).toMatchObject({
    status: 403,
  });
  const broken = await send({ command: 'camera.snapshot', camera_id: 'broken' });
  expect(broken.status).toBe(500);
});

test('routes of the original system: camera state and zones', async () => {
  const token = device.tokens.admin;
  const state = await call('POST', '/cameras/porch/state', { token, body: { enabled: false } });
  expect(state).toMatchObject({ status: 202, json: { status: 'accepted' } });
  expect(device.orders.at(-1)).toMatchObject({ cameraId: 'porch', arguments: { enabled: false } });
  expect((await call('POST', '/cameras/porch/state', { token, body: { enabled: 'no' } })).status).toBe(422);
  expect((await call('POST', '/cameras/nowhere/state', { token, body: { enabled: true } })).status).toBe(404);

  const zone = {
    camera_id: 'porch',
    zone_id: 'door',
    bounds: [0, 0, 0.5, 0.5],
    labels: ['person'],
    action: 'include',
  };
  const zones = (zones: unknown, camera_id = 'porch') =>
    call('POST', '/config/zones', { token, body: { camera_id, zones } });
  expect(await zones([zone])).toMatchObject({ status: 202, json: { status: 'accepted' } });
  expect(device.orders.at(-1)?.arguments).toEqual({
    changes: {
      cameras: {
        porch: { zones: [{ id: 'door', bounds: [0, 0, 0.5, 0.5], labels: ['person'], action: 'include' }] },
      },
    },
    dry_run: false,
  });
  expect((await zones([])).status).toBe(400);
  expect((await zones([{ ...zone, bounds: [0, 0, 2, 2] }])).status).toBe(422);
  expect((await zones('all')).status).toBe(422);
  expect((await zones([zone], 'attic')).status).toBe(404);
});

test('the arm mode and the journal of notifications are asked for through the door', async () => {
  const token = device.tokens.operator;
  const before = device.orders.length;
  expect((await call('PUT', '/api/arm', { token, body: { mode: 'away' } })).status).toBe(200);
  expect((await call('GET', '/api/arm', { token })).json).toEqual({ result: { did: 'arm.get' } });
  expect((await call('GET', '/api/notifications', { token })).status).toBe(200);
  expect(device.orders.slice(before).map((order) => order.arguments)).toEqual([
    { mode: 'away' },
    {},
    { limit: 50 },
  ]);
  expect((await call('PUT', '/api/arm', { token, body: { mode: 'asleep' } })).status).toBe(422);
  const viewer = device.tokens.viewer;
  expect((await call('PUT', '/api/arm', { token: viewer, body: { mode: 'home' } })).status).toBe(403);
});

test('accounts: added, used, removed; the last admin stays', async () => {
  const token = device.tokens.admin;
  const add = { name: 'bob', role: 'viewer', password: 'another long phrase' };
  expect((await call('POST', '/api/users', { token, body: add })).status).toBe(201);
  expect((await call('POST', '/api/users', { token, body: add })).status).toBe(409);
  expect(
    (await call('POST', '/api/users', { token, body: { ...add, name: 'eve', password: 'short' } })).status,
  ).toBe(422);
  expect((await call('POST', '/api/login', { body: { name: 'bob', password: add.password } })).status).toBe(
    200,
  );
  const made = await call('POST', '/api/tokens', {
    token,
    body: { name: 'script', role: 'viewer', expires_days: 1 },
  });
  const { secret } = made.json as { secret: string };
  expect((await call('GET', '/api/me', { token: secret })).json).toEqual({ user: 'script', role: 'viewer' });
  const list = await call('GET', '/api/users', { token });
  expect(list.text).not.toMatch(/scrypt|hash|spy_/);
  for (const name of ['bob', 'script'])
    expect((await call('DELETE', `/api/users/${name}`, { token })).status).toBe(200);
  expect((await call('GET', '/api/me', { token: secret })).status).toBe(401);
  expect((await call('DELETE', '/api/users/ada', { token })).status).toBe(409);
  expect((await call('DELETE', '/api/users/nobody', { token })).status).toBe(404);
  expect(device.audit.at(-1)).toMatchObject({
    command: 'user.remove',
    target: 'nobody',
    outcome: 'ACCOUNT_UNKNOWN',
  });
});

test('a clip comes whole or in part, and only to who may', async () => {
  const token = device.tokens.viewer;
  const get = (headers = {}, id = 'c1') => call('GET', `/api/clips/${id}/media`, { token, headers });
  const whole = await get();
  expect(whole).toMatchObject({ status: 200, bytes: CLIP_BYTES });
  expect(whole.headers).toMatchObject({
    'content-type': 'video/mp4',
    'accept-ranges': 'bytes',
    'content-length': '1000',
  });
  const part = await get({ range: 'bytes=100-199' });
  expect(part).toMatchObject({ status: 206, bytes: CLIP_BYTES.subarray(100, 200) });
  expect(part.headers['content-range']).toBe('bytes 100-199/1000');
  expect((await get({ range: 'bytes=-10' })).bytes).toEqual(CLIP_BYTES.subarray(990));
  expect((await get({ range: 'bytes=1000-' })).status).toBe(416);
  expect((await get({ range: 'bytes=0-1,5-6' })).status).toBe(200);
  const etag = whole.headers.etag ?? '';
  expect((await get({ range: 'bytes=0-1', 'if-range': '"other"' })).status).toBe(200);
  expect((await get({ range: 'bytes=0-1', 'if-range': etag })).status).toBe(206);
  expect((await get({ 'if-none-match': etag })).status).toBe(304);
  expect((await get({}, 'gone')).status).toBe(404);
  expect((await get({}, 'range')).status).toBe(404);
  expect(device.orders.at(-1)).toMatchObject({ arguments: { item_id: 'range' } });
  expect((await call('GET', '/api/events/e1/still', { token })).text).toBe('a jpeg');
});

test('nothing but footage is sent: not by its path, not by a link', async () => {
  const token = device.tokens.admin;
  expect((await call('GET', '/api/clips/outside/media', { token })).status).toBe(404);
  for (const id of ['..%2f..%2fsecret.mp4', '%2fetc%2fpasswd', '..', '%00']) {
    expect((await call('GET', `/api/clips/${id}/media`, { token })).status).toBeGreaterThanOrEqual(400);
  }
  const media = join(device.folder, 'data', 'media');
  await rename(join(media, 'clips', 'c1.mp4'), join(media, 'c1.mp4'));
  await symlink(join(device.folder, 'data', 'secret.mp4'), join(media, 'clips', 'c1.mp4'));
  expect((await call('GET', '/api/clips/c1/media', { token })).status).toBe(404);
  await rename(join(media, 'c1.mp4'), join(media, 'clips', 'c1.mp4'));
});

test('a clip that grows meanwhile is sent as long as it was', async () => {
  const path = join(device.folder, 'data', 'media', 'clips', 'c1.mp4');
  await writeFile(path, Buffer.concat([CLIP_BYTES, CLIP_BYTES]));
  expect((await call('GET', '/api/clips/c1/media', { token: device.tokens.viewer })).bytes).toHaveLength(
    2000,
  );
  await writeFile(path, CLIP_BYTES);
});

test('pages get headers that keep browsers from harm; nothing is kept by caches', async () => {
  const { headers } = await call('GET', '/api/me', { token: device.tokens.viewer });
  expect(headers).toMatchObject({
    'x-content-type-options': 'nosniff',
    'cache-control': 'no-store',
    'x-frame-options': 'SAMEORIGIN',
    'referrer-policy': 'no-referrer',
  });
  expect(headers['content-security-policy']).toContain("default-src 'none'");
  expect(headers).not.toHaveProperty('strict-transport-security');
  expect(headers).not.toHaveProperty('access-control-allow-origin');
});

test.each([
  ['not JSON', { body: '{' }, 400],
  ['a form', { body: 'a=1', headers: { 'content-type': 'application/x-www-form-urlencoded' } }, 415],
  [
    'plain text, as forms of other pages may send',
    { body: '{}', headers: { 'content-type': 'text/plain' } },
    415,
  ],
  ['a prototype', { body: '{"__proto__":{"role":"admin"},"name":"a","password":"b"}' }, 400],
  ['too much', { body: JSON.stringify({ name: 'x'.repeat(300_000) }) }, 413],
  ['nothing', {}, 422],
  ['unknown fields', { body: { name: 'a', password: 'b', role: 'admin' } }, 422],
])('%s is refused with a code', async (_, more, status) => {
  const reply = await call('POST', '/api/login', more);
  expect(reply.status).toBe(status);
  expectCoded(reply);
});

test('what is not even HTTP gets a code as well', async () => {
  const socket = connect({
    port: api.api.port,
    host: '127.0.0.1',
    ca: device.authority,
    servername: 'localhost',
  });
  socket.write('what is this?\r\n\r\n');
  let text = '';
  for await (const chunk of socket) text += String(chunk);
  expect(text).toMatch(/^HTTP\/1\.1 400 /);
  expect(text).toContain('REQUEST_INVALID');
});

test('whatever is sent to any route is answered, with a code where it is no good', async () => {
  const text = fc.oneof(
    fc.string(),
    fc.json(),
    fc.constant('{"command":"config.update","arguments":{"changes":[]}}'),
  );
  const header = fc.record(
    {
      authorization: fc.oneof(
        fc.constant(`Bearer ${device.tokens.admin}`),
        fc.string({ unit: 'grapheme-ascii' }),
      ),
      cookie: fc.string({ unit: 'grapheme-ascii' }),
      range: fc.string({ unit: 'grapheme-ascii' }),
      origin: fc.string({ unit: 'grapheme-ascii' }),
      'content-type': fc.constantFrom(
        'application/json',
        'text/html',
        ';;;',
        'application/json; charset=zzz',
      ),
    },
    { requiredKeys: [] },
  );
  const segment = fc.oneof(fc.string(), fc.constantFrom('..', '%', '%2e%2e', '\0')).map((s) => {
    try {
      return encodeURIComponent(s);
    } catch {
      return '%zz';
    }
  });
  const routes = ROUTES.filter(
    ({ path }) => !['/api/setup', '/api/login', '/api/me/password'].includes(path),
  );
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...routes),
      segment,
      text,
      header,
      fc.string(),
      async (route, id, body, headers, query) => {
        const path =
          route.path.replaceAll(/\{\w+\}/g, id || 'x') + (query ? `?${encodeURI(query.toWellFormed())}` : '');
        if (/\/api\/users\/(ada|.*-token)/.test(path)) return;
        const reply = await call(route.method, path, {
          headers,
          ...(hasBody(route.method) ? { body } : {}),
        });
        expect(reply.status).toBeLessThan(600);
        expect(reply.status === 500).toBe(false);
        if (reply.status >= 400 && reply.status !== 416 && route.path !== '/health/ready') expectCoded(reply);
      },
    ),
    { numRuns: 300 },
  );
  expect((await call('GET', '/health')).status).toBe(200);
});

test('rates are bounded per address, tries of passwords more tightly', async () => {
  await using strict = await startApi(device, { limits: { requestsPerMinute: 8, attemptsPerMinute: 2 } });
  const login = { body: { name: 'nobody', password: 'x' } };
  const tries = [
    await strict.call('POST', '/api/login', login),
    await strict.call('POST', '/api/login', login),
  ];
  expect(tries.map(({ status }) => status)).toEqual([401, 401]);
  const refused = await strict.call('POST', '/api/login', login);
  expect([refused.status, expectCoded(refused), refused.headers['retry-after']]).toEqual([
    429,
    'TOO_MANY_REQUESTS',
    '60',
  ]);
  const statuses = [];
  for (let i = 0; i < 6; i++) statuses.push((await strict.call('GET', '/health')).status);
  expect(statuses).toEqual([200, 200, 200, 200, 200, 429]);
});

test('the module says how it is', () => {
  expect(api.api.module).toMatchObject({ id: 'modules.dashboard.control_api', instance: null });
  expect(api.api.module.health()).toEqual({
    status: 'healthy',
    reasons: [],
    details: { port: api.api.port },
  });
});

test('a port that is taken is named', async () => {
  await expect(startApi(device, { port: api.api.port })).rejects.toMatchObject({ code: 'PORT_IN_USE' });
});
