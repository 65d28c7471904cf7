import type { FootageClass } from '../../contract/settings.ts';
import type { LibraryContext } from '../context.ts';
import { IS_OPEN } from '../remote-rows.ts';
import { LONG_MS } from '../schema.ts';
import type { Candidate, Shelf, Standing } from './plan.ts';

/** An event that has just ended is about to be looked at, sent, or continued: its footage stays this long. */
export const YOUNG_MS = 120_000;

/** Of a camera and class, the oldest: so long are the others kept waiting for the index, and no longer. */
const LOOKED_AT = 10_000;

/** Somebody is still to be given the file itself, or a clip that it holds a part of. */
const IS_QUEUED = `(
  EXISTS (SELECT 1 FROM outbox WHERE ref = file_id)
  OR EXISTS (SELECT 1 FROM remote WHERE ref = file_id AND ${IS_OPEN}) OR EXISTS (
    SELECT 1 FROM clip
    WHERE (EXISTS (SELECT 1 FROM outbox WHERE ref = clip_id)
        OR EXISTS (SELECT 1 FROM remote WHERE ref = clip_id AND ${IS_OPEN} AND path IS NULL))
      AND clip.camera = file.camera AND clip.start_ms > file.start_ms - ${LONG_MS}
      AND clip.start_ms < file.end_ms AND clip.end_ms > file.start_ms
  )
)`;

/** `among` is what the index of the table finds, `that` what has to be looked up for each. */
const FILTERS: Readonly<Record<Standing | 'any', { readonly among: string; readonly that: string }>> = {
  any: { among: 'true', that: 'true' },
  uploaded: { among: 'uploaded_ms IS NOT NULL', that: 'true' },
  idle: { among: 'uploaded_ms IS NULL', that: `NOT ${IS_QUEUED}` },
  queued: { among: 'uploaded_ms IS NULL', that: IS_QUEUED },
};

interface ShelfRow {
  readonly camera: number;
  readonly cameraId: string;
  readonly footageClass: FootageClass;
  readonly sizeBytes: number;
}

/** What the planner may know of the disk that is mounted. Pages are read when it asks for them. */
export function shelvesOf({ store, media }: LibraryContext, nowUtcMs: number): readonly Shelf[] {
  const now = Math.round(nowUtcMs);
  const rows = store.all<ShelfRow>(
    `SELECT camera.no AS camera, camera_id AS cameraId, class AS footageClass, size_bytes AS sizeBytes
     FROM total JOIN camera ON camera.no = total.camera
     WHERE media = ? AND class <> 'protected' AND files > 0`,
    media,
  );
  return rows.map(({ camera, cameraId, footageClass, sizeBytes }) => ({
    cameraId,
    footageClass,
    sizeBytes,
    // Footage from a time that has not come yet, by a clock that was wrong, is not young.
    oldest: (which, count) =>
      store.all<Candidate>(
        `SELECT file_id AS fileId, start_ms AS startUtcMs, size_bytes AS sizeBytes FROM (
           SELECT * FROM file
           WHERE media = ? AND class = ? AND camera = ? AND missing_ms IS NULL AND NOT end_ms BETWEEN ? AND ?
             AND ${FILTERS[which].among}
           ORDER BY start_ms LIMIT ${LOOKED_AT}
         ) AS file WHERE ${FILTERS[which].that} LIMIT ?`,
        ...[media, footageClass, camera, now - YOUNG_MS, now + YOUNG_MS, count],
      ),
  }));
}
