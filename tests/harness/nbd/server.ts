/**
 * A disk over NBD (the network block device protocol, fixed newstyle), for QEMU and other clients: a file, and a log of all
 * that changed it. Requests are done one after the other, so the log has one order.
 */
import { once } from 'node:events';
import { open, type FileHandle } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import type { DiskLog } from './disk-log.ts';

export interface NbdOptions {
  /** The disk; clients see it as large as it is. */
  readonly path: string;
  readonly log: DiskLog;
  /** Path of a unix socket; without, a port of this machine. */
  readonly socket?: string;
}

export interface NbdServer extends AsyncDisposable {
  /** For QEMU and libnbd. */
  readonly uri: string;
}

export async function serveNbd({ log, path, socket }: NbdOptions): Promise<NbdServer> {
  await using building = new AsyncDisposableStack();
  const file = building.use(await open(path, 'r+'));
  const { size } = await file.stat();
  const connections = new Set<Socket>();
  const serving = new Set<Promise<void>>();
  const server: Server = createServer((connection) => {
    connections.add(connection);
    connection.on('error', () => {}).on('close', () => connections.delete(connection));
    const served = serve(connection, { file, log, size })
      .catch(() => {})
      .finally(() => {
        connection.destroy();
        serving.delete(served);
      });
    serving.add(served);
  });
  if (socket === undefined) server.listen(0, '127.0.0.1');
  else server.listen(socket);
  await once(server, 'listening');
  const address = server.address();
  building.defer(async () => {
    for (const connection of connections) connection.destroy();
    server.close();
    await Promise.all([once(server, 'close'), ...serving]);
  });
  const owned = building.move();
  return {
    uri:
      typeof address === 'object' && address !== null
        ? `nbd://127.0.0.1:${address.port}`
        : `nbd+unix:///?socket=${socket}`,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

interface Export {
  readonly file: FileHandle;
  readonly log: DiskLog;
  readonly size: number;
}

const MAGIC = { hello: 0x4e42444d41474943n, option: 0x49484156454f5054n, optionReply: 0x3e889045565a9n };
const REQUEST_MAGIC = 0x25609513;
const REPLY_MAGIC = 0x67446698;
const HANDSHAKE = { fixedNewstyle: 1, noZeroes: 2 };
const OPTION = { exportName: 1, abort: 2, list: 3, info: 6, go: 7 };
const REPLY = { ack: 1, server: 2, info: 3, unsupported: 2 ** 31 + 1 };
const INFO = { export: 0, blockSize: 3 };
const COMMAND = { read: 0, write: 1, disconnect: 2, flush: 3, trim: 4, writeZeroes: 6 };
const FUA = 1;
/** Has flags; knows flush, FUA, trim and write zeroes. */
const TRANSMISSION_FLAGS = 1 | 4 | 8 | 32 | 64;
const ERROR = { invalid: 22, io: 5 };
const MAX_PAYLOAD_BYTES = 32 * 1024 * 1024;
const MAX_OPTION_BYTES = 64 * 1024;
const PIECE_BYTES = 1024 * 1024;

async function serve(socket: Socket, disk: Export): Promise<void> {
  const reader = new Reader(socket);
  if (await negotiate(socket, reader, disk.size)) await transmit(socket, reader, disk);
}

/** Resolves to whether there is anything to transmit. */
async function negotiate(socket: Socket, reader: Reader, size: number): Promise<boolean> {
  const hello = Buffer.alloc(18);
  hello.writeBigUInt64BE(MAGIC.hello, 0);
  hello.writeBigUInt64BE(MAGIC.option, 8);
  hello.writeUInt16BE(HANDSHAKE.fixedNewstyle | HANDSHAKE.noZeroes, 16);
  socket.write(hello);
  const clientFlags = (await reader.take(4)).readUInt32BE();
  for (;;) {
    const head = await reader.take(16);
    if (head.readBigUInt64BE() !== MAGIC.option) return false;
    const option = head.readUInt32BE(8);
    const length = head.readUInt32BE(12);
    if (length > MAX_OPTION_BYTES) return false;
    await reader.take(length);
    if (option === OPTION.exportName) {
      const padding = clientFlags & HANDSHAKE.noZeroes ? 0 : 124;
      socket.write(Buffer.concat([exportOf(size), Buffer.alloc(padding)]));
      return true;
    }
    if (option === OPTION.abort) {
      socket.end(optionReply(option, REPLY.ack));
      return false;
    }
    if (option === OPTION.list) {
      // One disk, whose name is empty.
      socket.write(optionReply(option, REPLY.server, Buffer.alloc(4)));
      socket.write(optionReply(option, REPLY.ack));
    } else if (option === OPTION.info || option === OPTION.go) {
      socket.write(optionReply(option, REPLY.info, Buffer.concat([u16(INFO.export), exportOf(size)])));
      const sizes = [512, 4096, MAX_PAYLOAD_BYTES].map(u32);
      socket.write(optionReply(option, REPLY.info, Buffer.concat([u16(INFO.blockSize), ...sizes])));
      socket.write(optionReply(option, REPLY.ack));
      if (option === OPTION.go) return true;
    } else socket.write(optionReply(option, REPLY.unsupported));
  }
}

async function transmit(socket: Socket, reader: Reader, disk: Export): Promise<void> {
  for (;;) {
    const head = await reader.take(28);
    if (head.readUInt32BE() !== REQUEST_MAGIC) return;
    const isDurable = (head.readUInt16BE(4) & FUA) !== 0;
    const command = head.readUInt16BE(6);
    const cookie = head.subarray(8, 16);
    const offset = Number(head.readBigUInt64BE(16));
    const length = head.readUInt32BE(24);
    if (command === COMMAND.disconnect) return;
    const isLarge = command === COMMAND.write || command === COMMAND.read;
    if (isLarge && length > MAX_PAYLOAD_BYTES) return;
    const data = command === COMMAND.write ? await reader.take(length) : null;
    let error = 0;
    let answer: Buffer = Buffer.alloc(0);
    try {
      if (command !== COMMAND.flush && offset + length > disk.size) error = ERROR.invalid;
      else if (command === COMMAND.read) answer = await read(disk.file, offset, length);
      else if (data) await write(disk, offset, data, isDurable);
      else if (command === COMMAND.flush) disk.log.flush();
      else if (command === COMMAND.trim || command === COMMAND.writeZeroes)
        await zero(disk, offset, length, isDurable);
      else error = ERROR.invalid;
    } catch {
      error = ERROR.io;
    }
    const reply = Buffer.concat([
      u32(REPLY_MAGIC),
      u32(error),
      cookie,
      error === 0 ? answer : Buffer.alloc(0),
    ]);
    await sent(socket, reply);
  }
}

async function read(file: FileHandle, offset: number, length: number): Promise<Buffer> {
  const { buffer } = await file.read(Buffer.alloc(length), 0, length, offset);
  return buffer;
}

async function write({ file, log }: Export, offset: number, data: Buffer, isDurable: boolean): Promise<void> {
  await file.write(data, 0, data.length, offset);
  await log.write(offset, data, isDurable);
}

async function zero(
  { file, log }: Export,
  offset: number,
  length: number,
  isDurable: boolean,
): Promise<void> {
  const zeroes = Buffer.alloc(Math.min(length, PIECE_BYTES));
  for (let done = 0; done < length; done += PIECE_BYTES) {
    await file.write(zeroes, 0, Math.min(PIECE_BYTES, length - done), offset + done);
  }
  log.zero(offset, length, isDurable);
}

const exportOf = (size: number): Buffer => {
  const bytes = Buffer.alloc(10);
  bytes.writeBigUInt64BE(BigInt(size), 0);
  bytes.writeUInt16BE(TRANSMISSION_FLAGS, 8);
  return bytes;
};

function optionReply(option: number, type: number, data: Buffer = Buffer.alloc(0)): Buffer {
  const magic = Buffer.alloc(8);
  magic.writeBigUInt64BE(MAGIC.optionReply);
  return Buffer.concat([magic, u32(option), u32(type), u32(data.length), data]);
}

function u16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value);
  return bytes;
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** Once it may be forgotten; rejects when nobody is there to take it. */
const sent = (socket: Socket, bytes: Buffer): Promise<void> =>
  new Promise((resolve, reject) => {
    socket.write(bytes, (error) => (error ? reject(error) : resolve()));
  });

/** Takes a stream apart into pieces of wanted sizes. */
class Reader {
  readonly #chunks: AsyncIterator<Buffer>;
  #rest: Buffer = Buffer.alloc(0);

  constructor(socket: Socket) {
    this.#chunks = socket[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  }

  /** Exactly so many bytes; rejects when the other side goes away before. */
  async take(length: number): Promise<Buffer> {
    const pieces = [this.#rest];
    let bytes = this.#rest.length;
    while (bytes < length) {
      const { done, value } = await this.#chunks.next();
      if (done) throw new Error('the client went away');
      pieces.push(value);
      bytes += value.length;
    }
    const all = pieces.length === 1 ? this.#rest : Buffer.concat(pieces);
    this.#rest = all.subarray(length);
    return all.subarray(0, length);
  }
}
