import { unlink } from 'node:fs/promises';
import { dirname, join, normalize } from 'node:path';
import type { SQLInputValue } from 'node:sqlite';
import { CodedError } from '../contract/errors.ts';
import { readIdentity } from '../kernel/directory-identity.ts';
import { syncDirectory } from '../kernel/durable-file.ts';
import type { LibraryContext } from './context.ts';
import { mediaDir } from './media.ts';
import { expireRemote } from './remote-rows.ts';
import { LONG_MS } from './schema.ts';
import type { Store } from './store.ts';

/** What is to go: files by id, and events with their stills. */
export interface Removal {
  readonly fileIds: readonly string[];
  readonly eventIds?: readonly string[];
}

/**
 * The only way anything is deleted: rows become garbage rows in one transaction, then `sweepGarbage` deletes the
 * files. After a crash at any moment a file has a row, or is garbage, or is gone. Clips and stills go with the last
 * of their footage; events and links of the chain stay.
 */
export async function removeFootage(context: LibraryContext, removal: Removal): Promise<void> {
  condemn(context, removal);
  await sweepGarbage(context);
}

function condemn({ store, clock }: LibraryContext, { fileIds, eventIds = [] }: Removal): void {
  const nowMs = Math.round(clock.utcMs());
  store.transaction(() => {
    for (const fileId of fileIds) condemnFile(store, fileId, nowMs);
    for (const eventId of eventIds) condemnEvent(store, eventId, nowMs);
  });
}

interface FileRow {
  readonly no: number;
  readonly camera: number;
  readonly start_ms: number;
  readonly end_ms: number;
}

/** In the transaction of the caller. */
export function condemnFile(store: Store, fileId: string, nowMs: number): void {
  const file = store.get<FileRow>('SELECT no, camera, start_ms, end_ms FROM file WHERE file_id = ?', fileId);
  if (!file) return;
  store.run(
    'INSERT OR IGNORE INTO garbage (media, path, since_ms) SELECT media, path, ? FROM file WHERE no = ?',
    ...[nowMs, file.no],
  );
  store.run('DELETE FROM file WHERE no = ?', file.no);
  store.run(`DELETE FROM outbox WHERE ref = ? AND kind IN ('clip.ready', 'segment.ready')`, fileId);
  expireRemote(store, fileId, nowMs);
  condemnClips(store, file, nowMs);
  condemnStills(store, nowMs, WITHOUT_FOOTAGE, file.camera, file.start_ms, file.end_ms);
}

/** Clips that ranged over the file, and have nothing left. */
function condemnClips(store: Store, { camera, start_ms, end_ms }: FileRow, nowMs: number): void {
  const clips = store.all<{ clip_id: string }>(
    `DELETE FROM clip
     WHERE camera = ?1 AND start_ms > ?2 - ${LONG_MS} AND start_ms < ?3 AND end_ms > ?2 AND file IS NULL
       AND NOT EXISTS (
         SELECT 1 FROM file AS f
         WHERE f.camera = clip.camera AND f.start_ms > clip.start_ms - ${LONG_MS} AND f.start_ms < clip.end_ms
           AND f.end_ms > clip.start_ms
       )
     RETURNING clip_id`,
    ...[camera, start_ms, end_ms],
  );
  for (const { clip_id } of clips) {
    store.run(`DELETE FROM outbox WHERE ref = ? AND kind = 'clip.ready'`, clip_id);
    expireRemote(store, clip_id, nowMs);
  }
}

/** Events that happened in a stretch of a camera, and have no footage. */
const WITHOUT_FOOTAGE = `
  SELECT no FROM event
  WHERE camera = ?1 AND start_ms > ?2 - ${LONG_MS} AND start_ms <= ?3 AND end_ms >= ?2 AND NOT EXISTS (
    SELECT 1 FROM file AS f
    WHERE f.camera = event.camera AND missing_ms IS NULL AND f.start_ms > event.start_ms - ${LONG_MS}
      AND f.start_ms <= event.end_ms AND f.end_ms >= event.start_ms
  )`;

/** Of the events that `query` names by number, but for protected ones. In the transaction of the caller. */
export function condemnStills(store: Store, nowMs: number, query: string, ...values: SQLInputValue[]): void {
  const stills = store.all<{ event: number; eventId: string; media: number; path: string }>(
    `SELECT event, event_id AS eventId, media, path FROM still JOIN event ON event.no = still.event
     WHERE still.event IN (${query}) AND NOT is_protected`,
    ...values,
  );
  for (const { event, eventId, media, path } of stills) {
    store.run('INSERT OR IGNORE INTO garbage (media, path, since_ms) VALUES (?, ?, ?)', media, path, nowMs);
    store.run('DELETE FROM still WHERE event = ?', event);
    store.run(`DELETE FROM outbox WHERE ref = ? AND kind = 'still'`, eventId);
    expireRemote(store, eventId, nowMs);
  }
}

/** In the transaction of the caller. */
export function condemnEvent(store: Store, eventId: string, nowMs: number): void {
  store.run(
    `INSERT OR IGNORE INTO garbage (media, path, since_ms)
     SELECT media, path, ? FROM still WHERE event = (SELECT no FROM event WHERE event_id = ?)`,
    ...[nowMs, eventId],
  );
  store.run('DELETE FROM event WHERE event_id = ?', eventId);
  store.run(`DELETE FROM outbox WHERE ref = ? AND kind IN ('event.new', 'event.end', 'still')`, eventId);
  expireRemote(store, eventId, nowMs);
}

export const garbageCount = ({ store, media }: LibraryContext): number =>
  store.get<{ count: number }>('SELECT count(*) AS count FROM garbage WHERE media = ?', media)!.count;

/** Few enough that the index is not held up while they are forgotten. */
const BATCH = 200;

/**
 * Deletes the garbage of the mounted disk and forgets it once that is durable. What cannot be deleted now stays
 * garbage. Number of files.
 */
export async function sweepGarbage(context: LibraryContext): Promise<number> {
  const { store, dataDir, media, mediaId, signal, log } = context;
  let swept = 0;
  for (let after = 0; ;) {
    const batch = store.all<{ no: number; path: string }>(
      'SELECT no, path FROM garbage WHERE media = ? AND no > ? ORDER BY no LIMIT ?',
      ...[media, after, BATCH],
    );
    if (batch.length === 0 || signal.aborted) return swept;
    after = batch.at(-1)!.no;
    // A disk may be changed at any time; the other one's files are not ours to delete.
    if ((await readIdentity(mediaDir(dataDir)))?.id !== mediaId) throw new CodedError('MEDIA_FOREIGN');
    const gone: number[] = [];
    const folders = new Set<string>();
    for (const { no, path } of batch) {
      try {
        await unlink(join(dataDir, inMedia(path))).catch(unlessGone);
        folders.add(dirname(join(dataDir, path)));
        gone.push(no);
      } catch (error) {
        log.error({ err: error, path }, 'a file cannot be deleted now');
      }
    }
    for (const folder of folders) await syncDirectory(folder).catch(unlessGone);
    store.transaction(() => {
      for (const no of gone) store.run('DELETE FROM garbage WHERE no = ?', no);
    });
    swept += gone.length;
  }
}

/** Whatever the index says, nothing else is ever deleted. */
function inMedia(path: string): string {
  if (normalize(path) !== path || !path.startsWith('media/')) throw new Error(`${path} is not footage`);
  return path;
}

function unlessGone(error: NodeJS.ErrnoException): void {
  if (error.code !== 'ENOENT') throw error;
}
