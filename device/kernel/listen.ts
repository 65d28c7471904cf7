import { once } from 'node:events';
import type { AddressInfo, Server } from 'node:net';
import { CodedError } from '../contract/errors.ts';

/**
 * Resolves with the port that is listened on (0 takes a free one). `what` names the service in messages.
 * Throws PORT_IN_USE, or CONFIG_INVALID for any other refusal.
 */
export async function listen(server: Server, what: string, host: string, port: number): Promise<number> {
  try {
    server.listen({ host, port });
    await once(server, 'listening');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw code === 'EADDRINUSE'
      ? new CodedError('PORT_IN_USE', `${what} at ${host}:${port}`, { cause: error })
      : new CodedError('CONFIG_INVALID', `${what}: cannot listen on ${host}:${port}: ${code}`, {
          cause: error,
        });
  }
  return (server.address() as AddressInfo).port;
}
