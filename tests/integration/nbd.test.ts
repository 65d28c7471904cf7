/** The disk over NBD, asked by clients that are not ours: libnbd's and QEMU's. */
import { execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { copyFile, mkdtemp, open, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { seededRandom } from '../crash/seeded-random.ts';
import { applyCut, cutPower, powerCuts } from '../harness/nbd/crash-images.ts';
import { DiskLog } from '../harness/nbd/disk-log.ts';
import { serveNbd, type NbdServer } from '../harness/nbd/server.ts';
import { requirePackages } from '../harness/packages.ts';

requirePackages(['libnbd-bin', 'qemu-utils', 'e2fsprogs']);

const run = promisify(execFile);
const DISK_BYTES = 24 * 1024 * 1024;

let folder: string;
let disk: string;
let log: DiskLog;
let server: NbdServer;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'spyoncino-nbd-'));
  disk = join(folder, 'disk.img');
  await writeFile(disk, '');
  await truncate(disk, DISK_BYTES);
  log = await DiskLog.create(join(folder, 'log'));
  server = await serveNbd({ path: disk, log, socket: join(folder, 'nbd') });
});
afterEach(async () => {
  await server[Symbol.asyncDispose]();
  await log[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});

/** Commands of qemu-io, through QEMU's own block layer, without a cache of its own. */
async function qemuIo(...commands: readonly string[]): Promise<string> {
  const args = commands.flatMap((command) => ['-c', command]);
  const { stdout } = await run('qemu-io', ['-f', 'raw', '-t', 'none', '-d', 'unmap', ...args, server.uri]);
  return stdout;
}

test('a client learns how large it is and what it can', async () => {
  const { stdout } = await run('nbdinfo', ['--json', server.uri]);
  const { exports, protocol } = JSON.parse(stdout) as {
    protocol: string;
    exports: Record<string, unknown>[];
  };
  expect(protocol).toBe('newstyle-fixed');
  expect(exports[0]).toMatchObject({
    ...{ 'export-size': DISK_BYTES, is_read_only: false },
    ...{ can_flush: true, can_fua: true, can_trim: true, can_zero: true, can_multi_conn: false },
  });
  expect((await run('nbdinfo', ['--list', server.uri])).stdout).toContain('export=""');
});

test('what QEMU writes, flushes and trims is on the disk and in the log, in this order', async () => {
  await qemuIo('write -P 0x41 4096 8192', 'flush', 'write -f -P 0x42 8192 512', 'discard 4096 4096');
  const content = await readFile(disk);
  expect(content.subarray(4096, 8192).every((byte) => byte === 0)).toBe(true);
  expect(content.subarray(8192, 8704).every((byte) => byte === 0x42)).toBe(true);
  expect(content.subarray(8704, 12_288).every((byte) => byte === 0x41)).toBe(true);
  const changes = log.ops.filter(({ kind }) => kind !== 'flush');
  expect(changes).toMatchObject([
    { kind: 'write', offset: 4096, length: 8192, isDurable: false },
    { kind: 'write', offset: 8192, length: 512, isDurable: true },
    { kind: 'zero', offset: 4096, length: 4096 },
  ]);
  expect(log.ops[1]).toEqual({ kind: 'flush' });
  expect(await qemuIo('read -P 0x42 8192 512', 'read -P 0 4096 4096')).not.toContain('verification failed');
});

test('a whole disk copied in and out is the same; its log makes it anew from the empty one', async () => {
  const original = join(folder, 'original.img');
  await writeFile(original, randomBytes(DISK_BYTES));
  await run('nbdcopy', ['--flush', original, server.uri]);
  const copy = join(folder, 'copy.img');
  await run('nbdcopy', [server.uri, copy]);
  const content = await readFile(original);
  expect((await readFile(copy)).equals(content)).toBe(true);
  const again = await imageAfter(cutPower(log.ops, log.ops.length, 'lost', seededRandom(1)));
  expect((await readFile(again)).equals(content)).toBe(true);
});

test('of a file system that was written over it, every power cut after it was made can be mended', async () => {
  // A file system is made on a plain file first: mke2fs wants a file or a device.
  const made = join(folder, 'ext4.img');
  await writeFile(made, '');
  await truncate(made, DISK_BYTES);
  await run('mkfs.ext4', ['-q', '-F', made]);
  await run('qemu-img', ['convert', '-n', '-t', 'none', '-O', 'raw', '-f', 'raw', made, server.uri]);
  await qemuIo('flush');
  log.mark('use');
  // Blocks that belong to no file: whatever is lost of them, the file system stays whole.
  await qemuIo('write -P 1 20M 64k', 'write -P 2 20M 32k', 'flush', 'write -P 3 21M 128k');
  for (const cut of powerCuts(log.ops, { count: 12, random: seededRandom(42), within: 'use' })) {
    const image = await imageAfter(cut);
    await run('e2fsck', ['-f', '-n', image]);
    await rm(image);
  }
});

test('who talks nonsense, or goes away in the middle, harms nobody else', async () => {
  const talker = connect(join(folder, 'nbd'));
  await once(talker, 'connect');
  talker.write(randomBytes(100));
  await once(talker.resume(), 'close');
  const leaver = spawn('qemu-io', ['-f', 'raw', server.uri], { stdio: ['pipe', 'pipe', 'ignore'] });
  leaver.stdin.write('write -P 9 0 64k\n');
  await once(leaver.stdout, 'data');
  leaver.kill('SIGKILL');
  await once(leaver, 'exit');
  await expect(qemuIo(`write ${DISK_BYTES} 512`)).rejects.toThrow();
  expect(await qemuIo('write -P 5 0 512', 'read -P 5 0 512')).not.toContain('verification failed');
});

/** The disk as it was at the beginning, with what a cut left of the log. */
async function imageAfter(cut: Parameters<typeof applyCut>[1]): Promise<string> {
  const path = join(folder, `after-${cut.cutAt}.img`);
  const empty = join(folder, 'empty.img');
  await writeFile(empty, '');
  await truncate(empty, DISK_BYTES);
  await copyFile(empty, path);
  await using file = await open(path, 'r+');
  await applyCut(log.ops, cut, (op) => log.dataOf(op), {
    write: async (offset, data) => void (await file.write(data, 0, data.length, offset)),
  });
  return path;
}
