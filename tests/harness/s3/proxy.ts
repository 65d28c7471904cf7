/** A network between client and server that breaks when it is told to. */
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

/**
 * `request`: the connection ends in the middle of what is sent. `response`: what was sent has arrived, and the
 * answer is lost. `flip`: a bit of what is sent is another.
 */
export type Fault = 'request' | 'response' | 'flip';

export interface Proxy extends AsyncDisposable {
  readonly port: number;
  /** Bytes that went to the server so far. */
  readonly sentBytes: number;
  /** Connections that were cut so far. */
  readonly cuts: number;
  /** At this many bytes to the server, counted from the start. */
  breakAt(bytes: number, fault: Fault): void;
  /** Calls `hear` at this many bytes to the server. */
  at(bytes: number, hear: () => void): void;
  /** In place of the server everybody gets this answer; null: the server again. */
  answerWith(response: string | null): void;
  /** Nobody gets through, or connections are taken again. */
  setOpen(isOpen: boolean): void;
}

interface Mark {
  readonly bytes: number;
  readonly meet: (socket: Socket, peer: Socket, chunk: Buffer) => void;
}

/** `onSent` sees what goes to the server. */
export async function startProxy(
  serverPort: number,
  onSent: (chunk: Buffer) => void = () => {},
): Promise<Proxy> {
  const sockets = new Set<Socket>();
  const marks: Mark[] = [];
  let [sentBytes, cuts] = [0, 0];
  let canned: string | null = null;
  let isOpen = true;

  const cut = (...pair: readonly Socket[]): void => {
    cuts++;
    for (const socket of pair) socket.destroy();
  };
  const own = (socket: Socket): void => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket)).on('error', () => {});
  };

  const server = createServer((client) => {
    own(client);
    if (!isOpen) {
      client.resetAndDestroy();
      return;
    }
    if (canned !== null) {
      const answer = canned;
      client.once('data', () => client.end(answer));
      return;
    }
    const upstream = connect(serverPort, '127.0.0.1');
    own(upstream);
    client.on('data', (chunk: Buffer) => {
      sentBytes += chunk.byteLength;
      onSent(chunk);
      for (let mark = marks[0]; mark && mark.bytes <= sentBytes; mark = marks[0]) {
        marks.shift();
        mark.meet(client, upstream, chunk);
      }
      if (!upstream.destroyed && !upstream.write(chunk)) client.pause();
    });
    upstream.on('drain', () => client.resume());
    upstream.on('data', (chunk: Buffer) => {
      if (!client.destroyed && !client.write(chunk)) upstream.pause();
    });
    client.on('drain', () => upstream.resume());
    client.on('end', () => upstream.end());
    upstream.on('end', () => client.end());
    client.on('close', () => upstream.destroy());
    upstream.on('close', () => client.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');

  const add = (mark: Mark): void => {
    marks.push(mark);
    marks.sort((a, b) => a.bytes - b.bytes);
  };
  return {
    port: (server.address() as AddressInfo).port,
    get sentBytes() {
      return sentBytes;
    },
    get cuts() {
      return cuts;
    },
    breakAt(bytes, fault) {
      add({
        bytes,
        meet(client, upstream, chunk) {
          if (fault === 'request') cut(client, upstream);
          else if (fault === 'response') upstream.prependOnceListener('data', () => cut(client, upstream));
          else chunk[chunk.byteLength - 1]! ^= 1;
        },
      });
    },
    at: (bytes, hear) => add({ bytes, meet: hear }),
    answerWith(response) {
      canned = response;
      for (const socket of sockets) socket.destroy();
    },
    setOpen(open) {
      isOpen = open;
      if (!open) for (const socket of sockets) socket.resetAndDestroy();
    },
    async [Symbol.asyncDispose]() {
      server.close();
      for (const socket of sockets) socket.destroy();
      await once(server, 'close');
    },
  };
}
