import { existsSync } from 'node:fs';
import { copyFile, mkdir, open, rename, rm, stat, truncate, utimes, writeFile } from 'node:fs/promises';
import { basename, dirname, join, relative } from 'node:path';
import { expect, test } from 'vitest';
import type { FootageFact } from '../../../device/library/commit.ts';
import { removeFootage } from '../../../device/library/garbage.ts';
import { fsck, type Finding, type FsckOptions } from '../../../device/library/fsck.ts';
import { recoverFootage } from '../../../device/record/index.ts';
import { MEDIA_ID } from '../../harness/media.ts';
import { quiet } from '../record/rig.ts';
import { syntheticStream } from '../record/synthetic.ts';
import { recorded, type Recorded } from './recorded.ts';

/** Five segments, closed an hour ago. */
async function fiveSegments(): Promise<Recorded> {
  const gops = Array.from({ length: 10 }, () => 10);
  const camera = await recorded([syntheticStream({ gops })], { segmentMs: 2000 });
  await camera.close();
  expect(camera.files()).toHaveLength(5);
  camera.rig.clock.advanceTo(camera.rig.clock.utcMs() + 3_600_000);
  for (const path of camera.files()) await age(camera, path);
  return camera;
}

/** Files are as old as the clock of the test says. */
async function age(camera: Recorded, path: string, ms = 3_600_000): Promise<void> {
  const seconds = (camera.context.clock.utcMs() - ms) / 1000;
  await utimes(path, seconds, seconds);
}

async function check(camera: Recorded, options: Partial<FsckOptions> = {}): Promise<Finding[]> {
  const findings: Finding[] = [];
  const onFinding = (finding: Finding): void => void findings.push(finding);
  await fsck(camera.context, { level: 'presence', repair: false, onFinding, ...options });
  return findings;
}

const nameOf = (camera: Recorded, path: string): string => relative(camera.dataDir, path);

test.each(['presence', 'size', 'hash'] as const)(
  'footage as it was recorded is clean (%s)',
  async (level) => {
    await using camera = await fiveSegments();
    const findings: Finding[] = [];
    const summary = await fsck(camera.context, {
      level,
      repair: false,
      onFinding: (each) => findings.push(each),
    });
    expect(findings).toEqual([]);
    expect(summary).toMatchObject({ findings: 0, files: 5 });
    expect(summary.readBytes > 0).toBe(level === 'hash');
  },
);

test('a file that is gone is marked as missing, once; when it is back, the mark goes', async () => {
  await using camera = await fiveSegments();
  const path = camera.files()[2]!;
  await rename(path, join(camera.dataDir, 'elsewhere'));
  const missing = { type: 'missing', path: nameOf(camera, path) };
  expect(await check(camera)).toEqual([expect.objectContaining({ ...missing, repaired: false })]);
  expect(await check(camera, { repair: true })).toEqual([
    expect.objectContaining({ ...missing, repaired: true }),
  ]);
  expect(await check(camera)).toEqual([]);
  await rename(join(camera.dataDir, 'elsewhere'), path);
  const found = expect.objectContaining({ type: 'found', repaired: true });
  expect(await check(camera, { repair: true })).toEqual([found]);
  expect(await check(camera)).toEqual([]);
});

test('what is missing for longer than a week is forgotten; its link stays', async () => {
  await using camera = await fiveSegments();
  await rm(camera.files()[2]!);
  await check(camera, { repair: true });
  camera.rig.clock.advanceTo(camera.rig.clock.utcMs() + 8 * 86_400_000);
  expect(await check(camera, { repair: true })).toEqual([
    expect.objectContaining({ type: 'dead', repaired: true }),
  ]);
  expect(camera.files()).toHaveLength(4);
  expect(await check(camera)).toEqual([]);
  const links = camera.context.store.get<{ n: number }>('SELECT count(*) AS n FROM link')!.n;
  expect(links).toBe(5);
});

test('a file of ours without a row is adopted; one of unknown origin is told and left alone', async () => {
  await using camera = await fiveSegments();
  const [adopted] = camera.files() as [string];
  camera.context.store.run('DELETE FROM file WHERE no = (SELECT min(no) FROM file)');
  const strange = join(dirname(adopted), 'holiday.mp4');
  await writeFile(strange, 'of somebody else');
  await age(camera, strange);
  const expected = (repaired: boolean) =>
    expect.arrayContaining([
      expect.objectContaining({ type: 'unlisted', path: nameOf(camera, adopted), repaired }),
      expect.objectContaining({ type: 'unknown', path: nameOf(camera, strange), repaired: false }),
    ]);
  expect(await check(camera)).toEqual(expected(false));
  expect(await check(camera, { repair: true })).toEqual(expected(true));
  expect(await check(camera)).toEqual([expect.objectContaining({ type: 'unknown' })]);
  expect(existsSync(strange)).toBe(true);
});

test('a file closed a moment ago, of which the agent has yet to hear, is no finding', async () => {
  await using camera = await fiveSegments();
  const [path] = camera.files() as [string];
  camera.context.store.run('DELETE FROM file WHERE no = (SELECT min(no) FROM file)');
  await age(camera, path, 1000);
  expect(await check(camera, { repair: true, level: 'hash' })).toEqual([]);
});

