import { open, type FileHandle } from 'node:fs/promises';
import { makeDirectoryDurable, renameDurable, syncDirectory } from '../kernel/durable-file.ts';
import { dirname } from 'node:path';

/** What the recorder asks of a disk. Every method may reject with the error of the system call. */
export interface Disk {
  /** Makes `path` and its parents, durably. */
  makeDirectory(path: string): Promise<void>;
  /** Creates a file that must not exist yet; its name is durable. */
  create(path: string): Promise<DiskFile>;
  /** Atomic, and durable once it resolves. */
  rename(from: string, to: string): Promise<void>;
}

export interface DiskFile {
  /** Writes all of `chunks` from `positionBytes` on. After a rejection any part of them may be there. */
  write(chunks: readonly Uint8Array[], positionBytes: number): Promise<void>;
  /** Resolves once what was written, and the length of the file, survive a power cut. */
  sync(): Promise<void>;
  truncate(sizeBytes: number): Promise<void>;
  close(): Promise<void>;
}

export const realDisk: Disk = {
  makeDirectory: makeDirectoryDurable,
  rename: renameDurable,
  async create(path) {
    const handle = await open(path, 'wx');
    try {
      await syncDirectory(dirname(path));
      return openFile(handle);
    } catch (error) {
      await handle.close();
      throw error;
    }
  },
};

const openFile = (handle: FileHandle): DiskFile => ({
  async write(chunks, positionBytes) {
    let rest = chunks;
    for (let at = positionBytes; rest.length > 0;) {
      const { bytesWritten } = await handle.writev(rest, at);
      at += bytesWritten;
      rest = without(rest, bytesWritten);
    }
  },
  sync: () => handle.datasync(),
  truncate: (sizeBytes) => handle.truncate(sizeBytes),
  close: () => handle.close(),
});

/** `chunks` less their first `bytes`: a system call may write less than it was given. */
function without(chunks: readonly Uint8Array[], bytes: number): readonly Uint8Array[] {
  let skip = bytes;
  for (const [i, chunk] of chunks.entries()) {
    if (skip < chunk.byteLength) return [chunk.subarray(skip), ...chunks.slice(i + 1)];
    skip -= chunk.byteLength;
  }
  return [];
}
