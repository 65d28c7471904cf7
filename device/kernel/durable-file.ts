import { mkdir, open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';

/**
 * Names survive a power cut only when their directory is synced too (fsync(2), NOTES). These do both halves.
 */

/** Makes the entries of the directory at `path` durable. */
export async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Makes `path` with all missing parents; each new name is durable. Harmless when it exists. */
export async function makeDirectoryDurable(path: string): Promise<void> {
  const firstMade = await mkdir(path, { recursive: true });
  if (firstMade === undefined) return;
  const top = dirname(firstMade);
  for (let made = dirname(path); ; made = dirname(made)) {
    await syncDirectory(made);
    if (made === top) return;
  }
}

/** Renames within one file system: afterwards exactly one of the names exists, also after a power cut. */
export async function renameDurable(from: string, to: string): Promise<void> {
  await rename(from, to);
  await syncDirectory(dirname(to));
  if (dirname(from) !== dirname(to)) await syncDirectory(dirname(from));
}

/**
 * Replaces the file at `path`, or makes it: afterwards, also after a power cut, it holds the old content or the
 * new one. Its directory must exist; one process at a time.
 */
export async function replaceFile(path: string, content: string | Uint8Array, mode = 0o644): Promise<void> {
  const temporary = `${path}.tmp`;
  {
    await using file = await open(temporary, 'w', mode);
    // A temporary file that was left behind may have another mode.
    await file.chmod(mode);
    await file.writeFile(content);
    await file.sync();
  }
  await renameDurable(temporary, path);
}

/** The same from what comes bit by bit: when that ends with an error, everything is as it was. */
export async function replaceFileBy(path: string, content: AsyncIterable<Uint8Array>): Promise<void> {
  const temporary = `${path}.part`;
  try {
    {
      await using file = await open(temporary, 'w');
      await file.writeFile(content);
      await file.sync();
    }
    await renameDurable(temporary, path);
  } finally {
    await rm(temporary, { force: true });
  }
}
