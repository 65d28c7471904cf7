import fc from 'fast-check';
import { pino } from 'pino';
import { beforeEach, expect, test } from 'vitest';
import { ROLES, type Caller, type Role } from '../../../device/contract/access.ts';
import { COMMANDS, type CommandName } from '../../../device/contract/commands.ts';
import { CodedError } from '../../../device/contract/errors.ts';
import type { AuditLine } from '../../../device/contract/access.ts';
import { CommandDoor, type Handlers, type Order } from '../../../device/control/index.ts';
import { ManualClock } from '../record/manual-clock.ts';

const NAMES = Object.keys(COMMANDS) as CommandName[];
const as = (role: Role): Caller => ({ user: `a-${role}`, role, surface: 'http' });

let orders: { command: CommandName; order: Order }[];
let audit: AuditLine[];
let clock: ManualClock;
let door: CommandDoor;
/** What handlers do, beside being called. */
let act: (order: Order) => unknown;

beforeEach(() => {
  [orders, audit, act] = [[], [], () => 'done'];
  clock = new ManualClock(Date.UTC(2026, 10, 25));
  const handlers = Object.fromEntries(
    NAMES.map((command) => [
      command,
      (order: Order) => {
        orders.push({ command, order });
        return act(order);
      },
    ]),
  ) as unknown as Handlers;
  door = new CommandDoor({
    handlers,
    audit: (line) => audit.push(line),
    clock,
    log: pino({ enabled: false }),
  });
});

test('a command of the runbook is done, answered and written down', async () => {
  const request = {
    command: 'pipeline.pause',
    module: 'modules.output.telegram_notifier',
    request_id: 'r1',
    schema_version: '1.0.0',
  };
  expect(await door.submit(request, as('operator'))).toEqual({
    ok: true,
    command: 'pipeline.pause',
    requestId: 'r1',
    result: 'done',
  });
  expect(orders).toMatchObject([{ order: { module: 'modules.output.telegram_notifier' } }]);
  expect(audit).toEqual([
    {
      utcMs: clock.utcMs(),
      caller: as('operator'),
      command: 'pipeline.pause',
      target: 'modules.output.telegram_notifier',
      outcome: 'ok',
    },
  ]);
});

test.each([
  [{}, 'COMMAND_INVALID'],
  [null, 'COMMAND_INVALID'],
  [{ command: 'reboot' }, 'COMMAND_UNKNOWN'],
  [{ command: 'toString' }, 'COMMAND_UNKNOWN'],
  [{ command: 'pipeline.pause' }, 'COMMAND_INVALID'],
  [{ command: 'camera.state', arguments: { enabled: true } }, 'COMMAND_INVALID'],
  [{ command: 'camera.state', camera_id: 'porch', arguments: { enabled: 'yes' } }, 'COMMAND_INVALID'],
  [{ command: 'storage.cleanup', arguments: { mode: 'normal', force: true } }, 'COMMAND_INVALID'],
])('%j is refused: %s', async (request, code) => {
  expect(await door.submit(request, as('admin'))).toMatchObject({ ok: false, error: { code } });
  expect(orders).toEqual([]);
  expect(audit).toMatchObject([{ outcome: code }]);
});

test('nobody does what their role does not allow, whatever the command', async () => {
  for (const command of NAMES) {
    for (const role of ROLES) {
      orders = [];
      const outcome = await door.submit({ command, module: 'm', camera_id: 'c' }, as(role));
      const forbidden = !outcome.ok && outcome.error.code === 'FORBIDDEN';
      expect([command, role, forbidden]).toEqual([
        command,
        role,
        ROLES.indexOf(role) < ROLES.indexOf(COMMANDS[command].role),
      ]);
      if (forbidden) expect(orders).toEqual([]);
    }
  }
});

test('a failing handler is an answer, and ours only when it has no code', async () => {
  act = () => {
    throw new CodedError('CAMERA_UNKNOWN', 'x');
  };
  const snapshot = { command: 'camera.snapshot', camera_id: 'x' };
  expect(await door.submit(snapshot, as('viewer'))).toMatchObject({ error: { code: 'CAMERA_UNKNOWN' } });
  act = () => Promise.reject(new Error('oops'));
  expect(await door.submit(snapshot, as('viewer'))).toMatchObject({ error: { code: 'COMMAND_FAILED' } });
});

test('a handler that hangs is told so and does not hold up its caller', async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  act = ({ signal }) =>
    new Promise(() => {
      signal.addEventListener('abort', () => resolve());
    });
  const answer = door.submit({ command: 'camera.snapshot', camera_id: 'x' }, as('viewer'));
  while (clock.sleepers === 0) await new Promise(setImmediate);
  clock.advance(60_000);
  expect(await answer).toMatchObject({ ok: false, error: { code: 'COMMAND_TIMEOUT' } });
  await promise;
});

test('an update is asked of programs and servers, and may take minutes', async () => {
  const { promise, resolve } = Promise.withResolvers<string>();
  act = () => promise;
  const answer = door.submit({ command: 'update.check' }, as('admin'));
  while (clock.sleepers === 0) await new Promise(setImmediate);
  clock.advance(120_000);
  resolve('newer');
  expect(await answer).toMatchObject({ ok: true, result: 'newer' });
});

test('whatever comes in is answered, audited once, and repeats no values', async () => {
  const command = fc.oneof(fc.constantFrom(...NAMES), fc.string());
  const request = fc.oneof(
    fc.anything(),
    fc.record(
      {
        command,
        module: fc.anything(),
        camera_id: fc.anything(),
        arguments: fc.anything(),
        request_id: fc.anything(),
      },
      { requiredKeys: ['command'] },
    ),
  );
  await fc.assert(
    fc.asyncProperty(request, fc.constantFrom(...ROLES), async (input, role) => {
      audit = [];
      const outcome = await door.submit(input, as(role));
      expect(audit).toHaveLength(1);
      expect(outcome.ok || outcome.error.code.length > 0).toBe(true);
    }),
  );
  const secret = { command: 'config.update', arguments: { changes: 'hunter2', key: 'hunter2' } };
  expect(JSON.stringify([await door.submit(secret, as('admin')), audit])).not.toContain('hunter2');
});
