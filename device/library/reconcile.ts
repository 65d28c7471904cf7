import { existsSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { CodedError } from '../contract/errors.ts';
import { readIdentity } from '../kernel/directory-identity.ts';
import { adoptFile, adoptStill, type Adoption } from './adopt.ts';
import type { LibraryContext } from './context.ts';
import { footageFolders, IN_PROGRESS, type Folder, type FolderKind, type FolderRow } from './folders.ts';
import { sweepGarbage } from './garbage.ts';
import { mediaDir } from './media.ts';

export interface ReconcileOptions {
  /** Only days from this one on. */
  readonly sinceUtcMs?: number;
  /** A file that changed within this time may still be told of by its writer, and is left alone. */
  readonly settleMs?: number;
}

/** Numbers of files. */
export interface Reconciled {
  readonly looked: number;
  readonly adopted: number;
  /** Had a row, and are gone. */
  missing: number;
  /** Were missing, and are there again. */
  found: number;
  /** Of unknown origin; never touched. */
  readonly unknown: number;
  /** Garbage that an agent before left behind. */
  readonly swept: number;
}

/** Told in the log by name. */
const MAX_NAMED = 10;

/**
 * Makes index and disk agree: what is on the disk is in the index, and what is not is not said to be. Reads names,
 * not files, except where the two differ. Between two folders whatever else is asked of the index is answered.
 * Footage on other disks is left as it is. Stops early when `context.signal` says so.
 *
 * @throws CodedError MEDIA_FOREIGN when another disk, or none, is mounted than the index was opened for
 */
export async function reconcile(context: LibraryContext, options: ReconcileOptions): Promise<Reconciled> {
  const { log, clock } = context;
  await expectMedia(context);
  const startedMs = clock.monotonicMs();
  const work = new Reconciliation(context, options);
  const swept = await sweepGarbage(context);
  const { sinceUtcMs } = options;
  const folders = footageFolders(context, { sinceUtcMs, onStranger: (path) => work.reportUnknown(path) });
  for await (const folder of folders) await work.folder(folder);
  const summary = { ...work.counts, swept };
  const differs = Object.entries(summary).some(([what, count]) => what !== 'looked' && count > 0);
  log[differs ? 'info' : 'debug'](
    {
      ...summary,
      ms: Math.round(clock.monotonicMs() - startedMs),
      ...(work.unknown.length > 0 && { names: work.unknown }),
    },
    'index and disk agree',
  );
  return summary;
}

class Reconciliation {
  readonly #context: LibraryContext;
  readonly #o: ReconcileOptions;
  readonly counts = { looked: 0, adopted: 0, missing: 0, found: 0, unknown: 0 };
  /** Some of unknown origin. */
  readonly unknown: string[] = [];

  constructor(context: LibraryContext, options: ReconcileOptions) {
    this.#context = context;
    this.#o = options;
  }

  async folder(folder: Folder): Promise<void> {
    const { kind, cameraId, path, present, rows } = folder;
    this.counts.looked += present.size;
    await this.#compareRows(folder);
    const named = new Set(rows.map((row) => row.path.slice(path.length + 1)));
    for (const name of present) {
      if (this.#context.signal.aborted) return;
      if (!named.has(name) && !IN_PROGRESS.test(name)) await this.#adopt(kind, cameraId, path, name);
    }
  }

  async #compareRows({ kind, path, present, rows }: Folder): Promise<void> {
    const { store, dataDir, clock } = this.#context;
    const isListed = (row: FolderRow): boolean => present.has(row.path.slice(path.length + 1));
    const back = rows.filter((row) => row.missing_ms !== null && isListed(row));
    const unseen = rows.filter((row) => row.missing_ms === null && !isListed(row));
    if (back.length === 0 && unseen.length === 0) return;
    // Committed since the folder was read, or not there because the whole disk is not.
    const gone = unseen.filter(({ path }) => !existsSync(join(dataDir, path)));
    await expectMedia(this.#context);
    const nowMs = Math.round(clock.utcMs());
    store.transaction(() => {
      for (const { no } of back) store.run('UPDATE file SET missing_ms = NULL WHERE no = ?', no);
      for (const { no } of gone) {
        if (kind === 'still') store.run('DELETE FROM still WHERE event = ?', no);
        else store.run('UPDATE file SET missing_ms = ? WHERE no = ?', nowMs, no);
      }
    });
    this.counts.found += back.length;
    this.counts.missing += gone.length;
  }

  async #adopt(kind: FolderKind, cameraId: string, folder: string, name: string): Promise<void> {
    const path = `${folder}/${name}`;
    const suffix = kind === 'still' ? '.jpg' : '.mp4';
    const id = name.slice(0, -suffix.length);
    try {
      if (await this.#isUnsettled(path)) return;
      let adoption: Adoption = 'unknown';
      if (name.endsWith(suffix)) {
        adoption =
          kind === 'still'
            ? await adoptStill(this.#context, { cameraId, eventId: id, path })
            : await adoptFile(this.#context, { kind, cameraId, id, path });
      }
      if (adoption === 'adopted') this.counts.adopted++;
      if (adoption === 'unknown') this.reportUnknown(path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
      if (error instanceof CodedError || 'errcode' in (error as object)) throw error;
      this.#context.log.error({ err: error, path }, 'a file that is not in the index cannot be read');
      this.reportUnknown(path);
    }
  }

  async #isUnsettled(path: string): Promise<boolean> {
    const { settleMs = 0 } = this.#o;
    if (settleMs === 0) return false;
    const { mtimeMs } = await stat(join(this.#context.dataDir, path));
    return mtimeMs > this.#context.clock.utcMs() - settleMs;
  }

  reportUnknown(path: string): void {
    this.counts.unknown++;
    if (this.unknown.length < MAX_NAMED) this.unknown.push(path);
  }
}

export async function expectMedia({ dataDir, mediaId }: LibraryContext): Promise<void> {
  if ((await readIdentity(mediaDir(dataDir)))?.id !== mediaId) throw new CodedError('MEDIA_FOREIGN');
}
