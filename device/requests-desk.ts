import type { Authenticate, Bus } from './bus/index.ts';
import type { Caller } from './contract/access.ts';
import type { Payload } from './contract/topics.ts';
import { SECRET_PREFIX, type Access, type CommandDoor, type CommandOutcome } from './control/index.ts';

/** Leads what MQTT clients ask for to the one door, and answers on the bus. */
export function hearRequests(bus: Bus, door: CommandDoor): void {
  const answer = async (request: unknown, caller: Caller): Promise<void> =>
    bus.publish('dashboard.control.result', resultOf(await door.submit(request, caller)));
  bus.handle('dashboard.control.command', answer);
  bus.handle('config.update', ({ changes, reload, request_id }, caller) =>
    answer(
      {
        command: 'config.update',
        // Without changes the original system read its files again.
        arguments: changes && reload !== true ? { changes } : { reload: true },
        request_id,
      },
      caller,
    ),
  );
  bus.handle('config.rollback', ({ fingerprint, snapshot_fingerprint, request_id }, caller) =>
    answer(
      {
        command: 'config.rollback',
        arguments: { fingerprint: fingerprint ?? snapshot_fingerprint },
        request_id,
      },
      caller,
    ),
  );
}

/** Name and password of a user; or, with the name of a token or none, its secret as the password. */
export const authenticateBy =
  (access: Access): Authenticate =>
  async ({ username, password, address }) => {
    if (password === null) return null;
    const origin = { surface: 'mqtt', address } as const;
    const isSecret = password.startsWith(SECRET_PREFIX);
    const caller = await access.authenticate(
      isSecret ? { kind: 'bearer', secret: password } : { kind: 'password', name: username ?? '', password },
      origin,
    );
    const isNamed = username !== null && username !== '';
    return isNamed && caller.user !== username ? null : caller;
  };

function resultOf(outcome: CommandOutcome): Payload<'dashboard.control.result'> {
  const { command, requestId: request_id } = outcome;
  return outcome.ok
    ? { request_id, command, ok: true, result: outcome.result }
    : { request_id, command, ok: false, error: outcome.error };
}
