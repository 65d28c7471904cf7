import { ERRORS, type ErrorCode, type ErrorReport } from '../contract/errors.ts';
import type { EventSummary, Gap, Timeline } from '../contract/library.ts';
import type { LibraryContext } from './context.ts';
import { clampRange, mergeRanges, subtractRanges, type Range } from './ranges.ts';
import { EVENT_COLUMNS, eventSummary, type EventRow } from './lists.ts';
import { LONG_MS } from './schema.ts';

export interface TimelineQuery {
  readonly cameraId: string;
  readonly startUtcMs: number;
  readonly endUtcMs: number;
}

/** Files follow each other to within a picture; a shorter break is none. */
const JOIN_MS = 100;

/** What there is of a camera in a stretch of time, what is missing and why, and what happened. */
export function timeline(context: LibraryContext, query: TimelineQuery): Timeline {
  const { store, clock } = context;
  const { cameraId, startUtcMs, endUtcMs } = query;
  const camera = store.get<Camera>('SELECT no, since_ms FROM camera WHERE camera_id = ?', cameraId);
  if (!camera) return { ...query, coverage: [], gaps: [], events: [] };
  const window: Range = [startUtcMs, endUtcMs];
  const { here, elsewhere } = readCoverage(context, camera.no, window);
  // What is still to come is not missing.
  const past: Range = [Math.max(startUtcMs, camera.since_ms), Math.min(endUtcMs, clock.utcMs())];
  const missing = [...readGaps(context, camera.no, past), ...elsewhere];
  return {
    ...query,
    coverage: here.map(asCoverage),
    gaps: withoutCovered(missing, here, past),
    events: readEvents(context, camera.no, window),
  };
}

interface Camera {
  readonly no: number;
  readonly since_ms: number;
}

interface Missing {
  readonly range: Range;
  readonly reason: ErrorReport;
}

const asCoverage = ([startUtcMs, endUtcMs]: Range) => ({ startUtcMs, endUtcMs });

function reasonOf(code: ErrorCode, message: string = ERRORS[code].means): ErrorReport {
  return { code, message, advice: ERRORS[code].advice };
}

function readCoverage(
  { store, media }: LibraryContext,
  camera: number,
  window: Range,
): { here: readonly Range[]; elsewhere: readonly Missing[] } {
  const rows = store.all<{ start_ms: number; end_ms: number; is_here: number }>(
    `SELECT coalesce(coverage.start_ms, f.start_ms) AS start_ms, coalesce(coverage.end_ms, f.end_ms) AS end_ms,
       media = ? AS is_here
     FROM file AS f LEFT JOIN coverage ON coverage.file = f.no
     WHERE camera = ? AND f.start_ms > ?3 - ${LONG_MS} AND f.start_ms < ?4 AND f.end_ms > ?3 AND missing_ms IS NULL`,
    ...[media, camera, ...window],
  );
  const ranges = (isHere: boolean): Range[] =>
    rows
      .filter(({ is_here }) => Boolean(is_here) === isHere)
      .map(({ start_ms, end_ms }) => clampRange([start_ms, end_ms], window))
      .filter((range) => range !== null);
  const reason = reasonOf('MEDIA_MISSING', 'The footage of this time is on another disk.');
  return {
    here: mergeRanges(ranges(true), JOIN_MS),
    elsewhere: mergeRanges(ranges(false), JOIN_MS).map((range) => ({ range, reason })),
  };
}

function readGaps({ store }: LibraryContext, camera: number, [from, to]: Range): readonly Missing[] {
  const gaps = store.all<{ start_ms: number; end_ms: number; code: ErrorCode; message: string }>(
    `SELECT start_ms, coalesce(end_ms, ?3) AS end_ms, code, message FROM gap
     WHERE camera = ?1 AND start_ms > ?2 - ${LONG_MS} AND start_ms < ?3 AND coalesce(end_ms, ?3) > ?2
     UNION ALL
     SELECT start_ms, end_ms, code, message FROM gap INDEXED BY gap_long
     WHERE camera = ?1 AND end_ms - start_ms > ${LONG_MS} AND end_ms > ?2 AND start_ms <= ?2 - ${LONG_MS}
     UNION ALL
     SELECT start_ms, ?3, code, message FROM gap INDEXED BY gap_open
     WHERE camera = ?1 AND end_ms IS NULL AND start_ms <= ?2 - ${LONG_MS}`,
    ...[camera, from, to],
  );
  // Between the last sign of life of one agent and the start of the next. The newest that ended before counts too.
  const runs = store.all<{ alive_ms: number; ended: number; next_ms: number | null }>(
    `SELECT alive_ms, ended, (SELECT started_ms FROM run AS n WHERE n.no > run.no ORDER BY n.no LIMIT 1) AS next_ms
     FROM run
     WHERE alive_ms < ?2 AND alive_ms >= coalesce((SELECT max(alive_ms) FROM run WHERE alive_ms < ?1), 0)`,
    ...[from, to],
  );
  return [
    ...gaps.map(({ start_ms, end_ms, code, message }): Missing => ({
      range: [start_ms, end_ms],
      reason: reasonOf(code, message),
    })),
    ...runs.map(({ alive_ms, ended, next_ms }): Missing => ({
      range: [alive_ms, next_ms ?? alive_ms],
      reason: reasonOf(
        'AGENT_OFF',
        ended ? 'The agent was stopped.' : 'The agent, or its machine, stopped unexpectedly.',
      ),
    })),
  ];
}

/** Ascending and disjoint; where several reasons hold, that of the gap which began first counts. */
function withoutCovered(missing: readonly Missing[], covered: readonly Range[], past: Range): Gap[] {
  const gaps: Gap[] = [];
  let taken = [...covered];
  for (const { range, reason } of missing.toSorted((a, b) => a.range[0] - b.range[0])) {
    const clamped = clampRange(range, past);
    if (!clamped) continue;
    for (const left of subtractRanges(clamped, taken)) gaps.push({ ...asCoverage(left), reason });
    taken = mergeRanges([...taken, clamped]);
  }
  return gaps.toSorted((a, b) => a.startUtcMs - b.startUtcMs);
}

function readEvents({ store }: LibraryContext, camera: number, [from, to]: Range): readonly EventSummary[] {
  const rows = store.all<EventRow>(
    `WITH found AS (
       SELECT no FROM event
       WHERE camera = ?1 AND start_ms > ?2 - ${LONG_MS} AND start_ms < ?3 AND coalesce(end_ms, ?3) > ?2
       UNION ALL
       SELECT no FROM event INDEXED BY event_long
       WHERE camera = ?1 AND end_ms - start_ms > ${LONG_MS} AND end_ms > ?2 AND start_ms <= ?2 - ${LONG_MS}
       UNION ALL
       SELECT no FROM event INDEXED BY event_open WHERE camera = ?1 AND end_ms IS NULL AND start_ms <= ?2 - ${LONG_MS}
     )
     SELECT ${EVENT_COLUMNS} FROM found JOIN event USING (no) JOIN camera ON camera.no = event.camera
     ORDER BY event.start_ms, event.no`,
    ...[camera, from, to],
  );
  return rows.map(eventSummary);
}
