/**
 * A drive that remembers what was written to it, and when: one file, served through FUSE, that holds the bytes
 * of a disk. Each write and each flush is appended to a log before it is answered. A process of its own, since
 * whoever serves a file must never wait for it.
 *
 * `drive-process.ts IMAGE FILE LOG`: serves a copy of IMAGE at FILE until that is unmounted.
 * Numbers and layouts are those of the kernel's include/uapi/linux/fuse.h.
 */
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { openSync, readFileSync, readSync, writeSync } from 'node:fs';
import { encodeEntry } from './write-log.ts';

const [image, file, log] = process.argv.slice(2) as [string, string, string];

const GETATTR = 3;
const SETATTR = 4;
const OPEN = 14;
const READ = 15;
const WRITE = 16;
const RELEASE = 18;
const FSYNC = 20;
const FLUSH = 25;
const INIT = 26;
const DESTROY = 38;
/** Those that want no answer: FORGET, INTERRUPT, BATCH_FORGET. */
const SILENT = new Set([2, 36, 42]);

const ENOSYS = 38;
const BIG_WRITES = 1 << 5;
const MAX_PAGES = 1 << 22;
const MAX_WRITE_BYTES = 2 ** 20;
const PAGE_BYTES = 4096;
const IN_HEADER_BYTES = 40;
const OUT_HEADER_BYTES = 16;
const REGULAR_FILE = 0o100600;
const VALID_S = 3600n;

const bytes = readFileSync(image);
const logFd = openSync(log, 'a');
const device = openSync('/dev/fuse', 'r+');
const options = `fd=3,rootmode=${REGULAR_FILE.toString(8)},user_id=0,group_id=0`;
const mount = spawnSync('mount', ['-i', '-t', 'fuse', '-o', options, 'spyoncino-drive', file], {
  stdio: ['ignore', 'ignore', 'inherit', device],
});
if (mount.status !== 0) process.exit(1);
process.send?.('serving');
await once(process, 'disconnect');

const request = Buffer.alloc(MAX_WRITE_BYTES + 2 * PAGE_BYTES);
for (;;) {
  let length: number;
  try {
    length = readSync(device, request);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENODEV') break; // unmounted
    if (code === 'EINTR' || code === 'EAGAIN' || code === 'ENOENT') continue;
    throw error;
  }
  const opcode = request.readUInt32LE(4);
  if (SILENT.has(opcode)) continue;
  const answer = answerTo(opcode, request.subarray(IN_HEADER_BYTES, length));
  const header = Buffer.alloc(OUT_HEADER_BYTES);
  header.writeUInt32LE(OUT_HEADER_BYTES + (answer?.byteLength ?? 0), 0);
  if (!answer) header.writeInt32LE(-ENOSYS, 4);
  request.copy(header, 8, 8, 16);
  writeSync(device, answer ? Buffer.concat([header, answer]) : header);
  if (opcode === DESTROY) break;
}

/** Null for what this drive does not know. */
function answerTo(opcode: number, body: Buffer): Buffer | null {
  switch (opcode) {
    case INIT:
      return initAnswer();
    case GETATTR:
    case SETATTR:
      return attributes();
    case OPEN:
      return Buffer.alloc(16);
    case READ: {
      const offset = Number(body.readBigUInt64LE(8));
      return bytes.subarray(offset, offset + body.readUInt32LE(16));
    }
    case WRITE: {
      const offset = Number(body.readBigUInt64LE(8));
      const data = body.subarray(40, 40 + body.readUInt32LE(16));
      writeSync(logFd, encodeEntry({ kind: 'write', utcMs: Date.now(), offset, data }));
      data.copy(bytes, offset);
      const answer = Buffer.alloc(8);
      answer.writeUInt32LE(data.byteLength);
      return answer;
    }
    case FSYNC:
      writeSync(logFd, encodeEntry({ kind: 'flush', utcMs: Date.now() }));
      return Buffer.alloc(0);
    case FLUSH:
    case RELEASE:
    case DESTROY:
      return Buffer.alloc(0);
    default:
      return null;
  }
}

function initAnswer(): Buffer {
  const answer = Buffer.alloc(64);
  answer.writeUInt32LE(7, 0);
  answer.writeUInt32LE(31, 4);
  answer.writeUInt32LE(BIG_WRITES | MAX_PAGES, 12);
  answer.writeUInt16LE(16, 16);
  answer.writeUInt16LE(12, 18);
  answer.writeUInt32LE(MAX_WRITE_BYTES, 20);
  answer.writeUInt32LE(1, 24);
  answer.writeUInt16LE(MAX_WRITE_BYTES / PAGE_BYTES, 28);
  return answer;
}

function attributes(): Buffer {
  const answer = Buffer.alloc(104);
  answer.writeBigUInt64LE(VALID_S, 0);
  answer.writeBigUInt64LE(1n, 16);
  answer.writeBigUInt64LE(BigInt(bytes.byteLength), 24);
  answer.writeBigUInt64LE(BigInt(bytes.byteLength / 512), 32);
  answer.writeUInt32LE(REGULAR_FILE, 76);
  answer.writeUInt32LE(1, 80);
  answer.writeUInt32LE(PAGE_BYTES, 96);
  return answer;
}
