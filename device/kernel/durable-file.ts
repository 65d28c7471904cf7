import { mkdir, open, rename } from 'node:fs/promises';
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
