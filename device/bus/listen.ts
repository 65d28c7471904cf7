import { once } from 'node:events';
import type { AddressInfo, Server } from 'node:net';
import { CodedError } from '../contract/errors.ts';

/** Resolves with the port that is listened on. Throws PORT_IN_USE, or CONFIG_INVALID for any other refusal. */
export async function listen(server: Server, host: string, port: number): Promise<number> {
  try {
    server.listen({ host, port });
    await once(server, 'listening');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EADDRINUSE')
      throw new CodedError('PORT_IN_USE', `bus at ${host}:${port}`, { cause: error });
    throw new CodedError('CONFIG_INVALID', `bus: cannot listen on ${host}:${port}: ${code}`, {
      cause: error,
    });
  }
  return (server.address() as AddressInfo).port;
}
