/** A web server with one file, of which it sends parts; it can be made to misbehave. */
import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface BundleServer extends AsyncDisposable {
  readonly url: string;
  /** What is served; with another `tag` it is another file. */
  content: Buffer;
  tag: string;
  hasRanges: boolean;
  /** The connection breaks after so many bytes of a body, so often. */
  cut: { afterBytes: number; times: number } | null;
  /** Answered instead, while set. */
  status: number | null;
  /** Of each request so far. */
  readonly requests: IncomingHttpHeaders[];
  /** Bytes of bodies that were sent. */
  sentBytes: number;
}

export async function serveBundle(content: Buffer): Promise<BundleServer> {
  const server = createServer((request, response) => {
    self.requests.push(request.headers);
    if (self.status !== null) {
      response.writeHead(self.status).end();
      return;
    }
    const tag = `"${self.tag}"`;
    const ifRange = request.headers['if-range'];
    const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '');
    const isPart = self.hasRanges && range !== null && (ifRange === undefined || ifRange === tag);
    const [from, to] = isPart
      ? [Number(range[1]), Math.min(Number(range[2]) + 1, self.content.length)]
      : [0, self.content.length];
    response.writeHead(isPart ? 206 : 200, {
      etag: tag,
      'content-length': to - from,
      ...(isPart ? { 'content-range': `bytes ${from}-${to - 1}/${self.content.length}` } : {}),
    });
    const body = self.content.subarray(from, to);
    if (self.cut && self.cut.times > 0 && body.length > self.cut.afterBytes) {
      self.cut.times--;
      self.sentBytes += self.cut.afterBytes;
      response.write(body.subarray(0, self.cut.afterBytes), () => response.destroy());
      return;
    }
    self.sentBytes += body.length;
    response.end(body);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const self: BundleServer = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/bundle.raucb`,
    content,
    tag: 'first',
    hasRanges: true,
    cut: null,
    status: null,
    requests: [],
    sentBytes: 0,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
  return self;
}
