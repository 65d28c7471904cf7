import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import type { ClipReadyFact } from '../../../device/contract/facts.ts';
import { recoverFootage } from '../../../device/record/index.ts';
import { scanFile } from '../../../device/kernel/fmp4/scan.ts';
import { MemoryDisk } from './memory-disk.ts';
import { readMp4 } from './mp4.ts';
import { ManualClock } from './manual-clock.ts';
import { MEDIA_ID, mountMedia } from '../../harness/media.ts';
import { pathOf, quiet, startRig, turns, type RecordFact } from './rig.ts';
import { START_UTC_MS, syntheticStream } from './synthetic.ts';

/** An unfinished file of several fragments, and what its clip would have said at the end. */
async function unfinished(): Promise<{ path: string; bytes: Buffer; ready: ClipReadyFact }> {
  const disk = new MemoryDisk();
  await using rig = await startRig({ preRollMs: 0, postRollMs: 0 }, disk);
  rig.recorder.openEvent('a', START_UTC_MS);
  await rig.play(syntheticStream({ gops: [4, 3], bFrames: 1, audio: true, bytes: 40 }));
  rig.recorder.openEvent('b', START_UTC_MS);
  await rig.play(
    syntheticStream({
      generation: 2,
      startUtcMs: START_UTC_MS + 5000,
      gops: [12, 12],
      bFrames: 1,
      audio: true,
      bytes: 40,
    }),
  );
  disk.fault = (operation) => {
    if (operation === 'rename') throw new Error('the writer dies here');
  };
  await rig.recorder.close();
  const [path] = [...disk.files.keys()] as [string];
  const bytes = disk.read(path);
  disk.fault = () => {};
  const scanned = readMp4(bytes);
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  const relative = path.slice(rig.dataDir.length + 1);
  const clip = {
    clipId: '20261123T101530.123Z-7-1',
    cameraId: 'porch',
    eventIds: ['a', 'b'],
    path: relative.replace('.part.mp4', '.mp4'),
    startUtcMs: START_UTC_MS,
    durationMs: 7400,
    sizeBytes: bytes.byteLength,
  };
  const coverage = [
    { startUtcMs: START_UTC_MS, endUtcMs: START_UTC_MS + 700 },
    { startUtcMs: START_UTC_MS + 5000, endUtcMs: START_UTC_MS + 7400 },
  ];
  expect(scanned.tracks[0]!.samples).toHaveLength(31);
  return { path: relative, bytes, ready: { type: 'clip.ready', clip, sha256, coverage, recovered: true } };
}

/** A data directory that holds `bytes` at `path`. */
async function folderWith(path: string, bytes: Uint8Array): Promise<AsyncDisposable & { dataDir: string }> {
  const dataDir = await mkdtemp(join(tmpdir(), 'spyoncino-recover-'));
  await mountMedia(dataDir);
  await mkdir(dirname(join(dataDir, path)), { recursive: true });
  await writeFile(join(dataDir, path), bytes);
  return { dataDir, [Symbol.asyncDispose]: () => rm(dataDir, { recursive: true }) };
}

async function recover(
  dataDir: string,
  run = 'next',
  { clock = new ManualClock(START_UTC_MS), facts = [] as RecordFact[] } = {},
): Promise<readonly RecordFact[]> {
  const emit = (fact: RecordFact): void => void facts.push(fact);
  const options = { cameraId: 'porch', dataDir, mediaId: MEDIA_ID, run, clock, log: quiet, emit };
  await recoverFootage(options, new AbortController().signal);
  return facts;
}

async function recoverClip(dataDir: string): Promise<ClipReadyFact> {
  const [fact] = await recover(dataDir);
  if (fact?.type !== 'clip.ready') throw new Error('no clip was recovered');
  return fact;
}

/** Where the file may end, or go on with anything, and is whole up to `end` nevertheless: behind a checksum. */
function wholeAfter(bytes: Buffer, size: number): number | null {
  const { boxes } = readMp4(bytes);
  const seal = boxes.find(({ type, start, end }) => type === 'free' && start + 16 <= size && size < end);
  return seal?.end ?? null;
}

