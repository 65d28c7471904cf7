import type { SQLInputValue } from 'node:sqlite';
import type { EventState } from '../contract/facts.ts';
import type { ClipSummary, EventRecord, EventSummary, ListQuery, Page } from '../contract/library.ts';
import type { LibraryContext } from './context.ts';
import type { Store } from './store.ts';

/** More is never answered at once. */
const MAX_PAGE = 500;

/** What `eventSummary` needs of `event` joined with `camera`. */
export const EVENT_COLUMNS = `
  event_id, camera_id, label, score, event.start_ms, event.end_ms, is_protected, zones,
  (SELECT path FROM still WHERE still.event = event.no) AS still_path,
  (SELECT clip_id FROM clip_event JOIN clip ON clip.no = clip_event.clip WHERE clip_event.event = event.no
   ORDER BY clip.no LIMIT 1) AS clip_id`;

export interface EventRow {
  readonly event_id: string;
  readonly camera_id: string;
  readonly label: string;
  readonly score: number;
  readonly start_ms: number;
  readonly end_ms: number | null;
  readonly is_protected: number;
  readonly zones: string;
  readonly still_path: string | null;
  readonly clip_id: string | null;
}

export const eventSummary = (row: EventRow): EventSummary => ({
  eventId: row.event_id,
  cameraId: row.camera_id,
  label: row.label,
  score: row.score,
  zones: JSON.parse(row.zones) as string[],
  startUtcMs: row.start_ms,
  endUtcMs: row.end_ms,
  stillPath: row.still_path,
  clipId: row.clip_id,
  isProtected: row.is_protected === 1,
});

export function listEvents(
  { store }: LibraryContext,
  query: ListQuery & { readonly label?: string },
): Page<EventSummary> {
  const rows = page<EventRow>(store, 'event', EVENT_COLUMNS, query, [['label = ?', query.label]]);
  return { items: rows.items.map(eventSummary), next: rows.next };
}

/** null when there is none of this id. */
export function getEvent({ store }: LibraryContext, { eventId }: { eventId: string }): EventRecord | null {
  const row = store.get<EventRow & { state: string }>(
    `SELECT ${EVENT_COLUMNS}, state FROM event JOIN camera ON camera.no = camera WHERE event_id = ?`,
    eventId,
  );
  return row && { ...eventSummary(row), state: JSON.parse(row.state) as EventState };
}

const CLIP_COLUMNS = `
  clip_id, camera_id, clip.start_ms, clip.end_ms, path, size_bytes, uploaded_ms,
  (SELECT lower(hex(sha256)) FROM link WHERE link.file_id = f.file_id) AS sha256,
  (SELECT json_group_array(event_id) FROM clip_event JOIN event ON event.no = clip_event.event
   WHERE clip_event.clip = clip.no) AS event_ids,
  EXISTS (SELECT 1 FROM clip_event JOIN event ON event.no = clip_event.event
   WHERE clip_event.clip = clip.no AND event.is_protected) AS is_protected`;
const CLIP_FILE = 'LEFT JOIN file AS f ON f.no = clip.file AND f.missing_ms IS NULL';

interface ClipRow {
  readonly clip_id: string;
  readonly camera_id: string;
  readonly event_ids: string;
  readonly start_ms: number;
  readonly end_ms: number;
  readonly path: string | null;
  readonly size_bytes: number | null;
  readonly sha256: string | null;
  readonly is_protected: number;
  readonly uploaded_ms: number | null;
}

const clipSummary = (row: ClipRow): ClipSummary => ({
  clipId: row.clip_id,
  cameraId: row.camera_id,
  eventIds: JSON.parse(row.event_ids) as string[],
  startUtcMs: row.start_ms,
  endUtcMs: row.end_ms,
  path: row.path,
  sizeBytes: row.size_bytes ?? 0,
  sha256: row.sha256,
  isProtected: row.is_protected === 1,
  isUploaded: row.uploaded_ms !== null,
});

export function listClips({ store }: LibraryContext, query: ListQuery): Page<ClipSummary> {
  const rows = page<ClipRow>(store, 'clip', CLIP_COLUMNS, query, []);
  return { items: rows.items.map(clipSummary), next: rows.next };
}

/** null when there is none of this id. */
export function getClip({ store }: LibraryContext, { clipId }: { clipId: string }): ClipSummary | null {
  const row = store.get<ClipRow>(
    `SELECT ${CLIP_COLUMNS} FROM clip JOIN camera ON camera.no = clip.camera ${CLIP_FILE} WHERE clip_id = ?`,
    clipId,
  );
  return row && clipSummary(row);
}

type Condition = readonly [sql: string, value: SQLInputValue | undefined];

/** By keyset, so that what is added or removed meanwhile shifts nothing. */
function page<Row>(
  store: Store,
  table: 'event' | 'clip',
  columns: string,
  { cameraId, startUtcMs, endUtcMs, after, limit }: ListQuery,
  more: readonly Condition[],
): Page<Row> {
  const conditions: Condition[] = [
    [`${table}.camera = (SELECT no FROM camera WHERE camera_id = ?)`, cameraId],
    [`${table}.start_ms >= ?`, startUtcMs],
    [`${table}.start_ms < ?`, endUtcMs],
    ...more,
  ];
  const asked = conditions.filter((each): each is [string, SQLInputValue] => each[1] !== undefined);
  const where = asked.map(([sql]) => sql);
  const values = asked.map(([, value]) => value);
  if (after) {
    where.push(`(${table}.start_ms, ${table}.no) < (?, ?)`);
    values.push(after.startUtcMs, after.no);
  }
  const size = Math.min(Math.max(1, limit), MAX_PAGE);
  const rows = store.all<Row & { page_start_ms: number; page_no: number }>(
    `SELECT ${columns}, ${table}.start_ms AS page_start_ms, ${table}.no AS page_no
     FROM ${table} JOIN camera ON camera.no = ${table}.camera ${table === 'clip' ? CLIP_FILE : ''}
     ${where.length > 0 ? `WHERE ${where.join(' AND ')}` : ''}
     ORDER BY ${table}.start_ms DESC, ${table}.no DESC LIMIT ?`,
    ...values,
    size,
  );
  const last = rows.length === size ? rows.at(-1) : undefined;
  return {
    items: rows,
    next: last ? { startUtcMs: last.page_start_ms, no: last.page_no } : null,
  };
}
