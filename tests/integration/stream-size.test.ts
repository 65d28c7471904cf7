/** What a streaming update fetches, told from two bundles: squashfs as mksquashfs makes it, read by us. */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { appendFile, mkdir, mkdtemp, open, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openSquash } from '../../os-image/build/squashfs.ts';
import { streamSize } from '../../os-image/build/stream.ts';
import { requirePackages } from '../harness/packages.ts';

requirePackages(['squashfs-tools']);

const run = promisify(execFile);
const MIB = 1024 * 1024;

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'spyoncino-stream-'));
});
afterEach(() => rm(folder, { recursive: true }));

/** Bytes that do not compress, the same for the same seed. */
function noise(seed: string, length: number): Buffer {
  const parts: Buffer[] = [];
  for (let i = 0; i * 32 < length; i++) parts.push(createHash('sha256').update(`${seed}${i}`).digest());
  return Buffer.concat(parts).subarray(0, length);
}

/** As RAUC puts it together: squashfs, a tree of hashes, a signature and its length. */
async function bundle(name: string, images: Readonly<Record<string, Buffer>>): Promise<string> {
  const [content, path] = [join(folder, name), join(folder, `${name}.raucb`)];
  await mkdir(content);
  for (const [file, bytes] of Object.entries(images)) await writeFile(join(content, file), bytes);
  await run('mksquashfs', [content, path, '-noappend', '-quiet', '-no-progress', '-comp', 'zstd']);
  const { size } = await stat(path);
  const signature = noise('signature', 2000);
  const length = Buffer.alloc(8);
  length.writeBigUInt64BE(BigInt(signature.length));
  await appendFile(path, Buffer.concat([Buffer.alloc(Math.ceil(size / 128)), signature, length]));
  return path;
}

test('a file is read as it was, whether in blocks, with a shared end, or full of zeros', async () => {
  const files = {
    'a.bin': Buffer.concat([noise('a', 300_000), Buffer.alloc(400_000), noise('b', 1000)]),
    'b.txt': Buffer.from('short'),
    'c.bin': Buffer.alloc(MIB, 'compressible '),
  };
  const file = await open(await bundle('read', files));
  try {
    const squash = openSquash(file.fd);
    const read = Object.fromEntries(
      squash.files.map((one) => [one.name, Buffer.concat([...squash.read(one)])]),
    );
    expect(Object.keys(read)).toEqual(Object.keys(files));
    for (const [name, bytes] of Object.entries(files)) expect(read[name]?.equals(bytes), name).toBe(true);
  } finally {
    await file.close();
  }
});

test('what the running slot has is not fetched; what is new at the end, is', async () => {
  const [root, boot] = [noise('root', 24 * MIB), noise('boot', 4 * MIB)];
  const old = await bundle('old', { 'root.img': root, 'boot.img': boot });
  const changed = Buffer.concat([root.subarray(0, 23 * MIB), noise('changed', MIB), Buffer.alloc(4 * MIB)]);
  const next = await bundle('next', { 'root.img': changed, 'boot.img': boot });

  const size = streamSize(old, next);
  expect(size.newPieces).toEqual({ 'root.img': MIB / 4096, 'boot.img': 0 });
  expect(size.pieces).toBe((28 + 4) * 256);
  expect(size.fetchedBytes).toBeGreaterThan(MIB);
  expect(size.fetchedBytes).toBeLessThan(2 * MIB);

  const same = streamSize(old, old);
  expect(same.newPieces).toEqual({ 'root.img': 0, 'boot.img': 0 });
  expect(same.fetchedBytes).toBeLessThan(MIB);
});

test('bytes that moved by less than a piece are new, all of them', async () => {
  const root = noise('root', 4 * MIB);
  const old = await bundle('before', { 'root.img': root, 'boot.img': Buffer.alloc(4096, 1) });
  const moved = Buffer.concat([Buffer.from('x'), root.subarray(0, root.length - 1)]);
  const next = await bundle('moved', { 'root.img': moved, 'boot.img': Buffer.alloc(4096, 1) });
  expect(streamSize(old, next).newPieces['root.img']).toBe(4 * 256);
});
