/** What `fsck` costs: 100,000 files by name and size, and bytes of real footage a second by hash. */
import { mkdir, open } from 'node:fs/promises';
import { join } from 'node:path';
import { linkHash } from '../../device/library/chain.ts';
import type { LibraryContext } from '../../device/library/context.ts';
import { exportFootage } from '../../device/library/export.ts';
import { fsck, type FsckLevel } from '../../device/library/fsck.ts';
import { linksOf } from '../../device/library/verify-chain.ts';
import { recorded } from '../unit/library/recorded.ts';
import { START_UTC_MS, syntheticStream } from '../unit/record/synthetic.ts';
import { table } from './facts.ts';
import { FILES, fill, openTemporary } from './library.ts';

/** Ten pictures a second: 1 MB each, so that a file is as large as a minute of a camera is. */
const PICTURE_BYTES = 100_000;
const GOPS = Array.from({ length: 150 }, () => 10);

export async function benchFsck(): Promise<string> {
  return `${await benchNames()}\n\n${await benchBytes()}`;
}

async function benchNames(): Promise<string> {
  await using library = await openTemporary();
  const { context, dataDir } = library;
  fill(context, FILES, 0);
  chainAnew(context);
  const files = context.store.all<{ path: string; size_bytes: number }>('SELECT path, size_bytes FROM file');
  for (const folder of new Set(files.map(({ path }) => path.slice(0, path.lastIndexOf('/'))))) {
    await mkdir(join(dataDir, folder), { recursive: true });
  }
  for (const { path, size_bytes } of files) {
    await using file = await open(join(dataDir, path), 'w');
    await file.truncate(size_bytes);
  }
  return table([
    [`fsck of ${FILES} files`, 's', 'CPU, s', 'found'],
    ...[await measured(context, 'presence'), await measured(context, 'size')],
  ]);
}

async function benchBytes(): Promise<string> {
  const stream = syntheticStream({ gops: GOPS, bytes: PICTURE_BYTES });
  await using camera = await recorded([stream], { segmentMs: 60_000, bufferBytes: 2 ** 30 });
  await camera.close();
  const hash = await measured(camera.context, 'hash');
  const cpu = process.cpuUsage();
  const startedMs = performance.now();
  const { files } = await exportFootage(camera.context, {
    cameraId: 'porch',
    fromUtcMs: START_UTC_MS + 1234,
    toUtcMs: START_UTC_MS + 148_765,
    path: join(camera.dataDir, 'export.mp4'),
  });
  const seconds = (performance.now() - startedMs) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  const bytes = files[0]!.sizeBytes;
  return table([
    ['real footage, from the page cache', 's', 'CPU, s', 'MB/s'],
    [`fsck, ${hash[0]}`, hash[1]!, hash[2]!, hash[4]!],
    [
      `export, ${(bytes / 1e6).toFixed(0)} MB`,
      ...[seconds.toFixed(2), ((user + system) / 1e6).toFixed(2), (bytes / 1e6 / seconds).toFixed(0)],
    ],
  ]);
}

async function measured(context: LibraryContext, level: FsckLevel): Promise<readonly string[]> {
  const cpu = process.cpuUsage();
  const startedMs = performance.now();
  const { findings, readBytes } = await fsck(context, { level, repair: false, onFinding: () => {} });
  const ms = performance.now() - startedMs;
  const { user, system } = process.cpuUsage(cpu);
  const read = level === 'hash' ? [(readBytes / 1e6 / (ms / 1000)).toFixed(0)] : [];
  const what = level === 'hash' ? `${(readBytes / 1e6).toFixed(0)} MB` : `level ${level}`;
  return [what, (ms / 1000).toFixed(2), ((user + system) / 1e6).toFixed(2), String(findings), ...read];
}

/** The rows of the benchmark have made-up hashes. */
function chainAnew({ store }: LibraryContext): void {
  const cameras = store.all<{ no: number; camera_id: string }>('SELECT no, camera_id FROM camera');
  store.transaction(() => {
    for (const { no, camera_id } of cameras) {
      let hash: Uint8Array | null = null;
      for (const link of [...linksOf(store, camera_id)]) {
        hash = linkHash(hash, link.position, camera_id, link);
        store.run('UPDATE link SET hash = ? WHERE camera = ? AND position = ?', hash, no, link.position);
      }
    }
  });
}
