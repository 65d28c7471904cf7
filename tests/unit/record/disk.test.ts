import { mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { writeIdentity } from '../../../device/kernel/directory-identity.ts';
import { realDisk } from '../../../device/record/disk.ts';
import { FileGone, type Disk, type DiskFile } from '../../../device/record/index.ts';
import { guardedDisk } from '../../../device/record/media-guard.ts';
import { MEDIA_ID, mountMedia } from '../../harness/media.ts';
import { MemoryDisk } from './memory-disk.ts';
import { readMp4 } from './mp4.ts';
import { pathOf, startRig } from './rig.ts';
import { START_UTC_MS, syntheticStream } from './synthetic.ts';

const at = (seconds: number): number => START_UTC_MS + seconds * 1000;

async function folder(): Promise<AsyncDisposable & { path: string }> {
  const path = await mkdtemp(join(tmpdir(), 'spyoncino-disk-'));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true }) };
}

test('nothing is made where the disk is not mounted, or another one is', async () => {
  await using dir = await folder();
  const dataDir = dir.path;
  const disk = guardedDisk({ dataDir, mediaId: MEDIA_ID });
  const path = join(dataDir, 'media/clips/porch/x.mp4');
  await expect(disk.makeDirectory(join(dataDir, 'media/clips/porch'))).rejects.toMatchObject({
    code: 'MEDIA_MISSING',
  });
  expect(await readdir(dataDir)).toEqual([]);
  await mkdir(join(dataDir, 'media'));
  await expect(disk.create(path)).rejects.toMatchObject({ code: 'MEDIA_MISSING' });
  await writeIdentity(join(dataDir, 'media'), { id: 'another', createdUtcMs: 0 });
  await expect(disk.create(path)).rejects.toMatchObject({ code: 'MEDIA_FOREIGN' });
  await expect(disk.reopen(path, 0)).rejects.toMatchObject({ code: 'MEDIA_FOREIGN' });
  await expect(disk.rename(path, `${path}.x`)).rejects.toMatchObject({ code: 'MEDIA_FOREIGN' });
  expect(await readdir(join(dataDir, 'media'))).toEqual(['identity.json']);
  await mountMedia(dataDir);
  await disk.makeDirectory(join(dataDir, 'media/clips/porch'));
  await (await disk.create(path)).close();
  expect(await readdir(join(dataDir, 'media/clips/porch'))).toEqual(['x.mp4']);
});

test('a file is opened again only when all that was durable is there, and without its torn end', async () => {
  await using dir = await folder();
  const path = join(dir.path, 'x');
  await expect(realDisk.reopen(path, 0)).rejects.toBeInstanceOf(FileGone);
  await writeFile(path, 'durable torn');
  await expect(realDisk.reopen(path, 100)).rejects.toBeInstanceOf(FileGone);
  await (await realDisk.reopen(path, 7)).close();
  expect(await readFile(path, 'utf8')).toBe('durable');
});

test('a rename that was done may be asked again; one that cannot be done is told apart', async () => {
  await using dir = await folder();
  const [from, to] = [join(dir.path, 'a'), join(dir.path, 'b')];
  await writeFile(from, '');
  await realDisk.rename(from, to);
  await realDisk.rename(from, to);
  await rm(to);
  await expect(realDisk.rename(from, to)).rejects.toBeInstanceOf(FileGone);
});

test.for([
  ['ENOSPC', 'DISK_FULL'],
  ['EDQUOT', 'DISK_FULL'],
  ['EROFS', 'DISK_READ_ONLY'],
  ['EIO', 'DISK_WRITE_FAILED'],
] as const)(
  'a disk that refuses with %s makes a gap of reason %s, and footage resumes',
  async ([code, reason]) => {
    const disk = new MemoryDisk();
    const settings = { mode: 'continuous', segmentMs: 600_000, bufferBytes: 100_000 } as const;
    await using rig = await startRig(settings, disk);
    const { info, packets } = syntheticStream({ gops: Array.from({ length: 60 }, () => 10), bytes: 1000 });
    await rig.play({ info, packets: packets.slice(0, 100) });
    disk.fault = (operation) => {
      if (operation === 'write') throw Object.assign(new Error('refused'), { code });
    };
    await rig.play({ info, packets: packets.slice(100, 400) });
    // Told while it lasts.
    expect(rig.gaps().length).toBeGreaterThan(0);
    disk.fault = () => {};
    await rig.play({ info, packets: packets.slice(400) });
    await rig.recorder.close();
    const gaps = rig.gaps();
    expect(new Set(gaps.map((gap) => gap.reason.code))).toEqual(new Set([reason]));
    const [segment] = rig.segments();
    expect(segment!.coverage).toEqual([
      { startUtcMs: at(0), endUtcMs: gaps[0]!.startUtcMs },
      { startUtcMs: gaps.at(-1)!.endUtcMs, endUtcMs: at(60) },
    ]);
    const lostSeconds = gaps.reduce(
      (sum, { startUtcMs, endUtcMs }) => sum + (endUtcMs - startUtcMs) / 1000,
      0,
    );
    expect(rig.meter.counts.get(`spyoncino_gap_seconds_total ${reason}`)).toBeCloseTo(lostSeconds);
  },
);