/** Ends of what counts as whole: each seal, and other boxes behind the first. */
function wholeEnds(bytes: Buffer): readonly number[] {
  const { boxes } = readMp4(bytes);
  const first = boxes.findIndex(({ type }) => type === 'free');
  return boxes.slice(first).flatMap(({ type, end }) => (type === 'moof' || type === 'mdat' ? [] : [end]));
}

test('a whole file that was only never renamed is taken over as it is', async () => {
  const { path, bytes, ready } = await unfinished();
  await using folder = await folderWith(path, bytes);
  expect(await recover(folder.dataDir)).toEqual([ready]);
  expect(await readFile(pathOf(folder.dataDir, ready))).toEqual(bytes);
  expect(await readdir(dirname(join(folder.dataDir, path)))).toHaveLength(1);
  expect(await recover(folder.dataDir)).toEqual([]);
});

test('wherever the file ends, what is whole before is found', async () => {
  const { bytes } = await unfinished();
  const ends = wholeEnds(bytes);
  for (let size = 0; size <= bytes.byteLength; size++) {
    const scanned = await scanFile(readerOf(bytes.subarray(0, size)), size);
    const expected = ends.findLast((end) => end <= size) ?? null;
    expect(scanned?.wholeBytes ?? null, `cut at ${size}`).toBe(expected);
  }
});

test('a file cut anywhere in its last fragments is completed from its whole ones', async () => {
  const { path, bytes, ready } = await unfinished();
  const ends = wholeEnds(bytes);
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: ends.at(-5)!, max: bytes.byteLength }),
      fc.constantFrom('cut', 'zeros', 'noise'),
      async (size, tail) => {
        const torn = Buffer.concat([bytes.subarray(0, size), TAILS[tail](bytes.byteLength - size)]);
        await using folder = await folderWith(path, torn);
        const fact = await recoverClip(folder.dataDir);
        const kept = await readFile(pathOf(folder.dataDir, ready));
        const end = (tail === 'cut' ? null : wholeAfter(bytes, size)) ?? ends.findLast((end) => end <= size)!;
        expect(kept).toEqual(torn.subarray(0, end));
        expect(fact.clip.sizeBytes).toBe(kept.byteLength);
        expect(fact.sha256).toBe(createHash('sha256').update(kept).digest('hex'));
        const samples = readMp4(kept).tracks[0]!.samples.length;
        const coveredMs = fact.coverage.reduce(
          (sum, { startUtcMs, endUtcMs }) => sum + endUtcMs - startUtcMs,
          0,
        );
        expect(Math.abs(coveredMs - samples * 100)).toBeLessThanOrEqual(100);
      },
    ),
    { numRuns: 60 },
  );
});

test('a file whose data never arrived is cut where it did', async () => {
  const { path, bytes, ready } = await unfinished();
  const { boxes } = readMp4(bytes);
  const last = boxes.findLast(({ type }) => type === 'mdat')!;
  const seals = boxes.filter(({ type }) => type === 'free');
  // As a file system leaves it that made the file longer before its data was there.
  const holed = Buffer.from(bytes).fill(0, last.end - 30, last.end - 10);
  await using folder = await folderWith(path, holed);
  const fact = await recoverClip(folder.dataDir);
  expect(fact.clip.sizeBytes).toBe(seals.at(-2)!.end);
  expect(readMp4(await readFile(pathOf(folder.dataDir, ready))).tracks[0]!.samples.length).toBeLessThan(31);
});

test('damage inside a file costs nothing behind it', async () => {
  const { path, bytes } = await unfinished();
  const first = readMp4(bytes).boxes.find(({ type }) => type === 'mdat');
  const damaged = Buffer.from(bytes).fill(0, first!.start + 20, first!.end);
  await using folder = await folderWith(path, damaged);
  const fact = await recoverClip(folder.dataDir);
  expect(fact.clip.sizeBytes).toBe(bytes.byteLength);
});

test.for([
  ['empty', 0],
  ['only a head', 700],
] as const)('a file that is %s is set aside, not deleted', async ([, size]) => {
  const { path, bytes } = await unfinished();
  await using folder = await folderWith(path, bytes.subarray(0, size));
  expect(await recover(folder.dataDir)).toEqual([]);
  const left = await readdir(dirname(join(folder.dataDir, path)));
  expect(left).toEqual(['20261123T101530.123Z-7-1.part.mp4.broken']);
  expect(await readFile(join(folder.dataDir, `${path}.broken`))).toEqual(bytes.subarray(0, size));
});

