/** Encrypted copies in a bucket: sent through a network that breaks, brought back, opened on another machine. */
import { execFile, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { access, appendFile, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { promisify } from 'node:util';
import { stringify } from 'yaml';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { recipientText, type Recipient } from '../../device/contract/recipient.ts';
import { commitFacts } from '../../device/library/commit.ts';
import { remoteManifestDue } from '../../device/library/remote-manifest.ts';
import { newKeyPair } from '../../device/sync/index.ts';
import type { PlantedObject } from '../harness/s3/footage.ts';
import { startProxy } from '../harness/s3/proxy.ts';
import {
  BUCKET,
  clientOf,
  expected,
  footageIn,
  PREFIX,
  uploadRig,
  type UploadRig,
} from '../harness/s3/rig.ts';
import { S3_KEY } from '../harness/s3/server.ts';

const MB = 2 ** 20;

let folder: string;
let owner: { pem: string; recipient: Recipient };
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'spyoncino-sealed-'));
  owner = newKeyPair();
  await writeFile(join(folder, 'owner.pem'), owner.pem);
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const sealedRig = (): Promise<UploadRig> => uploadRig({ settings: { encryptTo: owner.recipient } });

type Outcome = { readonly code: number; readonly stdout: string; readonly stderr: string };

async function cli(...argv: readonly string[]): Promise<Outcome> {
  return await promisify(execFile)(process.execPath, ['device/cli/spyoncino.js', ...argv]).then(
    (done) => ({ code: 0, ...done }),
    (error: Outcome) => error,
  );
}

/** `spyoncino remote` with a configuration of its own. */
async function remote(rig: UploadRig, ...argv: readonly string[]): Promise<Outcome> {
  const remote = {
    ...{ enabled: true, endpoint: `http://127.0.0.1:${rig.server.port}`, bucket: BUCKET, prefix: PREFIX },
  };
  await writeFile(join(folder, 'config.yaml'), stringify({ storage: { remote } }));
  const keys = { access_key_id: S3_KEY, secret_access_key: S3_KEY };
  await writeFile(join(folder, 'secrets.yaml'), stringify({ storage: { remote: keys } }), { mode: 0o600 });
  return await cli('remote', ...argv, '--config-dir', folder, '--data-dir', folder);
}

/** Everything was sent, and the manifests say so. */
async function settled(rig: UploadRig): Promise<void> {
  // Long ago, so that the manifest need not be waited for.
  rig.index.store.run('UPDATE manifest SET changed_ms = 0');
  await using run = rig.start();
  await vi.waitFor(() => expect(remoteManifestDue(rig.index, { changedBeforeUtcMs: 1 })).toEqual([]), {
    timeout: 20_000,
  });
  await run.uploader.compare();
}

const get = async (rig: UploadRig, key: string): Promise<Buffer> =>
  await buffer(await clientOf(rig.server.port).getObject(BUCKET, PREFIX + key));

async function expectRestored(rig: UploadRig, to: string, planted: readonly PlantedObject[]): Promise<void> {
  for (const { key, path } of planted) {
    expect((await readFile(join(to, key))).equals(await readFile(join(rig.dataDir, path))), key).toBe(true);
  }
}

test('nothing leaves in the clear; with the key everything comes back, without it all can be checked', async () => {
  await using rig = await sealedRig();
  const planted = await rig.plant(6, (n) => 1000 + n);
  const onDisk = (await filesIn(rig.dataDir)).toSorted();
  const requests: Buffer[] = [];
  await using wire = await startProxy(rig.proxy.port, (chunk) => requests.push(chunk));
  {
    await using run = rig.start({ endpoint: `http://127.0.0.1:${wire.port}` });
    await run.drained();
    expect(await run.uploader.compare()).toMatchObject({ missing: [], orphaned: [], totalRemote: 6 });
  }
  const wasSent = (bytes: Buffer): boolean => Buffer.concat(requests).includes(bytes);
  for (const { key, path, sizeBytes } of planted) {
    const there = await get(rig, key);
    expect(wasSent(there)).toBe(true);
    expect(there.subarray(0, 7).toString()).toBe('SPYSEAL');
    expect(there.byteLength).toBe(114 + PREFIX.length + key.length + sizeBytes + 16);
    const file = await readFile(join(rig.dataDir, path));
    for (let at = 0; at + 24 <= file.byteLength; at += 24) {
      expect(wasSent(file.subarray(at, at + 24))).toBe(false);
    }
  }
  expect((await filesIn(rig.dataDir)).toSorted()).toEqual(onDisk);
  // Once it is there, nothing here can open it.
  expect(rig.index.store.get('SELECT count(*) AS n FROM remote WHERE seal IS NOT NULL')).toEqual({ n: 0 });
  await settled(rig);

  expect((await remote(rig, 'list')).stdout).toContain('6 of them encrypted');
  expect(await remote(rig, 'verify')).toMatchObject({ code: 0 });
  expect(await remote(rig, 'verify', '--deep')).toMatchObject({ code: 0 });

  const to = join(folder, 'restored');
  const without = await remote(rig, 'restore', '--to', to);
  expect(without).toMatchObject({ code: 1, stdout: expect.stringContaining('no key was given') as string });
  expect(without.stdout).toContain('0 objects brought');
  const key = join(folder, 'owner.pem');
  expect(await remote(rig, 'restore', '--to', to, '--key', key)).toMatchObject({ code: 0 });
  await expectRestored(rig, to, planted);
  expect((await remote(rig, 'restore', '--to', to, '--key', key, '--json')).stdout).toContain('"present":6');
});

