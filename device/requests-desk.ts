import type { Authenticate, Bus } from './bus/index.ts';
import type { Caller, Credentials } from './contract/access.ts';
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

/**
 * Name and password of a user; with the name of a token or none, its secret as the password; or without a password the
 * certificate of a token.
 */
export const authenticateBy =
  (access: Access): Authenticate =>
  async ({ username, password, certificateSha256, address }) => {
    const credentials = credentialsOf(username, password, certificateSha256);
    if (!credentials) return null;
    const caller = await access.authenticate(credentials, { surface: 'mqtt', address });
    const isNamed = username !== null && username !== '';
    return isNamed && caller.user !== username ? null : caller;
  };

function credentialsOf(
  username: string | null,
  password: string | null,
  certificateSha256: string | null,
): Credentials | null {
  if (password?.startsWith(SECRET_PREFIX)) return { kind: 'bearer', secret: password };
  if (password !== null) return { kind: 'password', name: username ?? '', password };
  return certificateSha256 === null ? null : { kind: 'certificate', sha256: certificateSha256 };
}

function resultOf(outcome: CommandOutcome): Payload<'dashboard.control.result'> {
  const { command, requestId: request_id } = outcome;
  return outcome.ok
    ? { request_id, command, ok: true, result: outcome.result }
    : { request_id, command, ok: false, error: outcome.error };
}
