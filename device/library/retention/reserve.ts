import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { syncDirectory } from '../../kernel/durable-file.ts';
import { indexPath } from '../store.ts';

/**
 * On a disk that others have filled to the last byte, the index could not even note what is to be deleted: nothing
 * would ever be deleted again. So it keeps some space of its own, and gives it up when it comes to that.
 */
const RESERVE_BYTES = 2 ** 22;

const pathOf = (dataDir: string): string => join(dirname(indexPath(dataDir)), 'reserve');

/** Puts the space aside, unless that is done already, or is too much to ask of the disk. */
export async function keepReserve(dataDir: string, freeBytes: number): Promise<void> {
  const path = pathOf(dataDir);
  if (existsSync(path) || freeBytes < 4 * RESERVE_BYTES) return;
  const temporary = `${path}.tmp`;
  try {
    await using file = await open(temporary, 'w');
    // Not zeros: some file systems store them in no space at all.
    await file.writeFile(randomBytes(RESERVE_BYTES));
    await file.sync();
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

/** False when there was none left. */
export async function spendReserve(dataDir: string): Promise<boolean> {
  const path = pathOf(dataDir);
  if (!existsSync(path)) return false;
  await rm(path);
  await syncDirectory(dirname(path));
  return true;
}
