import { open, stat, unlink, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { CodedError, type ErrorCode } from '../contract/errors.ts';
import { makeDirectoryDurable, renameDurable, syncDirectory } from '../kernel/durable-file.ts';

/** What the recorder asks of a disk. Every method may reject with the error of the system call. */
export interface Disk {
  /** Makes `path` and its parents, durably. */
  makeDirectory(path: string): Promise<void>;
  /** Creates a file that must not exist yet; its name is durable. */
  create(path: string): Promise<DiskFile>;
  /** Opens a file again that held `sizeBytes` durable bytes, cut back to them. Rejects with `FileGone`. */
  reopen(path: string, sizeBytes: number): Promise<DiskFile>;
  /** Atomic, and durable once it resolves. May be asked again after a rejection. Rejects with `FileGone`. */
  rename(from: string, to: string): Promise<void>;
}

export interface DiskFile {
  /** Writes all of `chunks` from `positionBytes` on. After a rejection any part of them may be there. */
  write(chunks: readonly Uint8Array[], positionBytes: number): Promise<void>;
  /** Resolves once what was written, and the length of the file, survive a power cut. */
  sync(): Promise<void>;
  close(): Promise<void>;
}

/** The disk is there, and the file, or some of what was durable, is not: somebody else took it. */
export class FileGone extends Error {
  constructor(path: string, options?: ErrorOptions) {
    super(`${path} was taken away while it was written`, options);
    this.name = 'FileGone';
  }
}

const CODES: Readonly<Record<string, ErrorCode>> = {
  ENOSPC: 'DISK_FULL',
  EDQUOT: 'DISK_FULL',
  EROFS: 'DISK_READ_ONLY',
};

/** Why the disk refused, for people. */
export function refusalOf(error: unknown): CodedError {
  if (error instanceof CodedError) return error;
  const code = (error as NodeJS.ErrnoException | null)?.code;
  return new CodedError(CODES[code ?? ''] ?? 'DISK_WRITE_FAILED', code, { cause: error });
}

const isMissing = (error: unknown): boolean => (error as NodeJS.ErrnoException).code === 'ENOENT';

export const realDisk: Disk = {
  makeDirectory: makeDirectoryDurable,
  async rename(from, to) {
    try {
      await renameDurable(from, to);
    } catch (error) {
      if (!isMissing(error)) throw error;
      // Renamed already, when an earlier attempt failed only to make it durable.
      await stat(to).catch(() => {
        throw new FileGone(from, { cause: error });
      });
      await syncDirectory(dirname(to));
    }
  },
  async create(path) {
    const handle = await open(path, 'wx');
    try {
      await syncDirectory(dirname(path));
      return openFile(handle);
    } catch (error) {
      await handle.close();
      // Empty, and in the way of the next attempt.
      await unlink(path).catch(() => {});
      throw error;
    }
  },
  async reopen(path, sizeBytes) {
    const handle = await open(path, 'r+').catch((error: unknown) => {
      throw isMissing(error) ? new FileGone(path, { cause: error }) : error;
    });
    try {
      if ((await handle.stat()).size < sizeBytes) throw new FileGone(path);
      await handle.truncate(sizeBytes);
      await handle.sync();
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
