import { existsSync } from 'node:fs';
import { open, readdir, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite';
import { CodedError } from '../contract/errors.ts';
import { makeDirectoryDurable, renameDurable, syncDirectory } from '../kernel/durable-file.ts';
import { MIGRATIONS, USABLE_SINCE } from './schema.ts';

export const indexPath = (dataDir: string): string => join(dataDir, 'state', 'index.sqlite');

export interface StoreOptions {
  readonly dataDir: string;
  /** `owner` (the agent) makes and migrates the index; a `guest` (a verb of the CLI) takes it as it is. */
  readonly as: 'owner' | 'guest';
  /** Read every page before it is trusted. */
  readonly check?: boolean;
  /** For tests. */
  readonly migrations?: readonly string[];
  readonly usableSince?: number;
}

/** Another process holds the index for milliseconds; one that holds it longer is broken. */
const BUSY_MS = 5000;
const CACHE_KIB = 8192;

/**
 * The open index. Statements are prepared once per text. What `transaction` ran is durable when it returns.
 *
 * Invariant: transactions are synchronous, so none of this thread's work comes in between.
 */
export class Store implements Disposable {
  readonly #db: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();
  #depth = 0;

  private constructor(db: DatabaseSync) {
    this.#db = db;
  }

  /** @throws CodedError INDEX_NEWER, INDEX_UNUSABLE (damaged), INDEX_UNAVAILABLE, DISK_FULL, DISK_READ_ONLY */
  static async open(options: StoreOptions): Promise<Store> {
    const { dataDir, as, check = false, migrations = MIGRATIONS, usableSince = USABLE_SINCE } = options;
    const path = indexPath(dataDir);
    if (as === 'guest' && !existsSync(path)) throw new CodedError('INDEX_UNAVAILABLE', 'there is none yet');
    try {
      await makeDirectoryDurable(dirname(path));
      const db = new DatabaseSync(path, { timeout: BUSY_MS });
      try {
        const store = new Store(db);
        db.exec(`
          PRAGMA journal_mode = WAL;
          PRAGMA synchronous = FULL;
          PRAGMA foreign_keys = ON;
          -- What is forgotten is overwritten where its page is written anyway: among it keys of uploads.
          PRAGMA secure_delete = FAST;
          PRAGMA cache_size = -${CACHE_KIB};
          PRAGMA journal_size_limit = 16777216;
        `);
        if (check) store.#check();
        if (as === 'owner') await store.#migrate(path, migrations, usableSince);
        else store.#expectVersion(migrations.length);
        return store;
      } catch (error) {
        db.close();
        throw error;
      }
    } catch (error) {
      throw codedSqlError(error);
    }
  }

  get version(): number {
    return this.get<{ user_version: number }>('PRAGMA user_version')!.user_version;
  }

  get<Row>(sql: string, ...values: SQLInputValue[]): Row | null {
    return (this.#prepare(sql).get(...values) as Row | undefined) ?? null;
  }

  all<Row>(sql: string, ...values: SQLInputValue[]): Row[] {
    return this.#prepare(sql).all(...values) as Row[];
  }

  /** Number of rows changed. */
  run(sql: string, ...values: SQLInputValue[]): number {
    return Number(this.#prepare(sql).run(...values).changes);
  }

  /** All of `work` or nothing. Inside another transaction, only its own part is undone when it throws. */
  transaction<T>(work: () => T): T {
    const inner = this.#depth > 0;
    const name = `inner${this.#depth}`;
    this.#db.exec(inner ? `SAVEPOINT ${name}` : 'BEGIN IMMEDIATE');
    this.#depth++;
    try {
      const result = work();
      this.#db.exec(inner ? `RELEASE ${name}` : 'COMMIT');
      return result;
    } catch (error) {
      // A full disk may have ended the whole transaction already.
      if (this.#db.isTransaction) this.#db.exec(inner ? `ROLLBACK TO ${name}; RELEASE ${name}` : 'ROLLBACK');
      throw error;
    } finally {
      this.#depth--;
    }
  }

  /** Folds the write-ahead log into the index. */
  [Symbol.dispose](): void {
    this.#statements.clear();
    this.#db.close();
  }

  #prepare(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (!statement) this.#statements.set(sql, (statement = this.#db.prepare(sql)));
    return statement;
  }

  #check(): void {
    const { quick_check: verdict } = this.get<{ quick_check: string }>('PRAGMA quick_check(1)')!;
    if (verdict !== 'ok') throw new CodedError('INDEX_UNUSABLE', verdict);
  }

  #expectVersion(wanted: number): void {
    this.#expectUsable(wanted);
    if (this.version < wanted) throw new CodedError('INDEX_UNAVAILABLE', 'the agent has not upgraded it yet');
  }

  /** A newer program may have been here, and left an index that is of use to us. */
  #expectUsable(wanted: number): void {
    if (this.version <= wanted) return;
    const { since_version: since } = this.get<{ since_version: number }>('SELECT since_version FROM usable')!;
    if (since > wanted)
      throw new CodedError('INDEX_NEWER', `version ${this.version}, this program knows ${wanted}`);
  }

  async #migrate(path: string, migrations: readonly string[], usableSince: number): Promise<void> {
    const from = this.version;
    this.#expectUsable(migrations.length);
    if (from >= migrations.length) return;
    if (from > 0) await this.#copyTo(`${path}.v${from}`);
    this.transaction(() => {
      for (const migration of migrations.slice(from)) this.#db.exec(migration);
      this.#db.exec(`PRAGMA user_version = ${migrations.length}`);
      if (migrations.length >= USABLE_SINCE) this.run('UPDATE usable SET since_version = ?', usableSince);
    });
    await syncDirectory(dirname(path));
  }

  async #copyTo(path: string): Promise<void> {
    const temporary = `${path}.tmp`;
    await rm(temporary, { force: true });
    this.run('VACUUM INTO ?', temporary);
    {
      await using copy = await open(temporary, 'r');
      await copy.sync();
    }
    await renameDurable(temporary, path);
  }
}

