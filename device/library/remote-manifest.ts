/** Which days of cameras have a manifest in the bucket, and what it has to say. */
import type { Coverage } from '../contract/facts.ts';
import type { ManifestDay, ManifestEntry, RemoteSealed } from '../contract/sync.ts';
import type { LibraryContext } from './context.ts';

const DAY_MS = 86_400_000;

const DAYS = `
  SELECT camera_id AS cameraId, day, revision, written FROM manifest JOIN camera ON camera.no = manifest.camera`;

/** All days; with `changedBeforeUtcMs` those whose manifest has been out of date for at least that long. */
export function remoteManifestDue(
  { store }: LibraryContext,
  { changedBeforeUtcMs }: { changedBeforeUtcMs: number | null },
): readonly ManifestDay[] {
  if (changedBeforeUtcMs === null) return store.all<ManifestDay>(`${DAYS} ORDER BY camera_id, day`);
  return store.all<ManifestDay>(
    `${DAYS} WHERE written < revision AND changed_ms <= ? ORDER BY changed_ms LIMIT 16`,
    Math.round(changedBeforeUtcMs),
  );
}

/** What is in the bucket of a day (UTC) of a camera, by time. */
export function remoteManifest(
  { store }: LibraryContext,
  { cameraId, day }: { cameraId: string; day: string },
): readonly ManifestEntry[] {
  const startMs = Date.parse(day);
  const rows = store.all<
    Omit<ManifestEntry, 'sha256' | 'sealed' | 'coverage'> & {
      sha256: Uint8Array;
      sealed: string | null;
      coverage: string | null;
    }
  >(
    `SELECT key, kind, ref AS id, start_ms AS startUtcMs, end_ms AS endUtcMs, size_bytes AS sizeBytes, sha256, etag,
       sealed, coverage
     FROM remote WHERE camera = (SELECT no FROM camera WHERE camera_id = ?) AND start_ms >= ? AND start_ms < ?
       AND verified_ms IS NOT NULL AND state IN ('verified', 'expired') AND sha256 IS NOT NULL AND etag IS NOT NULL
     ORDER BY start_ms, key`,
    ...[cameraId, startMs, startMs + DAY_MS],
  );
  return rows.map((row) =>
    Object.assign(row, {
      sha256: Buffer.from(row.sha256).toString('hex'),
      sealed: row.sealed === null ? null : (JSON.parse(row.sealed) as RemoteSealed),
      coverage: row.coverage === null ? null : coverageIn(row.coverage),
    }),
  );
}

const coverageIn = (json: string): Coverage[] =>
  (JSON.parse(json) as [number, number][]).map(([startUtcMs, endUtcMs]) => ({ startUtcMs, endUtcMs }));

/** The manifest in the bucket shows `written`; 0: there is none. */
export function remoteManifestWritten(
  { store }: LibraryContext,
  { cameraId, day, written }: Omit<ManifestDay, 'revision'>,
): void {
  store.run(
    'UPDATE manifest SET written = ? WHERE camera = (SELECT no FROM camera WHERE camera_id = ?) AND day = ?',
    ...[written, cameraId, day],
  );
}
