/** The ledger of the objects in a bucket: what is to be there, how far it is, what is there. */
import type { SQLInputValue } from 'node:sqlite';
import type { ErrorCode } from '../contract/errors.ts';
import type {
  RemoteAttempt,
  RemoteBacklog,
  RemoteEntry,
  RemoteKind,
  RemoteObject,
  RemotePart,
  RemoteSeal,
  RemoteSealed,
} from '../contract/sync.ts';
import type { LibraryContext } from './context.ts';
import { outboxTake, type OutboxItem } from './outbox.ts';
import { readyPath } from './place.ts';
import { expectMedia } from './reconcile.ts';
import { IS_OPEN, touchManifest } from './remote-rows.ts';
import type { Store } from './store.ts';

/**
 * Takes what waits in the outbox into the ledger, in one transaction: it is in the one or the other, never in both
 * or in neither. What was deleted meanwhile is left out. Number of items taken; 0: none waits.
 */
export function remoteEnrol(
  context: LibraryContext,
  { consumer, limit }: { consumer: string; limit: number },
): number {
  const { store, clock } = context;
  const nowMs = Math.round(clock.utcMs());
  return store.transaction(() => {
    const items = outboxTake(context, { consumer, limit });
    for (const item of items) {
      enrol(store, item, nowMs);
      store.run('DELETE FROM outbox WHERE no = ?', item.no);
    }
    return items.length;
  });
}

interface NewRow {
  readonly kind: RemoteKind;
  readonly camera: number;
  readonly cameraId: string;
  readonly media: number | null;
  readonly path: string | null;
  readonly start_ms: number;
  readonly end_ms: number;
  readonly coverage: string | null;
  readonly size_bytes: number | null;
  readonly sha256: Uint8Array | null;
}

const FILE_COLUMNS = `
  f.media, f.path, f.size_bytes, link.sha256,
  (SELECT json_group_array(json_array(start_ms, end_ms)) FROM coverage WHERE coverage.file = f.no
   HAVING count(*) > 0) AS coverage`;

/** In the transaction of the caller. */
export function enrol(
  store: Store,
  { kind, ref, createdUtcMs }: Omit<OutboxItem, 'no'>,
  nowMs: number,
  isBackfill = false,
): void {
  const row = newRow(store, kind, ref);
  if (!row) return;
  const isWhole = row.sha256 !== null;
  store.run(
    `INSERT INTO remote (key, kind, ref, camera, media, path, start_ms, end_ms, coverage, size_bytes, sha256,
       state, queued_ms, changed_ms, is_backfill)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
     ON CONFLICT (key) DO UPDATE SET
       state = CASE WHEN verified_ms IS NOT NULL AND sha256 = excluded.sha256 THEN 'verified'
                    ELSE excluded.state END,
       media = excluded.media, path = excluded.path, size_bytes = excluded.size_bytes, sha256 = excluded.sha256,
       revision = revision + 1, upload_id = NULL, parts = '[]', seal = NULL, attempts = 0, error = NULL,
       retry_ms = 0, queued_ms = excluded.queued_ms, changed_ms = excluded.changed_ms,
       is_backfill = excluded.is_backfill`,
    ...[keyOf(row, ref), row.kind, ref, row.camera, row.media, row.path, row.start_ms, row.end_ms],
    ...[row.coverage, row.size_bytes, row.sha256, isWhole ? 'queued' : 'local', createdUtcMs, nowMs],
    Number(isBackfill),
  );
}

function newRow(store: Store, kind: OutboxItem['kind'], ref: string): NewRow | null {
  switch (kind) {
    case 'still':
      return store.get<NewRow>(
        `SELECT 'still' AS kind, camera, camera_id AS cameraId, media, path, start_ms,
           coalesce(end_ms, start_ms) AS end_ms, NULL AS coverage, NULL AS size_bytes, NULL AS sha256
         FROM still JOIN event ON event.no = still.event JOIN camera ON camera.no = camera WHERE event_id = ?`,
        ref,
      );
    case 'clip.ready':
      return store.get<NewRow>(
        `SELECT 'clip' AS kind, clip.camera, camera_id AS cameraId, clip.start_ms, clip.end_ms, ${FILE_COLUMNS}
         FROM clip JOIN camera ON camera.no = clip.camera
         LEFT JOIN file AS f ON f.no = clip.file AND missing_ms IS NULL LEFT JOIN link USING (file_id)
         WHERE clip_id = ?`,
        ref,
      );
    case 'segment.ready':
      return store.get<NewRow>(
        `SELECT 'segment' AS kind, f.camera, camera_id AS cameraId, f.start_ms, f.end_ms, ${FILE_COLUMNS}
         FROM file AS f JOIN camera ON camera.no = f.camera JOIN link USING (file_id)
         WHERE file_id = ? AND missing_ms IS NULL`,
        ref,
      );
    default:
      return null;
  }
}

