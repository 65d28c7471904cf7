import type { LibraryContext } from '../context.ts';
import { condemnEvent, condemnStills } from '../garbage.ts';
import type { RetentionPolicy } from './plan.ts';

/** What happened is remembered longer than it can be seen, but not for ever, and for so many events at most. */
const HISTORY_MS = 400 * 86_400_000;
const HISTORY_EVENTS = 500_000;
/** Rows per table and call. */
const BATCH = 256;

/** Stills of events as old as that; rows of events are made in the order in which they happen. */
const OLD_STILLS = `
  SELECT still.event FROM still JOIN event ON no = still.event
  WHERE still.event < coalesce((SELECT no FROM event WHERE start_ms >= ?1 ORDER BY start_ms LIMIT 1), 1 << 62)
    AND start_ms < ?1 AND NOT is_protected AND (?2 IS NULL OR camera = (SELECT no FROM camera WHERE camera_id = ?2))
  LIMIT ${BATCH}`;

const oldEvents = (which: string): string => `
  SELECT event_id AS eventId FROM event WHERE ${which} AND end_ms IS NOT NULL AND NOT is_protected LIMIT ${BATCH}`;

/** Rows without footage that are as old as that. */
const FORGOTTEN = [
  `DELETE FROM remote WHERE no IN (
     SELECT no FROM remote WHERE changed_ms < ? AND state = 'expired' ORDER BY changed_ms LIMIT ${BATCH})`,
  `DELETE FROM clip WHERE no IN (
     SELECT no FROM clip WHERE start_ms < ? AND file IS NULL
       AND NOT EXISTS (SELECT 1 FROM clip_event WHERE clip = clip.no) LIMIT ${BATCH})`,
  `DELETE FROM gap WHERE end_ms < ? AND no IN (SELECT no FROM gap ORDER BY no LIMIT ${BATCH})`,
  `DELETE FROM run WHERE alive_ms < ? AND no IN (SELECT no FROM run ORDER BY no LIMIT ${BATCH})
     AND no < (SELECT max(no) FROM run)`,
  `DELETE FROM file WHERE no IN (
     SELECT file.no FROM camera CROSS JOIN file ON file.camera = camera.no
     WHERE file.start_ms < ? AND missing_ms IS NOT NULL LIMIT ${BATCH})`,
];

/**
 * Stills go when the footage of events may no longer be kept. Events, gaps and the like stay when their footage
 * goes, and are forgotten when they are old; protected events never. Little at a time: it is asked again and again.
 */
export function forgetHistory(context: LibraryContext, { limits, cameraLimits }: RetentionPolicy): void {
  const { store, clock } = context;
  const before = (ageMs: number): number => Math.round(clock.utcMs() - ageMs);
  store.transaction(() => {
    const maxAges = [...cameraLimits].map(([cameraId, { event }]) => [cameraId, event.maxAgeMs] as const);
    for (const [cameraId, maxAgeMs] of [[null, limits.event.maxAgeMs] as const, ...maxAges]) {
      if (maxAgeMs !== null) condemnStills(store, before(0), OLD_STILLS, before(maxAgeMs), cameraId);
    }
    const newest = store.get<{ no: number | null }>('SELECT max(no) AS no FROM event')?.no ?? 0;
    const old = [
      ...store.all<{ eventId: string }>(oldEvents('start_ms < ?'), before(HISTORY_MS)),
      ...store.all<{ eventId: string }>(oldEvents('no <= ?'), newest - HISTORY_EVENTS),
    ];
    for (const { eventId } of old) condemnEvent(store, eventId, before(0));
    for (const sql of FORGOTTEN) store.run(sql, before(HISTORY_MS));
  });
}
