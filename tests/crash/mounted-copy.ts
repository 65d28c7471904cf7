import { open, mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { createLoopDisk } from '../harness/loop-disk.ts';
import { memoryFolder } from '../harness/memory-folder.ts';

export interface MountedCopy extends AsyncDisposable {
  readonly directory: string;
}

const PIECE_BYTES = 64 * 1024;
const ZEROS = Buffer.alloc(PIECE_BYTES);

/** The file system in `bytes`, mounted as after a restart: its journal is replayed. */
export async function mountCopy(bytes: Buffer): Promise<MountedCopy> {
  await using building = new AsyncDisposableStack();
  const folder = await mkdtemp(join(memoryFolder(), 'spyoncino-cut-'));
  building.defer(() => rm(folder, { recursive: true, force: true }));
  const image = join(folder, 'image');
  await writeSparse(image, bytes);
  const disk = building.use(await createLoopDisk({ image }));
  const directory = join(folder, 'mounted');
  await disk.mount(directory);
  const owned = building.move();
  return { directory, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/** Most of a disk is empty. */
async function writeSparse(path: string, bytes: Buffer): Promise<void> {
  await using file = await open(path, 'w');
  await file.truncate(bytes.byteLength);
  for (let at = 0; at < bytes.byteLength; at += PIECE_BYTES) {
    const piece = bytes.subarray(at, at + PIECE_BYTES);
    if (!piece.equals(ZEROS.subarray(0, piece.byteLength))) await file.write(piece, 0, piece.byteLength, at);
  }
}