/** Where it lies below the media directory. A better still takes the place of the one before. */
function keyOf({ kind, cameraId, start_ms }: NewRow, ref: string): string {
  if (kind !== 'still') return readyPath(kind, cameraId, ref).slice('media/'.length);
  return `stills/${cameraId}/${new Date(start_ms).toISOString().slice(0, 10)}/${ref}.jpg`;
}

interface Row extends Omit<RemoteObject, 'sha256' | 'parts' | 'seal'> {
  readonly sha256: Uint8Array | null;
  readonly parts: string;
  readonly seal: string | null;
}

const COLUMNS = `
  remote.no, kind, ref, camera_id AS cameraId, key, path, start_ms AS startUtcMs, end_ms AS endUtcMs,
  size_bytes AS sizeBytes, sha256, state, revision, upload_id AS uploadId, parts, seal, attempts,
  verified_ms AS verifiedUtcMs`;

const objectOf = ({ sha256, parts, seal, ...row }: Row): RemoteObject => ({
  ...row,
  seal: seal === null ? null : (JSON.parse(seal) as RemoteSeal),
  sha256: sha256 && Buffer.from(sha256).toString('hex'),
  parts: JSON.parse(parts) as RemotePart[],
});

export interface RemoteChoice {
  /** The first of these of which anything may be sent now; of a kind the oldest. */
  readonly kinds: readonly RemoteKind[];
  /** Not these: they are under way. */
  readonly not: readonly number[];
}

/**
 * What is to be sent next; null when nothing waits that may be sent now. Files of another disk wait for it. What was
 * recorded before anybody wanted it copied comes after everything else.
 */
export function remoteNext(
  { store, media, clock }: LibraryContext,
  { kinds, not }: RemoteChoice,
): RemoteObject | null {
  for (const isBackfill of [0, 1]) {
    for (const kind of kinds) {
      const row = store.get<Row>(
        `SELECT ${COLUMNS} FROM remote JOIN camera ON camera.no = remote.camera
         WHERE ${IS_OPEN} AND kind = ? AND is_backfill = ? AND (media IS NULL OR media = ?) AND retry_ms <= ?
           AND remote.no NOT IN (SELECT value FROM json_each(?))
         ORDER BY remote.no LIMIT 1`,
        ...[kind, isBackfill, media, Math.round(clock.utcMs()), JSON.stringify(not)],
      );
      if (row) return objectOf(row);
    }
  }
  return null;
}

/** There is a file of it now. */
export function remoteReady(
  { store, media, clock }: LibraryContext,
  {
    no,
    revision,
    path,
    sizeBytes,
    sha256,
  }: RemoteAttempt & { path: string; sizeBytes: number; sha256: string },
): void {
  store.run(
    `UPDATE remote SET state = CASE state WHEN 'local' THEN 'queued' ELSE state END, path = ?, media = ?, size_bytes = ?, sha256 = ?, changed_ms = ?
     WHERE no = ? AND revision = ? AND ${IS_OPEN}`,
    ...[path, media, sizeBytes, Buffer.from(sha256, 'hex'), Math.round(clock.utcMs()), no, revision],
  );
}

/** How it will be encrypted; null: not at all. What was sent in another way is of no use. */
export function remoteSeal(
  { store }: LibraryContext,
  { no, revision, seal }: RemoteAttempt & { seal: RemoteSeal | null },
): void {
  store.run(
    `UPDATE remote SET seal = ?, upload_id = NULL, parts = '[]' WHERE no = ? AND revision = ? AND ${IS_OPEN}`,
    ...[seal && JSON.stringify(seal), no, revision],
  );
}

/** From now on there may be bytes of it there. */
export function remoteUploading(
  { store, clock }: LibraryContext,
  {
    no,
    revision,
    uploadId,
    parts,
  }: RemoteAttempt & { uploadId: string | null; parts: readonly RemotePart[] },
): void {
  store.run(
    `UPDATE remote SET state = 'uploading', upload_id = ?, parts = ?, changed_ms = ?
     WHERE no = ? AND revision = ? AND ${IS_OPEN}`,
    ...[uploadId, JSON.stringify(parts), Math.round(clock.utcMs()), no, revision],
  );
}

