import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { syncDirectory } from '../../kernel/durable-file.ts';
import type { Log } from '../../kernel/log.ts';
import { codedSqlError, indexPath } from '../store.ts';

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

/** Does `work`; on a disk that is full to the last byte once more, on what was put aside. */
export async function onReserve<T>(dataDir: string, log: Log, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (codedSqlError(error).code !== 'DISK_FULL' || !(await spendReserve(dataDir))) throw error;
    log.warn('the disk is full to the last byte: the index lives on its reserve');
    return await work();
  }
}

/** False when there was none left. */
async function spendReserve(dataDir: string): Promise<boolean> {
  const path = pathOf(dataDir);
  if (!existsSync(path)) return false;
  await rm(path);
  await syncDirectory(dirname(path));
  return true;
}
