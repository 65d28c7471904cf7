import { copyFile, open, readFile, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { exportFootage } from '../../../device/library/export.ts';
import { verifyFiles, type Anchor } from '../../../device/library/verify.ts';
import { readMp4 } from '../record/mp4.ts';
import { syntheticStream } from '../record/synthetic.ts';
import { at, fragmentsOf, recorded, type FragmentPlace, type Recorded } from './recorded.ts';

async function tenSegments(): Promise<Recorded> {
  const gops = Array.from({ length: 20 }, () => 10);
  const camera = await recorded([syntheticStream({ gops, audio: true })], { segmentMs: 2000 });
  await camera.close();
  expect(camera.files()).toHaveLength(10);
  return camera;
}

async function flip(path: string, atBytes: number): Promise<void> {
  await using file = await open(path, 'r+');
  const byte = Buffer.alloc(1);
  await file.read(byte, 0, 1, atBytes);
  await file.write(Buffer.of(byte[0]! ^ 1), 0, 1, atBytes);
}

const verifyOne = async (camera: Recorded, path: string, anchors: readonly Anchor[] = []) => {
  const { files, chains } = await verifyFiles(camera.context, { paths: [path], anchors });
  return { file: files[0]!, chain: chains[0]! };
};

test('footage as it was recorded is proven, wherever it lies now', async () => {
  await using camera = await tenSegments();
  const copy = join(camera.dataDir, 'evidence.mp4');
  await copyFile(camera.files()[3]!, copy);
  const { file, chain } = await verifyOne(camera, copy);
  expect(file).toMatchObject({
    state: 'unaltered',
    link: { position: 4, kind: 'segment' },
    difference: null,
  });
  expect(chain).toMatchObject({ links: 10, last: 10, problems: [] });
});

test('one altered bit is found, with the time it shows', async () => {
  await using camera = await tenSegments();
  const path = camera.files()[3]!;
  const [before, fragment] = (await fragmentsOf(path)) as [FragmentPlace, FragmentPlace];
  const { startUtcMs, endUtcMs } = fragment;
  await flip(path, fragment.dataBytes);
  const { file, chain } = await verifyOne(camera, path);
  expect(file).toMatchObject({
    state: 'altered',
    link: { position: 4 },
    difference: { how: 'altered', startUtcMs, endUtcMs },
  });
  // What stands between two seals belongs together.
  expect(file.difference!.atBytes).toBeGreaterThan(before.dataBytes);
  expect(file.difference!.atBytes).toBeLessThanOrEqual(fragment.moofBytes);
  expect(chain.problems).toEqual([]);
});

test('a file that was cut off, or made longer, is told from an altered one', async () => {
  await using camera = await tenSegments();
  const path = camera.files()[3]!;
  const [longer, shorter] = [join(camera.dataDir, 'longer.mp4'), join(camera.dataDir, 'shorter.mp4')];
  await copyFile(path, shorter);
  const { moofBytes, startUtcMs } = (await fragmentsOf(path))[1]!;
  await truncate(shorter, moofBytes + 5);
  expect((await verifyOne(camera, shorter)).file.difference).toMatchObject({ how: 'cut off', startUtcMs });
  const bytes = await readFile(path);
  await writeFile(longer, Buffer.concat([bytes, Buffer.from('more')]));
  expect((await verifyOne(camera, longer)).file.difference).toMatchObject({
    how: 'made longer',
    atBytes: bytes.byteLength,
  });
});

test('an altered copy whose seals fit again differs from the original where it was altered', async () => {
  await using camera = await tenSegments();
  const original = camera.files()[3]!;
  const copy = join(camera.dataDir, 'forged.mp4');
  // Another event, in the note behind the last seal or in the first fragment: here the time of the index.
  const bytes = await readFile(original);
  const mfra = readMp4(bytes).boxes.find(({ type }) => type === 'mfra')!;
  bytes[mfra.start + 40]! ^= 1;
  await writeFile(copy, bytes);
  const { file } = await verifyOne(camera, copy);
  expect(file).toMatchObject({ state: 'altered', difference: { atBytes: mfra.start + 40 } });
});

test('a file that no chain has is unknown', async () => {
  await using camera = await tenSegments();
  const path = join(camera.dataDir, 'other.mp4');
  await writeFile(path, 'not footage at all');
  expect((await verifyOne(camera, path)).file).toMatchObject({ state: 'unknown', link: null });
});

const TAMPERED = [
  [
    'a row that says another time',
    'UPDATE link SET start_ms = start_ms + 1 WHERE position = 4',
    { type: 'altered', position: 4 },
  ],
  [
    'a row with the hash of another file',
    `UPDATE link SET sha256 = zeroblob(32) WHERE position = 4`,
    { type: 'altered', position: 4 },
  ],
  [
    'a row whose own hash was changed',
    'UPDATE link SET hash = zeroblob(32) WHERE position = 4',
    { type: 'altered', position: 4 },
  ],
  [
    'a row that was removed',
    'DELETE FROM link WHERE position = 4',
    { type: 'removed', position: 4, until: 4 },
  ],
] as const;

test.each(TAMPERED)('%s', async (_, sql, problem) => {
  await using camera = await tenSegments();
  camera.context.store.run(sql);
  const { file, chain } = await verifyOne(camera, camera.files()[3]!);
  expect(chain.problems).toEqual([expect.objectContaining(problem)]);
  expect(file.state).not.toBe('unaltered');
});

test('rows that changed places', async () => {
  await using camera = await tenSegments();
  const { store } = camera.context;
  store.run('UPDATE link SET position = -4 WHERE position = 4');
  store.run('UPDATE link SET position = 4 WHERE position = 5');
  store.run('UPDATE link SET position = 5 WHERE position = -4');
  const { chain } = await verifyOne(camera, camera.files()[0]!);
  expect(chain.problems).toEqual([
    expect.objectContaining({ type: 'moved', position: 4, belongsAt: 5 }),
    expect.objectContaining({ type: 'moved', position: 5, belongsAt: 4 }),
  ]);
});

test('a chain that was computed anew, or shortened, gives itself away to who kept a link of it', async () => {
  await using camera = await tenSegments();
  const { store } = camera.context;
  const hash = Buffer.from(
    store.get<{ hash: Uint8Array }>('SELECT hash FROM link WHERE position = 10')!.hash,
  ).toString('hex');
  const anchor: Anchor = { cameraId: 'porch', position: 10, hash, from: 'the log' };
  expect((await verifyOne(camera, camera.files()[0]!, [anchor])).chain).toMatchObject({
    anchors: 1,
    problems: [],
  });
  // Whoever owns the box replaces the last file and its link, and computes what follows from it.
  store.run('UPDATE link SET sha256 = randomblob(32), hash = randomblob(32) WHERE position = 10');
  const replaced = await verifyOne(camera, camera.files()[0]!, [anchor]);
  expect(replaced.chain.problems).toContainEqual({ type: 'rewritten', position: 10, anchor });
  store.run('DELETE FROM link WHERE position = 10');
  const shortened = await verifyOne(camera, camera.files()[0]!, [anchor]);
  expect(shortened.chain.problems).toEqual([{ type: 'cut off', position: 10, anchor }]);
  expect((await verifyOne(camera, camera.files()[0]!)).chain.problems).toEqual([]);
});

test('an export is proven by its link and by cutting it again; an altered one differs at its time', async () => {
  await using camera = await tenSegments();
  const path = join(camera.dataDir, 'export.mp4');
  await exportFootage(camera.context, { cameraId: 'porch', fromUtcMs: at(3.1), toUtcMs: at(9.2), path });
  const proven = await verifyOne(camera, path);
  expect(proven.file).toMatchObject({
    state: 'unaltered',
    recut: 'same',
    link: { kind: 'export', position: 11 },
  });
  // What it was cut from stood in the chain, and still does.
  expect(proven.chain).toMatchObject({ anchors: 4, problems: [] });
  const bytes = await readFile(path);
  await flip(path, bytes.byteLength - 10);
  const altered = (await verifyOne(camera, path)).file;
  expect(altered).toMatchObject({
    state: 'altered',
    recut: 'different',
    difference: { atBytes: bytes.byteLength - 10 },
  });
  expect(altered.difference!.startUtcMs).toBeGreaterThanOrEqual(at(8));
});
