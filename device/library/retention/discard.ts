import type { SQLInputValue } from 'node:sqlite';
import type { LibraryContext } from '../context.ts';
import { condemnFile } from '../garbage.ts';
import { LONG_MS } from '../schema.ts';

/** These make garbage in the transaction of the caller; the files go when it is swept. */

interface FileRow {
  readonly camera: number;
  readonly startMs: number;
  readonly endMs: number;
}

/** Files, and the stills of events that have no footage left without them. Protected ones stay, whoever asks. */
export function discardFiles(context: LibraryContext, fileIds: readonly string[]): void {
  const { store, clock } = context;
  const gone = fileIds.flatMap((fileId) => {
    const row = store.get<FileRow>(
      `SELECT camera, start_ms AS startMs, end_ms AS endMs FROM file WHERE file_id = ? AND class <> 'protected'`,
      fileId,
    );
    if (row) condemnFile(store, fileId, Math.round(clock.utcMs()));
    return row ?? [];
  });
  for (const { camera, startMs, endMs } of gone) {
    discardStills(
      context,
      `SELECT no FROM event WHERE camera = ? AND start_ms > ? - ${LONG_MS} AND start_ms <= ? AND end_ms >= ?
         AND NOT EXISTS (
           SELECT 1 FROM file WHERE file.camera = event.camera AND missing_ms IS NULL
             AND file.start_ms > event.start_ms - ${LONG_MS}
             AND file.start_ms <= event.end_ms AND file.end_ms >= event.start_ms
         )`,
      ...[camera, startMs, endMs, startMs],
    );
  }
}

/** Stills of the events that `query` names by number, but for protected ones. */
export function discardStills(
  { store, clock }: LibraryContext,
  query: string,
  ...values: SQLInputValue[]
): void {
  const stills = store.all<{ event: number; media: number; path: string }>(
    `SELECT event, media, path FROM still
     WHERE event IN (${query}) AND NOT (SELECT is_protected FROM event WHERE no = still.event)`,
    ...values,
  );
  for (const { event, media, path } of stills) {
    store.run(
      'INSERT OR IGNORE INTO garbage (media, path, since_ms) VALUES (?, ?, ?)',
      ...[media, path, Math.round(clock.utcMs())],
    );
    store.run('DELETE FROM still WHERE event = ?', event);
  }
}
