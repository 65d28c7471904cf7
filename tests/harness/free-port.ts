import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';

/** Below those that the kernel gives to outgoing connections: nobody comes by one of these by chance. */
const [FIRST, BEHIND] = [20_000, 32_000];

/** One that nobody listens on, on any loopback address, and that stays free until it is used. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(FIRST, BEHIND);
    const server = createServer();
    const outcome = Promise.withResolvers<boolean>();
    server.once('error', () => outcome.resolve(false));
    server.listen(port, '0.0.0.0', () => outcome.resolve(true));
    if (!(await outcome.promise)) continue;
    server.close();
    await once(server, 'close');
    return port;
  }
}
