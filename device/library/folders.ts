import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { LibraryContext } from './context.ts';
import { LONG_MS } from './schema.ts';

const DAY_MS = 86_400_000;
export const ROOTS = { clip: 'media/clips', segment: 'media/segments', still: 'media/stills' } as const;
export type FolderKind = keyof typeof ROOTS;
const KINDS = Object.keys(ROOTS) as FolderKind[];

/** A row whose file belongs into a folder. */
export interface FolderRow {
  /** Of the file; of a still, of its event. */
  readonly no: number;
  readonly path: string;
  readonly size_bytes: number;
  readonly missing_ms: number | null;
}

/** A day of a camera: what is on the disk, and then what the index says of it. */
export interface Folder {
  readonly kind: FolderKind;
  readonly cameraId: string;
  /** Relative to the data directory. */
  readonly path: string;
  readonly present: ReadonlySet<string>;
  readonly rows: readonly FolderRow[];
}

export interface FoldersOptions {
  /** Only this one. */
  readonly cameraId?: string | undefined;
  /** Only days from this one on. */
  readonly sinceUtcMs?: number | undefined;
  /** Something else than a day lies among the days of a camera. */
  onStranger(path: string): void;
}

/** Every folder that has footage or ought to have some, oldest first; until `context.signal` aborts. */
export async function* footageFolders(
  context: LibraryContext,
  options: FoldersOptions,
): AsyncGenerator<Folder> {
  const { store, dataDir, signal } = context;
  const { sinceUtcMs = 0 } = options;
  const known = store
    .all<{ camera_id: string }>('SELECT camera_id FROM camera')
    .map(({ camera_id }) => camera_id);
  const found = await Promise.all(Object.values(ROOTS).map((root) => namesIn(join(dataDir, root))));
  const cameras = options.cameraId === undefined ? new Set([...known, ...found.flat()]) : [options.cameraId];
  for (const cameraId of cameras) {
    const onDisk = await Promise.all(KINDS.map((kind) => namesIn(join(dataDir, ROOTS[kind], cameraId))));
    for (const [i, names] of onDisk.entries()) {
      for (const name of names)
        if (Number.isNaN(dayOf(name))) options.onStranger(`${ROOTS[KINDS[i]!]}/${cameraId}/${name}`);
    }
    const days = new Set([...onDisk.flat(), ...daysInIndex(context, cameraId, sinceUtcMs)]);
    for (const day of [...days].toSorted()) {
      if (!(dayOf(day) + DAY_MS > sinceUtcMs)) continue;
      for (const kind of KINDS) {
        if (signal.aborted) return;
        const path = `${ROOTS[kind]}/${cameraId}/${day}`;
        const present = new Set(await namesIn(join(dataDir, path)));
        yield {
          kind,
          cameraId,
          path,
          present,
          rows: rowsOf(context, kind, cameraId, dayOf(day), `${path}/`),
        };
      }
    }
  }
}

/** Of midnight; NaN for a name that is no day. */
const dayOf = (name: string): number => (/^\d{4}-\d\d-\d\d$/.test(name) ? Date.parse(name) : NaN);

/** Hops from day to day along the index. */
function daysInIndex({ store }: LibraryContext, cameraId: string, sinceUtcMs: number): string[] {
  const days: string[] = [];
  for (let fromMs = sinceUtcMs; ;) {
    const next = store.get<{ start_ms: number | null }>(
      `SELECT min(start_ms) AS start_ms FROM file
       WHERE camera = (SELECT no FROM camera WHERE camera_id = ?) AND start_ms >= ?`,
      ...[cameraId, fromMs],
    )?.start_ms;
    if (next === undefined || next === null) return days;
    days.push(new Date(next).toISOString().slice(0, 10));
    fromMs = (Math.floor(next / DAY_MS) + 1) * DAY_MS;
  }
}

function rowsOf(
  { store, media }: LibraryContext,
  kind: FolderKind,
  cameraId: string,
  dayMs: number,
  prefix: string,
): readonly FolderRow[] {
  // A file's day is that of its start, a still's lies after its event's.
  const [lookBackMs, table] =
    kind === 'still' ? [LONG_MS, 'still JOIN event ON event.no = still.event'] : [1000, 'file'];
  const columns =
    kind === 'still'
      ? 'event.no AS no, path, size_bytes, NULL AS missing_ms'
      : 'no, path, size_bytes, missing_ms';
  return store
    .all<FolderRow>(
      `SELECT ${columns} FROM ${table} WHERE camera = (SELECT no FROM camera WHERE camera_id = ?) AND media = ?
       AND start_ms >= ? AND start_ms < ?`,
      ...[cameraId, media, dayMs - lookBackMs, dayMs + DAY_MS + 1000],
    )
    .filter(({ path }) => path.startsWith(prefix));
}

/** Files that somebody writes, or that were set aside because nothing in them plays. */
export const IN_PROGRESS = /(\.part\.mp4|\.broken|\.tmp)$/;

/** Of what is in a folder; none where there is no folder. */
export async function namesIn(folder: string): Promise<readonly string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return [];
    throw error;
  }
}