test('a file that is deleted between index and disk is no finding', async () => {
  await using camera = await fiveSegments();
  const fileId = basename(camera.files().at(-1)!, '.mp4');
  const findings: Finding[] = [];
  let removed: Promise<void> | undefined;
  await fsck(camera.context, {
    level: 'presence',
    repair: false,
    onFinding: (finding) => findings.push(finding),
    // As soon as it has looked at anything; what it knows of the folder is old by then.
    onProgress: () => void (removed ??= removeFootage(camera.context, { fileIds: [fileId] })),
  });
  await removed;
  expect(camera.files()).toHaveLength(4);
  expect(findings).toEqual([]);
});

test('another size, another byte, another time: each at its level, with the place', async () => {
  await using camera = await fiveSegments();
  const [first, second, third] = camera.files() as [string, string, string];
  await truncate(first, 5000);
  {
    await using file = await open(second, 'r+');
    await file.write(Buffer.of(0xff), 0, 1, 5000);
  }
  const { no } = camera.context.store.get<{ no: number }>(
    'SELECT no FROM file WHERE path = ?',
    nameOf(camera, third),
  )!;
  for (const [start, end] of [
    [1, 2],
    [3, 4],
  ] as const) {
    camera.context.store.run('INSERT INTO coverage VALUES (?, ?, ?)', no, start, end);
  }
  expect(await check(camera)).toEqual([]);
  const size = expect.objectContaining({ type: 'size', path: nameOf(camera, first) });
  expect(await check(camera, { level: 'size' })).toEqual([size]);
  const altered = expect.objectContaining({
    type: 'altered',
    path: nameOf(camera, second),
    detail: expect.stringMatching(/byte \d+ from 2026-11-23T10:15:3\d/) as string,
  });
  const coverage = { type: 'coverage', path: nameOf(camera, third) };
  const all = await check(camera, { level: 'hash', repair: true });
  expect(all).toEqual([size, altered, expect.objectContaining({ ...coverage, repaired: true })]);
  expect(await check(camera, { level: 'hash' })).toEqual([size, altered]);
});

test('a tampered chain, and garbage that stayed, are found', async () => {
  await using camera = await fiveSegments();
  const { store, media, clock } = camera.context;
  store.run('UPDATE link SET end_ms = end_ms + 1000 WHERE position = 3');
  const garbage = join(dirname(camera.files()[0]!), 'old.mp4');
  await writeFile(garbage, 'x');
  store.run(
    'INSERT INTO garbage (media, path, since_ms) VALUES (?, ?, ?)',
    media,
    nameOf(camera, garbage),
    Math.round(clock.utcMs()) - 600_000,
  );
  const findings = await check(camera, { repair: true });
  expect(findings).toEqual([
    expect.objectContaining({ type: 'garbage', repaired: true }),
    expect.objectContaining({ type: 'chain', path: 'porch', detail: 'link 3 was altered' }),
  ]);
  expect(existsSync(garbage)).toBe(false);
});

test('an unfinished file is completed once nobody writes it; one that grows is no finding', async () => {
  await using camera = await fiveSegments();
  const [path] = camera.files() as [string];
  const part = path.replace('.mp4', '.part.mp4');
  camera.context.store.run('DELETE FROM file WHERE no = (SELECT min(no) FROM file)');
  await rename(path, part);
  const complete = async (cameraId: string): Promise<readonly FootageFact[]> => {
    const facts: FootageFact[] = [];
    const { dataDir, context } = camera;
    const options = { cameraId, dataDir, mediaId: MEDIA_ID, run: '', clock: context.clock, log: quiet };
    await recoverFootage({ ...options, emit: (fact) => facts.push(fact) }, context.signal);
    return facts;
  };
  await age(camera, part, 2000);
  expect(await check(camera, { repair: true, complete })).toEqual([]);
  await age(camera, part);
  {
    // Somebody has it open.
    await using _ = await open(part, 'r+');
    expect(await check(camera, { repair: true, complete })).toEqual([]);
  }
  const finding = { type: 'unfinished', path: nameOf(camera, part) };
  expect(await check(camera)).toEqual([expect.objectContaining({ ...finding, repaired: false })]);
  expect(await check(camera, { repair: true, complete })).toEqual([
    expect.objectContaining({ ...finding, repaired: true }),
  ]);
  expect(existsSync(path)).toBe(true);
  expect(await check(camera, { level: 'hash' })).toEqual([]);
});

test('what the disk does not give away is told, and the rest is looked at', async () => {
  await using camera = await fiveSegments();
  const [first, second] = camera.files() as [string, string];
  await rm(first);
  await mkdir(first);
  await truncate(second, 5000);
  expect(await check(camera, { level: 'size' })).toEqual([
    expect.objectContaining({ type: 'size', path: nameOf(camera, first) }),
    expect.objectContaining({ type: 'size', path: nameOf(camera, second) }),
  ]);
  // A folder of the very size: there is nothing to be read of it.
  const { size } = await stat(first);
  camera.context.store.run('UPDATE file SET size_bytes = ? WHERE path = ?', size, nameOf(camera, first));
  expect(await check(camera, { level: 'hash' })).toEqual([
    expect.objectContaining({ type: 'unreadable', path: nameOf(camera, first) }),
    expect.objectContaining({ type: 'size', path: nameOf(camera, second) }),
  ]);
});

test('only the camera that was named is looked at', async () => {
  await using camera = await fiveSegments();
  const stranger = join(camera.dataDir, 'media/segments/garden/2026-11-23');
  await mkdir(stranger, { recursive: true });
  await copyFile(camera.files()[0]!, join(stranger, 'x.mp4'));
  await age(camera, join(stranger, 'x.mp4'));
  expect(await check(camera, { cameraId: 'porch' })).toEqual([]);
  expect(await check(camera)).toEqual([expect.objectContaining({ type: 'unknown' })]);
});
