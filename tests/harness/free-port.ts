import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';

/** One that nobody listens on at this moment, on any loopback address. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '0.0.0.0');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
