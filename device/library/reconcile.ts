import { existsSync } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { CodedError } from '../contract/errors.ts';
import { readIdentity } from '../kernel/directory-identity.ts';
import { adoptFile, adoptStill, type Adoption } from './adopt.ts';
import type { LibraryContext } from './context.ts';
import { sweepGarbage } from './garbage.ts';
import { mediaDir } from './media.ts';
import { LONG_MS } from './schema.ts';

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

const DAY_MS = 86_400_000;
const ROOTS = { clip: 'media/clips', segment: 'media/segments', still: 'media/stills' } as const;
type Kind = keyof typeof ROOTS;
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
  const { store, dataDir, log, clock } = context;
  await expectMedia(context);
  const startedMs = clock.monotonicMs();
  const work = new Reconciliation(context, options);
  const swept = await sweepGarbage(context);
  const known = store
    .all<{ camera_id: string }>('SELECT camera_id FROM camera')
    .map(({ camera_id }) => camera_id);
  const folders = await Promise.all(Object.values(ROOTS).map((root) => names(join(dataDir, root))));
  for (const cameraId of new Set([...known, ...folders.flat()])) await work.camera(cameraId);
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

  async camera(cameraId: string): Promise<void> {
    const { dataDir } = this.#context;
    const onDisk = await Promise.all(
      Object.values(ROOTS).map((root) => names(join(dataDir, root, cameraId))),
    );
    const days = new Set([...onDisk.flat(), ...this.#daysInIndex(cameraId)]);
    for (const day of [...days].toSorted()) {
      if (this.#context.signal.aborted) return;
      const dayMs = Date.parse(day);
      if (!/^\d{4}-\d\d-\d\d$/.test(day) || Number.isNaN(dayMs)) {
        this.#reportUnknown(join(cameraId, day));
      } else if (dayMs + DAY_MS > (this.#o.sinceUtcMs ?? 0)) {
        for (const kind of Object.keys(ROOTS) as Kind[]) await this.#folder(kind, cameraId, day, dayMs);
      }
    }
  }

  /** Hops from day to day along the index. */
  #daysInIndex(cameraId: string): string[] {
    const days: string[] = [];
    for (let fromMs = this.#o.sinceUtcMs ?? 0; ;) {
      const next = this.#context.store.get<{ start_ms: number | null }>(
        `SELECT min(start_ms) AS start_ms FROM file
         WHERE camera = (SELECT no FROM camera WHERE camera_id = ?) AND start_ms >= ?`,
        ...[cameraId, fromMs],
      )?.start_ms;
      if (next === undefined || next === null) return days;
      days.push(new Date(next).toISOString().slice(0, 10));
      fromMs = (Math.floor(next / DAY_MS) + 1) * DAY_MS;
    }
  }

  async #folder(kind: Kind, cameraId: string, day: string, dayMs: number): Promise<void> {
    const folder = `${ROOTS[kind]}/${cameraId}/${day}`;
    const present = new Set(await names(join(this.#context.dataDir, folder)));
    const rows = this.#rows(kind, cameraId, dayMs, `${folder}/`);
    this.counts.looked += present.size;
    await this.#compareRows(kind, rows, folder, present);
    const named = new Set(rows.map(({ path }) => path.slice(folder.length + 1)));
    for (const name of present) {
      if (this.#context.signal.aborted) return;
      if (!named.has(name) && !IN_PROGRESS.test(name)) await this.#adopt(kind, cameraId, folder, name);
    }
  }

  /** The rows whose files belong into the folder. */
  #rows(kind: Kind, cameraId: string, dayMs: number, prefix: string): readonly Row[] {
    const { store, media } = this.#context;
    // A file's day is that of its start, a still's lies after its event's.
    const [lookBackMs, table] =
      kind === 'still' ? [LONG_MS, 'still JOIN event ON event.no = still.event'] : [1000, 'file'];
    const columns = kind === 'still' ? 'event.no AS no, path, NULL AS missing_ms' : 'no, path, missing_ms';
    return store
      .all<Row>(
        `SELECT ${columns} FROM ${table} WHERE camera = (SELECT no FROM camera WHERE camera_id = ?) AND media = ?
         AND start_ms >= ? AND start_ms < ?`,
        ...[cameraId, media, dayMs - lookBackMs, dayMs + DAY_MS + 1000],
      )
      .filter(({ path }) => path.startsWith(prefix));
  }

  async #compareRows(
    kind: Kind,
    rows: readonly Row[],
    folder: string,
    present: ReadonlySet<string>,
  ): Promise<void> {
    const { store, dataDir, clock } = this.#context;
    const isListed = ({ path }: Row): boolean => present.has(path.slice(folder.length + 1));
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

  async #adopt(kind: Kind, cameraId: string, folder: string, name: string): Promise<void> {
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
      if (adoption === 'unknown') this.#reportUnknown(path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
      if (error instanceof CodedError || 'errcode' in (error as object)) throw error;
      this.#context.log.error({ err: error, path }, 'a file that is not in the index cannot be read');
      this.#reportUnknown(path);
    }
  }

  async #isUnsettled(path: string): Promise<boolean> {
    const { settleMs = 0 } = this.#o;
    if (settleMs === 0) return false;
    const { mtimeMs } = await stat(join(this.#context.dataDir, path));
    return mtimeMs > this.#context.clock.utcMs() - settleMs;
  }

  #reportUnknown(path: string): void {
    this.counts.unknown++;
    if (this.unknown.length < MAX_NAMED) this.unknown.push(path);
  }
}

interface Row {
  /** Of the file; of a still, of its event. */
  readonly no: number;
  readonly path: string;
  readonly missing_ms: number | null;
}

/** Files that somebody writes, or that were set aside because nothing in them plays. */
const IN_PROGRESS = /(\.part\.mp4|\.broken|\.tmp)$/;

async function expectMedia({ dataDir, mediaId }: LibraryContext): Promise<void> {
  if ((await readIdentity(mediaDir(dataDir)))?.id !== mediaId) throw new CodedError('MEDIA_FOREIGN');
}

/** Of what is in a folder; none where there is no folder. */
async function names(folder: string): Promise<readonly string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return [];
    throw error;
  }
}