/** A failing disk may spoil one index after the other; of more, the oldest go. */
const MAX_ASIDE = 3;

/** Takes an index that cannot be used out of the way, under a name that says when. */
export async function setIndexAside(dataDir: string, utcMs: number): Promise<string> {
  const path = indexPath(dataDir);
  const mark = `${path}.unusable-`;
  const aside = mark + new Date(utcMs).toISOString().replaceAll(/[-:]/g, '');
  for (const suffix of ['', '-wal', '-shm']) {
    if (existsSync(path + suffix)) await rename(path + suffix, aside + suffix);
  }
  const folder = dirname(path);
  const all = (await readdir(folder))
    .map((name) => join(folder, name))
    .filter((name) => name.startsWith(mark));
  const indexes = all.filter((name) => !/-(wal|shm)$/.test(name)).toSorted();
  for (const old of indexes.slice(0, -MAX_ASIDE)) {
    for (const file of all.filter((name) => name.startsWith(old))) await rm(file);
  }
  await syncDirectory(folder);
  return aside;
}

/** Result codes of SQLite (https://www.sqlite.org/rescode.html) that a person can do something about. */
const CODES: Readonly<Record<number, 'DISK_READ_ONLY' | 'INDEX_UNUSABLE' | 'DISK_FULL'>> = {
  8: 'DISK_READ_ONLY',
  11: 'INDEX_UNUSABLE',
  13: 'DISK_FULL',
  26: 'INDEX_UNUSABLE',
  // SQLITE_IOERR_SHMSIZE: there is no room for the index of the write-ahead log.
  4874: 'DISK_FULL',
};
const SYSTEM_CODES: Readonly<Record<string, 'DISK_READ_ONLY' | 'DISK_FULL'>> = {
  EROFS: 'DISK_READ_ONLY',
  ENOSPC: 'DISK_FULL',
  EDQUOT: 'DISK_FULL',
};

export function codedSqlError(error: unknown): CodedError {
  const { errcode, code } = error as { errcode?: number; code?: string };
  // The low byte of an extended code is the plain one.
  const known = errcode === undefined ? SYSTEM_CODES[code ?? ''] : (CODES[errcode] ?? CODES[errcode & 0xff]);
  return CodedError.from(error, known ?? 'INDEX_UNAVAILABLE');
}