test('objects that changed places are genuine, and not taken for each other', async () => {
  await using rig = await sealedRig();
  const planted = await rig.plant(2, () => 2000);
  {
    await using run = rig.start();
    await run.drained();
  }
  await settled(rig);
  const [a, b] = planted as [PlantedObject, PlantedObject];
  const [first, second] = [await get(rig, a.key), await get(rig, b.key)];
  const client = clientOf(rig.server.port);
  await client.putObject(BUCKET, PREFIX + a.key, second);
  await client.putObject(BUCKET, PREFIX + b.key, first);
  const outcome = await remote(
    rig,
    'restore',
    '--to',
    join(folder, 'to'),
    '--key',
    join(folder, 'owner.pem'),
  );
  expect(outcome.code).toBe(1);
  expect(outcome.stdout).toContain(`another object than its place or name says. (${PREFIX}${b.key})`);
  expect(await filesIn(join(folder, 'to'))).toEqual([]);
});

const filesIn = async (path: string): Promise<string[]> =>
  (await readdir(path, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map(({ name }) => name);

test('a large object goes on after cuts and restarts with the same bytes, and opens', async () => {
  await using rig = await sealedRig();
  const planted = await rig.plant(1, () => 23 * MB + 17);
  rig.proxy.breakAt(7 * MB, 'request');
  const middle = Promise.withResolvers<void>();
  rig.proxy.at(17 * MB, () => middle.resolve());
  {
    await using first = rig.start();
    await middle.promise;
    expect(first.failures).toEqual(['S3_INTERRUPTED']);
  }
  const { seal } = rig.index.store.get<{ seal: string }>('SELECT seal FROM remote')!;
  expect(seal).toContain(owner.recipient.keyId);
  await using second = rig.start();
  await second.drained();
  // Parts that had arrived were not sent again, so they were the same.
  expect(rig.proxy.sentBytes).toBeLessThan(23 * MB + 12 * MB);
  expect(rig.index.store.get('SELECT seal FROM remote')).toEqual({ seal: null });

  const [{ key, sizeBytes }] = planted as [PlantedObject];
  const there = await get(rig, key);
  const row = rig.index.store.get<{ sealed: string }>('SELECT sealed FROM remote')!;
  expect(JSON.parse(row.sealed)).toEqual({
    keyId: owner.recipient.keyId,
    sizeBytes: there.byteLength,
    sha256: createHash('sha256').update(there).digest('hex'),
  });
  const [sealed, opened] = [join(folder, 'object'), join(folder, 'opened.mp4')];
  await writeFile(sealed, there);
  const args = ['decrypt', '--key', join(folder, 'owner.pem'), '--name', PREFIX + key, sealed, opened];
  expect(await cli(...args)).toMatchObject({ code: 0 });
  await expectSame(opened, join(rig.dataDir, planted[0]!.path));
  expect((await stat(opened)).size).toBe(sizeBytes);
});

const expectSame = async (one: string, other: string): Promise<void> =>
  expect((await readFile(one)).equals(await readFile(other))).toBe(true);

test('an encrypted upload whose answer was lost is not sent again', async () => {
  await using rig = await sealedRig();
  await rig.plant(1, () => 2 * MB);
  rig.proxy.breakAt(2 * MB, 'response');
  await using run = rig.start();
  await run.drained();
  expect(run.failures).toEqual(['S3_INTERRUPTED']);
  expect(rig.proxy.sentBytes).toBeLessThan(3 * MB);
});

test('what arrives damaged is sent again under another data key', async () => {
  await using rig = await sealedRig();
  const planted = await rig.plant(1, () => 2 * MB);
  rig.proxy.breakAt(MB, 'flip');
  const seals: unknown[] = [];
  rig.proxy.at(MB, () => seals.push(rig.index.store.get('SELECT seal FROM remote')));
  rig.proxy.at(3 * MB, () => seals.push(rig.index.store.get('SELECT seal FROM remote')));
  await using run = rig.start();
  await run.drained();
  expect(run.failures).toEqual(['S3_CORRUPTED']);
  expect(new Set(seals.map((row) => (row as { seal: string }).seal)).size).toBe(2);
  await settled(rig);
  const to = join(folder, 'to');
  await remote(rig, 'restore', '--to', to, '--key', join(folder, 'owner.pem'));
  await expectRestored(rig, to, planted);
});

test('footage that was altered is not encrypted, not a byte of it', async () => {
  await using rig = await sealedRig();
  const planted = await rig.plant(1, () => 12 * MB);
  const path = join(rig.dataDir, planted[0]!.path);
  const bytes = await readFile(path);
  bytes[11 * MB]! ^= 1;
  await writeFile(path, bytes);
  await using run = rig.start();
  expect((await run.failure()).code).toBe('FOOTAGE_ALTERED');
  expect(rig.proxy.sentBytes).toBeLessThan(MB);
  expect(footageIn(await rig.bucket())).toEqual(new Map());
});

test('a bucket in which some is clear, and some is for one key or another', async () => {
  await using rig = await uploadRig();
  const clear = await rig.plant(3, () => 3000);
  {
    await using run = rig.start();
    await run.drained();
  }
  const later = newKeyPair();
  const sealed = await rig.plant(3, () => 3000);
  {
    await using run = rig.start({ encryptTo: owner.recipient });
    await run.drained();
  }
  const newer = await rig.plant(3, () => 3000);
  {
    await using run = rig.start({ encryptTo: later.recipient });
    await run.drained();
    expect(await run.uploader.compare()).toMatchObject({ missing: [], orphaned: [], totalRemote: 9 });
  }
  await settled(rig);
  expect(await remote(rig, 'verify', '--deep')).toMatchObject({ code: 0 });
  const [to, key, other] = [join(folder, 'to'), join(folder, 'owner.pem'), join(folder, 'later.pem')];
  await writeFile(other, later.pem);
  const half = await remote(rig, 'restore', '--to', to, '--key', key);
  expect(half).toMatchObject({ code: 1, stdout: expect.stringContaining('6 objects brought') as string });
  expect(half.stdout).toContain(`it is for the key ${later.recipient.keyId}`);
  expect(await remote(rig, 'restore', '--to', to, '--key', key, '--key', other)).toMatchObject({ code: 0 });
  await expectRestored(rig, to, [...clear, ...sealed, ...newer]);
  const there = footageIn(await rig.bucket());
  for (const [name, object] of expected(clear)) expect(there.get(name)).toEqual(object);
});

test('with another key, or none, an unfinished upload begins again', async () => {
  await using rig = await sealedRig();
  const planted = await rig.plant(1, () => 12 * MB);
  const middle = Promise.withResolvers<void>();
  rig.proxy.at(7 * MB, () => middle.resolve());
  {
    await using _first = rig.start();
    await middle.promise;
  }
  await using second = rig.start({ encryptTo: null });
  await second.drained();
  expect(footageIn(await rig.bucket())).toEqual(expected(planted));
  expect(rig.index.store.get('SELECT seal, sealed FROM remote')).toEqual({ seal: null, sealed: null });
});

test('a better still is encrypted under a data key of its own', async () => {
  await using rig = await sealedRig();
  const [, , still] = (await rig.plant(3, () => 5000)) as [unknown, unknown, PlantedObject];
  await using run = rig.start();
  await run.drained();
  const before = await get(rig, still.key);
  await writeFile(join(rig.dataDir, still.path), Buffer.alloc(5000, 1));
  commitFacts(rig.index, [
    { type: 'still', cameraId: 'porch', eventId: still.ref, path: still.path, utcMs: 1, sizeBytes: 5000 },
  ]);
  run.uploader.hurry();
  await run.after(4);
  const after = await get(rig, still.key);
  expect(after.byteLength).toBe(before.byteLength);
  expect(after.subarray(32, 64).equals(before.subarray(32, 64))).toBe(false);
});

test('keys: a pair is made once, the private half for its owner alone', async () => {
  const path = join(folder, 'new.pem');
  const made = await cli('keys', 'new', path);
  expect(made.code).toBe(0);
  expect(made.stdout).toMatch(/^x25519:[\w-]{43}:[0-9a-f]{16}\n$/);
  expect(made.stderr).toContain('OFF the device');
  expect(made.stderr).toContain(`encrypt_to: ${made.stdout.trim()}`);
  expect((await stat(path)).mode & 0o777).toBe(0o600);
  expect(made.stdout + made.stderr).not.toContain('PRIVATE KEY');
  const pem = await readFile(path, 'utf8');
  expect((await cli('keys', 'new', path)).stderr).toContain('may hold a key');
  expect(await readFile(path, 'utf8')).toBe(pem);
  expect((await cli('keys', 'show', path)).stdout).toBe(made.stdout);
  expect((await cli('keys', 'show', join(folder, 'none.pem'))).stderr).toContain('[SEAL_KEY_UNUSABLE]');
});

test('decrypt: from pipe to pipe, and a reason for everything that does not open', async () => {
  await using rig = await sealedRig();
  const [planted] = (await rig.plant(1, () => 300_000)) as [PlantedObject];
  {
    await using run = rig.start();
    await run.drained();
  }
  const there = await get(rig, planted.key);
  const key = join(folder, 'owner.pem');

  const child = spawn(process.execPath, ['device/cli/spyoncino.js', 'decrypt', '--key', key]);
  child.stdin.end(there);
  const [piped, [code]] = await Promise.all([buffer(child.stdout), once(child, 'exit')]);
  expect(code).toBe(0);
  expect(piped.equals(await readFile(join(rig.dataDir, planted.path)))).toBe(true);

  const wrong = join(folder, 'wrong.pem');
  await writeFile(wrong, newKeyPair().pem);
  const broken = Buffer.from(there);
  broken[broken.byteLength - 20]! ^= 1;
  const cases: readonly (readonly [Buffer, readonly string[], string])[] = [
    [there, ['--key', wrong], 'SEAL_KEY_WRONG'],
    [broken, ['--key', key], 'SEAL_BROKEN'],
    [there.subarray(0, -1), ['--key', key], 'SEAL_TRUNCATED'],
    [there.subarray(0, 114 + PREFIX.length + planted.key.length + 65_552), ['--key', key], 'SEAL_TRUNCATED'],
    [there, ['--key', key, '--name', 'another.mp4'], 'SEAL_SWAPPED'],
    [Buffer.from('ftypisom'), ['--key', key], 'SEAL_UNKNOWN'],
  ];
  const [from, to] = [join(folder, 'in'), join(folder, 'out.mp4')];
  for (const [bytes, args, why] of cases) {
    await writeFile(from, bytes);
    const outcome = await cli('decrypt', ...args, from, to);
    expect(outcome).toMatchObject({ code: 1, stderr: expect.stringContaining(`[${why}]`) as string });
    await expect(access(to), why).rejects.toThrow();
    await expect(access(`${to}.part`), why).rejects.toThrow();
  }
  // What is there already stays.
  await writeFile(to, 'old');
  await appendFile(from, 'x');
  await cli('decrypt', '--key', key, from, to);
  expect(await readFile(to, 'utf8')).toBe('old');
  expect((await cli('decrypt', from, to)).stderr).toContain('[USAGE]');
  expect((await cli('decrypt', '--key', key, join(folder, 'none'), to)).code).toBe(1);
});

test('the public key in config.yaml; one that is misspelt is refused', async () => {
  const text = recipientText(owner.recipient);
  const of = (encrypt_to: string): string => stringify({ storage: { remote: { encrypt_to } } });
  await writeFile(join(folder, 'config.yaml'), of(text));
  expect(await cli('config', 'check', '--config-dir', folder)).toMatchObject({ code: 0 });
  await writeFile(join(folder, 'config.yaml'), of(text.replace(/:\w/, ':_')));
  const refused = await cli('config', 'check', '--config-dir', folder);
  expect(refused.code).not.toBe(0);
  expect(refused.stdout + refused.stderr).toContain('storage.remote.encrypt_to');
});
