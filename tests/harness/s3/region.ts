import { once } from 'node:events';
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';

/** In front of a server that knows no regions: takes only requests that are signed for `region`, and says so. */
export async function startRegion(
  region: string,
  serverPort: number,
): Promise<AsyncDisposable & { readonly port: number }> {
  const server = createServer((incoming, answer) => {
    const isHere = incoming.headers.authorization?.includes(`/${region}/s3/aws4_request`) ?? false;
    if (!isHere) {
      incoming.resume();
      const body = `<Error><Code>AuthorizationHeaderMalformed</Code><Message>the region is wrong</Message><Region>${region}</Region></Error>`;
      answer.writeHead(400, { 'content-type': 'application/xml', connection: 'close' }).end(body);
      return;
    }
    const { method, url, headers } = incoming;
    const options = { host: '127.0.0.1', port: serverPort, method, path: url, headers, agent: false };
    const forwarded = request(options as object, (response) => {
      answer.writeHead(response.statusCode ?? 500, response.headers);
      response.pipe(answer);
    });
    forwarded.on('error', () => answer.destroy());
    incoming.pipe(forwarded);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}