/** The real disk of `dataDir`, whose files fail while it is pulled. */
function pullableDisk(dataDir: () => string): Disk & { isPulled: boolean } {
  const place = () => guardedDisk({ dataDir: dataDir(), mediaId: MEDIA_ID });
  const failing = (file: DiskFile): DiskFile => ({
    ...file,
    async write(chunks, positionBytes) {
      if (disk.isPulled) throw Object.assign(new Error('i/o error'), { code: 'EIO' });
      await file.write(chunks, positionBytes);
    },
  });
  const disk = {
    isPulled: false,
    makeDirectory: (path: string) => place().makeDirectory(path),
    create: async (path: string) => failing(await place().create(path)),
    reopen: async (path: string, sizeBytes: number) => failing(await place().reopen(path, sizeBytes)),
    rename: (from: string, to: string) => place().rename(from, to),
  };
  return disk;
}

test('a disk that is pulled is a gap with its reason; put back, the same file goes on', async () => {
  const disk = pullableDisk(() => rig.dataDir);
  // However long it takes, no file is long enough.
  const settings = { mode: 'continuous', segmentMs: 86_400_000, bufferBytes: 60_000 } as const;
  await using rig = await startRig(settings, disk);
  await mountMedia(rig.dataDir);
  const [media, away] = [join(rig.dataDir, 'media'), join(rig.dataDir, 'away')];
  const { info, packets } = syntheticStream({ gops: Array.from({ length: 2000 }, () => 10), bytes: 1000 });
  let next = 0;
  const playUntil = async (isDone: () => boolean): Promise<void> => {
    while (!isDone()) {
      await rig.play({ info, packets: [packets[next++]!] });
      // The disk is real, and slower than the clock.
      await readdir(rig.dataDir);
    }
  };
  await playUntil(() => rig.meter.counts.has('spyoncino_written_bytes_total'));
  disk.isPulled = true;
  await rename(media, away);
  await playUntil(() => rig.gaps().some(({ reason }) => reason.code === 'MEDIA_MISSING'));
  expect(await readdir(rig.dataDir)).toEqual(['away']);
  disk.isPulled = false;
  await rename(away, media);
  const written = rig.meter.counts.get('spyoncino_written_bytes_total');
  await playUntil(() => rig.meter.counts.get('spyoncino_written_bytes_total') !== written);
  await rig.recorder.close();
  expect(rig.segments()).toHaveLength(1);
  const [segment] = rig.segments();
  const { samples } = readMp4(await readFile(pathOf(rig.dataDir, segment!))).tracks[0]!;
  const isLost = (utcMs: number) =>
    rig.gaps().some(({ startUtcMs, endUtcMs }) => utcMs >= startUtcMs && utcMs < endUtcMs);
  expect(samples).toHaveLength(packets.slice(0, next).filter(({ utcMs }) => !isLost(utcMs)).length);
});

test('a file that somebody takes away costs that file; recording goes on in another', async () => {
  const disk = new MemoryDisk();
  await using rig = await startRig({ mode: 'continuous', segmentMs: 20_000 }, disk);
  const { info, packets } = syntheticStream({ gops: Array.from({ length: 25 }, () => 12) });
  await rig.play({ info, packets: packets.slice(0, 95) });
  disk.files.clear();
  disk.fault = (operation) => {
    if (operation === 'write') throw Object.assign(new Error('stale'), { code: 'ESTALE' });
  };
  await rig.play({ info, packets: packets.slice(95, 115) });
  disk.fault = () => {};
  await rig.play({ info, packets: packets.slice(115) });
  await rig.recorder.close();
  const [segment] = rig.segments();
  expect(segment!.coverage[0]!.startUtcMs).toBe(at(9.6));
  expect(segment!.coverage.at(-1)!.endUtcMs).toBe(rig.segments()[1]?.coverage[0]!.startUtcMs ?? at(30));
  expect(rig.gaps().at(-1)!.endUtcMs).toBe(at(9.6));
});