/** It is there, whole: its file may go first when space is needed. */
export function remoteVerified(
  { store, clock }: LibraryContext,
  { no, revision, etag, sealed }: RemoteAttempt & { etag: string; sealed: RemoteSealed | null },
): void {
  const nowMs = Math.round(clock.utcMs());
  store.transaction(() => {
    store.run('UPDATE remote SET verified_ms = coalesce(verified_ms, ?) WHERE no = ?', nowMs, no);
    const isCurrent = store.run(
      `UPDATE remote SET state = CASE state WHEN 'expired' THEN 'expired' ELSE 'verified' END, etag = ?,
         sealed = ?, seal = NULL, upload_id = NULL, parts = '[]', error = NULL, verified_ms = ?, changed_ms = ?
       WHERE no = ? AND revision = ?`,
      ...[etag, sealed && JSON.stringify(sealed), nowMs, nowMs, no, revision],
    );
    if (isCurrent === 0) return;
    store.run(
      `UPDATE file SET uploaded_ms = ?
       WHERE file_id = (SELECT ref FROM remote WHERE no = ? AND kind <> 'still') AND uploaded_ms IS NULL`,
      ...[nowMs, no],
    );
    touchManifest(store, no, nowMs);
  });
}

/** It did not work out; it waits until `retryUtcMs`. `startsOver`: what the server has of it is of no use. */
export function remoteFailed(
  { store }: LibraryContext,
  {
    no,
    revision,
    code,
    retryUtcMs,
    startsOver,
  }: RemoteAttempt & { code: ErrorCode; retryUtcMs: number; startsOver: boolean },
): void {
  store.run(
    `UPDATE remote SET attempts = attempts + 1, error = ?, retry_ms = ?,
       upload_id = CASE WHEN ?3 THEN NULL ELSE upload_id END, parts = CASE WHEN ?3 THEN '[]' ELSE parts END,
       seal = CASE WHEN ?3 THEN NULL ELSE seal END
     WHERE no = ?4 AND revision = ?5`,
    ...[code, Math.round(retryUtcMs), Number(startsOver), no, revision],
  );
}

/**
 * Its file is not where it should be; if that is because the disk is away, it waits for the disk.
 * @throws CodedError MEDIA_FOREIGN
 */
export async function remoteGone(context: LibraryContext, { no, revision }: RemoteAttempt): Promise<void> {
  await expectMedia(context);
  context.store.run(
    `UPDATE remote SET state = 'expired', error = 'FOOTAGE_NOT_FOUND', seal = NULL, changed_ms = ?
     WHERE no = ? AND revision = ? AND ${IS_OPEN}`,
    ...[Math.round(context.clock.utcMs()), no, revision],
  );
}

/** Objects that should be in the bucket, and are not: those of which there is a file are sent again. How many are. */
export function remoteMissing({ store, clock }: LibraryContext, { nos }: { nos: readonly number[] }): number {
  const nowMs = Math.round(clock.utcMs());
  return store.transaction(() => {
    let again = 0;
    for (const no of nos) {
      const found = store.run(
        'UPDATE remote SET verified_ms = NULL, etag = NULL, sealed = NULL WHERE no = ? AND verified_ms IS NOT NULL',
        no,
      );
      if (found === 0) continue;
      store.run(
        `UPDATE file SET uploaded_ms = NULL
         WHERE file_id = (SELECT ref FROM remote WHERE no = ? AND kind <> 'still')`,
        no,
      );
      again += store.run(
        `UPDATE remote SET state = 'queued', revision = revision + 1, attempts = 0, retry_ms = 0, queued_ms = ?1,
           changed_ms = ?1
         WHERE no = ?2 AND state = 'verified'`,
        ...[nowMs, no],
      );
      touchManifest(store, no, nowMs);
    }
    return again;
  });
}

export const remoteBacklog = ({ store }: LibraryContext): RemoteBacklog =>
  store.get<RemoteBacklog & Record<string, SQLInputValue>>(
    `SELECT count(*) AS objects, coalesce(sum(size_bytes), 0) AS bytes, min(queued_ms) AS oldestUtcMs,
       coalesce(sum(is_backfill), 0) AS backfillObjects
     FROM remote WHERE ${IS_OPEN}`,
  )!;

/** All of the ledger, in the order of a bucket's listing, page by page. */
export function remoteEntries(
  { store }: LibraryContext,
  { after, limit }: { after: string; limit: number },
): readonly RemoteEntry[] {
  return store.all<RemoteEntry>(
    `SELECT no, key, coalesce(sealed ->> 'sizeBytes', size_bytes) AS sizeBytes, state, upload_id AS uploadId, verified_ms AS verifiedUtcMs
     FROM remote WHERE key > ? ORDER BY key LIMIT ?`,
    ...[after, limit],
  );
}
