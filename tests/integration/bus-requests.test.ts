/** Who may ask for what, and what becomes of it. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Authenticate } from '../../device/bus/index.ts';
import { ROLES, type Caller, type Role } from '../../device/contract/access.ts';
import { collect, connectClient, motion, mqttTopic, next, startBus } from './bus-fixture.ts';

const COMMAND = mqttTopic('dashboard.control.command');
const UPDATE = mqttTopic('config.update');

/** Every role is a user of that name with the password `right`. */
const authenticate: Authenticate = async ({ username, password }) =>
  ROLES.includes(username as Role) && password === 'right'
    ? { user: username ?? '', role: username as Role, surface: 'mqtt' }
    : null;
const as = (username: string, password = 'right') => ({ username, password });

test('an operator asks, the agent hears who it was, and nobody else hears it', async () => {
  await using bus = await startBus({ authenticate });
  const heard = Promise.withResolvers<[unknown, Caller]>();
  bus.handle('dashboard.control.command', (payload, caller) => heard.resolve([payload, caller]));
  await using reader = await connectClient(bus.port, as('admin'));
  const messages = await collect(reader, 'spyoncino/#');
  await messages.until(1);
  await using operator = await connectClient(bus.port, as('operator'));
  const command = { command: 'storage.cleanup', request_id: 'r1', schema_version: '1.0.0' };
  await operator.publishAsync(COMMAND, JSON.stringify(command), { qos: 1, retain: true });
  expect(await heard.promise).toEqual([command, { user: 'operator', role: 'operator', surface: 'mqtt' }]);
  bus.publish('motion.start', motion('porch'));
  expect((await messages.until(2))[1]?.topic).toBe(mqttTopic('motion.start'));
  await using late = await connectClient(bus.port, as('admin'));
  const retained = await collect(late, 'spyoncino/#');
  await retained.until(1);
  expect(retained.messages.map(({ topic }) => topic)).toEqual([mqttTopic('status.availability')]);
});

test.each([0, 1, 2] as const)('a request with QoS %i is heard once', async (qos) => {
  await using bus = await startBus({ authenticate });
  const heard: unknown[] = [];
  bus.handle('dashboard.control.command', ({ request_id }) => heard.push(request_id));
  await using operator = await connectClient(bus.port, as('operator'));
  for (const request_id of ['1', '2', '3']) {
    await operator.publishAsync(COMMAND, JSON.stringify({ command: 'x', request_id }), { qos });
  }
  await expect.poll(() => heard).toEqual(['1', '2', '3']);
});

test.each([
  ['operator', 'config.update'],
  ['viewer', 'config.rollback'],
  ['admin', 'config.snapshot'],
  ['admin', 'motion.start'],
  ['admin', 'dashboard.control.result'],
])('%s may not publish on %s, and is cut off', async (user, topic) => {
  await using bus = await startBus({ authenticate });
  bus.handle('config.update', () => expect.unreachable());
  await using client = await connectClient(bus.port, as(user));
  const cutOff = next(client, 'close');
  client.publish(mqttTopic(topic), '{}');
  await cutOff;
  expect(bus.meter.drops('publish_refused')).toBe(1);
});

test('who is nobody gets nowhere; on this machine one may read where settings allow it', async () => {
  await using closed = await startBus({ authenticate, anonymous: 'none' });
  await expect(connectClient(closed.port)).rejects.toThrow('Not authorized');
  await expect(connectClient(closed.port, as('admin', 'wrong'))).rejects.toThrow('Not authorized');
  await expect(connectClient(closed.port, as('mallory'))).rejects.toThrow('Not authorized');
  expect([closed.clients, closed.meter.drops('client_refused')]).toEqual([0, 3]);
  await using open = await startBus({ authenticate, anonymous: 'read' });
  await expect(connectClient(open.port, as('admin', 'wrong'))).rejects.toThrow('Not authorized');
  await using reader = await connectClient(open.port);
  expect(await (await collect(reader, 'spyoncino/#')).until(1)).toHaveLength(1);
  const cutOff = next(reader, 'close');
  reader.publish(COMMAND, '{"command":"analytics.summary"}');
  await cutOff;
  expect(open.meter.drops('publish_refused')).toBe(1);
});

test('an authenticator that fails lets nobody in', async () => {
  await using bus = await startBus({
    authenticate: async () => {
      throw new Error('the list of users is damaged');
    },
  });
  await expect(connectClient(bus.port, as('admin'))).rejects.toThrow('Not authorized');
});

test('a client id is its user’s own: nobody takes over the connection of another', async () => {
  await using bus = await startBus({ authenticate });
  await using operator = await connectClient(bus.port, { ...as('operator'), clientId: 'tablet' });
  await using viewer = await connectClient(bus.port, { ...as('viewer'), clientId: 'tablet' });
  const heard = await collect(operator, 'spyoncino/#');
  await heard.until(1);
  expect([bus.clients, viewer.connected]).toEqual([2, true]);
  const takenOver = next(operator, 'close');
  await using again = await connectClient(bus.port, { ...as('operator'), clientId: 'tablet' });
  await takenOver;
  expect([bus.clients, again.connected]).toEqual([2, true]);
});