test('a finished clip of the same name is never overwritten', async () => {
  const { path, bytes, ready } = await unfinished();
  await using folder = await folderWith(path, bytes);
  await writeFile(pathOf(folder.dataDir, ready), 'footage');
  expect(await recover(folder.dataDir)).toEqual([]);
  expect(await readFile(pathOf(folder.dataDir, ready), 'utf8')).toBe('footage');
  expect(await readFile(join(folder.dataDir, path))).toEqual(bytes);
});

test('a batch whose end arrived without its beginning counts for nothing', async () => {
  const disk = new MemoryDisk();
  await using rig = await startRig({ mode: 'continuous', segmentMs: 600_000 }, disk);
  const { info, packets } = syntheticStream({ gops: Array.from({ length: 12 }, () => 10), bytes: 300 });
  // Held up, so that the batch that follows has many fragments.
  const stuck = Promise.withResolvers<void>();
  await rig.play({ info, packets: packets.slice(0, 30) });
  disk.fault = (operation) => (operation === 'write' ? stuck.promise : undefined);
  await rig.play({ info, packets: packets.slice(30, 100) });
  disk.fault = () => {};
  stuck.resolve();
  await rig.play({ info, packets: packets.slice(100) });
  const [path] = [...disk.files.keys()] as [string];
  const bytes = disk.read(path);
  const seals = readMp4(bytes).boxes.filter(({ type }) => type === 'free');
  const batches = seals.filter(({ end }) => end % 4096 === 0).map(({ end }) => end);
  const large = batches.findIndex((end, i) => end - (batches[i - 1] ?? 0) > 3 * 4096);
  const [start, end] = [batches[large - 1]!, batches[large]!];
  const torn = Buffer.from(bytes.subarray(0, end)).fill(0, start + 4096, start + 8192);
  await using folder = await folderWith(path.slice(rig.dataDir.length + 1), torn);
  const [fact] = await recover(folder.dataDir);
  if (fact?.type !== 'segment.ready') throw new Error('no segment was recovered');
  const kept = await readFile(pathOf(folder.dataDir, fact));
  const whole = seals.findLast((seal) => seal.end <= start + 4096)!.end;
  expect(kept).toEqual(bytes.subarray(0, whole));
  expect(fact.segment.sizeBytes).toBe(whole);
});

test('what the recorder of now writes is left to it', async () => {
  const { path, bytes } = await unfinished();
  await using folder = await folderWith(path, bytes);
  expect(await recover(folder.dataDir, '7')).toEqual([]);
  expect(await readFile(join(folder.dataDir, path))).toEqual(bytes);
});

test('recovery waits for a disk that is not there yet, and touches no other', async () => {
  const { path, bytes, ready } = await unfinished();
  await using folder = await folderWith(path, bytes);
  await writeFile(
    join(folder.dataDir, 'media/identity.json'),
    JSON.stringify({ id: 'another', created_ts: 0 }),
  );
  const clock = new ManualClock(START_UTC_MS);
  const facts: RecordFact[] = [];
  const recovered = recover(folder.dataDir, 'next', { clock, facts });
  while (clock.sleepers === 0) await turns();
  expect(await readFile(join(folder.dataDir, path))).toEqual(bytes);
  await mountMedia(folder.dataDir);
  clock.advance(5000);
  await recovered;
  expect(facts).toEqual([ready]);
});

test('a camera without clips has nothing to recover', async () => {
  await using folder = await folderWith('media/clips/other/x.part.mp4', Buffer.alloc(0));
  expect(await recover(folder.dataDir)).toEqual([]);
});

const TAILS = {
  cut: () => Buffer.alloc(0),
  zeros: (size: number) => Buffer.alloc(size),
  noise: (size: number) => Buffer.alloc(size, '\x00\x00\x00\x10free1234'),
} as const;

const readerOf =
  (bytes: Buffer) =>
  (positionBytes: number, sizeBytes: number): Promise<Buffer> =>
    Promise.resolve(bytes.subarray(positionBytes, positionBytes + sizeBytes));
