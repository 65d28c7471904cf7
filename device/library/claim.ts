import { dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { CodedError } from '../contract/errors.ts';
import { makeDirectoryDurable } from '../kernel/durable-file.ts';
import { codedSqlError } from './store.ts';

/** Whoever has it now may be on its way out. */
const PATIENCE_MS = 5000;

/**
 * Makes this process the one agent of the data directory, until disposed of or dead. Node offers no lock on files;
 * SQLite's exclusive one is the kernel's, and goes with the process. Nothing is ever written to its file.
 *
 * @throws CodedError DATA_DIR_IN_USE, DISK_READ_ONLY, DISK_FULL, INDEX_UNAVAILABLE
 */
export async function claimDataDir(dataDir: string): Promise<Disposable> {
  const path = join(dataDir, 'state', 'agent.lock');
  try {
    await makeDirectoryDurable(dirname(path));
    const lock = new DatabaseSync(path, { timeout: PATIENCE_MS });
    try {
      lock.exec('BEGIN EXCLUSIVE');
    } catch (error) {
      lock.close();
      const isBusy = (error as { errcode?: number }).errcode === SQLITE_BUSY;
      throw isBusy ? new CodedError('DATA_DIR_IN_USE', dataDir) : error;
    }
    return { [Symbol.dispose]: () => lock.close() };
  } catch (error) {
    throw codedSqlError(error);
  }
}

const SQLITE_BUSY = 5;