test('who may no longer do what he could is disconnected', async () => {
  await using bus = await startBus({ authenticate });
  await using operator = await connectClient(bus.port, as('operator'));
  await using viewer = await connectClient(bus.port, as('viewer'));
  const gone = next(operator, 'close');
  bus.disconnect('operator');
  await gone;
  await (await collect(viewer, 'spyoncino/#')).until(1);
  expect(bus.clients).toBe(1);
});

/** What the agent answers to each of these payloads, published on `topic` by an admin. */
async function answersTo(topic: string, payloads: readonly (string | Buffer)[]) {
  await using bus = await startBus({ authenticate, strict: true });
  const heard: unknown[] = [];
  bus.handle('dashboard.control.command', ({ command }) => {
    if (command === 'boom') throw new Error('boom');
    if (command === 'reject') return Promise.reject(new Error('late boom'));
    return heard.push(command);
  });
  bus.handle('config.update', (payload) => heard.push(payload));
  await using admin = await connectClient(bus.port, as('admin'));
  const answers = await collect(admin, mqttTopic('dashboard.control.result'));
  for (const payload of payloads) await admin.publishAsync(topic, payload, { qos: 1 });
  await admin.publishAsync(COMMAND, '{"command":"done"}', { qos: 1 });
  await expect.poll(() => heard.at(-1)).toBe('done');
  return { heard, answers: await answers.until(payloads.length + 1 - heard.length), drops: bus.meter };
}

test('what makes no sense is answered with a code, and counted', async () => {
  const { answers, drops } = await answersTo(COMMAND, [
    'not json',
    '[]',
    '"text"',
    '{"request_id":"r1"}',
    `{"command":1,"request_id":"${'x'.repeat(200)}"}`,
    '{"command":"boom","request_id":"r2"}',
    '{"command":"reject","request_id":"r3"}',
  ]);
  expect(
    answers.map(({ payload: { error, request_id } }) => [(error as { code: string }).code, request_id]),
  ).toEqual([
    ['COMMAND_INVALID', null],
    ['COMMAND_INVALID', null],
    ['COMMAND_INVALID', null],
    ['COMMAND_INVALID', 'r1'],
    ['COMMAND_INVALID', null],
    ['COMMAND_FAILED', 'r2'],
    ['COMMAND_FAILED', 'r3'],
  ]);
  expect(drops.drops('request_invalid')).toBe(5);
});

test('a topic that nobody hears yet is answered too', async () => {
  await using bus = await startBus({ authenticate });
  await using admin = await connectClient(bus.port, as('admin'));
  const answers = await collect(admin, mqttTopic('dashboard.control.result'));
  admin.publish(UPDATE, '{"changes":{},"request_id":"r"}');
  expect((await answers.until(1))[0]?.payload).toMatchObject({
    command: 'config.update',
    request_id: 'r',
    ok: false,
    error: { code: 'COMMAND_UNKNOWN' },
  });
});

test('no payload, however odd, is more than refused', async () => {
  const nested = `{"changes":${'['.repeat(50_000)}${']'.repeat(50_000)}}`;
  const odd = fc.oneof(
    fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
    fc.json(),
    fc.constant(nested),
    fc.record({ source: fc.anything(), changes: fc.anything(), request_id: fc.anything() }).map((value) => {
      try {
        return JSON.stringify(value) ?? '';
      } catch {
        return '{"__proto__":{"polluted":true},"constructor":1}';
      }
    }),
  );
  const payloads = fc.sample(odd, { seed: 7, numRuns: 100 });
  const { heard, answers } = await answersTo(UPDATE, payloads);
  expect(heard.length + answers.length).toBe(payloads.length + 1);
  expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
});

test('what takes long does not pile up: of one caller so many wait and no more', async () => {
  await using bus = await startBus({ authenticate });
  const release = Promise.withResolvers<void>();
  let begun = 0;
  bus.handle('dashboard.control.command', () => {
    begun += 1;
    return release.promise;
  });
  await using operator = await connectClient(bus.port, as('operator'));
  const answers = await collect(operator, mqttTopic('dashboard.control.result'));
  for (let n = 0; n < 20; n++) operator.publish(COMMAND, '{"command":"slow"}');
  const refused = await answers.until(4);
  expect(begun).toBe(16);
  expect(refused[0]?.payload).toMatchObject({ error: { code: 'TOO_MANY_REQUESTS' } });
  release.resolve();
  await expect
    .poll(() => {
      operator.publish(COMMAND, '{"command":"again"}');
      return begun;
    })
    .toBeGreaterThan(16);
});
