import type {
  ClipReadyFact,
  Coverage,
  EventState,
  GapFact,
  SegmentReadyFact,
  StillFact,
} from '../contract/facts.ts';
import type { ErrorReport } from '../contract/errors.ts';
import type { ChainLink } from '../contract/library.ts';
import { appendLink, type Linked } from './chain.ts';
import type { LibraryContext } from './context.ts';
import { enqueue } from './outbox.ts';
import { LONG_MS } from './schema.ts';
import type { Store } from './store.ts';

/** The latest state of an event; how it came about does not matter here. */
export interface EventStateFact {
  readonly type: 'event';
  readonly event: EventState;
}

/** A camera gives nothing to record from `utcMs` on (`reason`), or does so again (null). */
export interface OutageFact {
  readonly type: 'outage';
  readonly cameraId: string;
  readonly utcMs: number;
  readonly reason: ErrorReport | null;
}

export type FootageFact = ClipReadyFact | SegmentReadyFact;

/** What goes into the index. Committing one a second time changes nothing. */
export type IndexFact = EventStateFact | FootageFact | StillFact | GapFact | OutageFact;

/** What the index has now. */
export interface Indexed {
  /** Of a file's place in the chain; null for facts without a file. */
  readonly link: ChainLink | null;
  /** Whether it was not there before, as far as facts are footage. */
  readonly isNew: boolean;
}

export type Committed = Indexed | { readonly refused: string };

/** All of `facts` in one transaction. One that the index refuses is left out, and costs the others nothing. */
export function commitFacts(context: LibraryContext, facts: readonly IndexFact[]): readonly Committed[] {
  const { store } = context;
  return store.transaction(() => {
    const committed = facts.map((fact): Committed => {
      try {
        return store.transaction(() => commitFact(context, fact));
      } catch (error) {
        if (!isRefusal(error)) throw error;
        return { refused: (error as Error).message };
      }
    });
    markAlive(context);
    return committed;
  });
}

/** Said again so soon, it would cost a write and tell nothing. */
const ALIVE_STEP_MS = 10_000;

/** The agent is there: what is missing from now on is not missing for want of it. */
export function markAlive({ store, clock }: LibraryContext): void {
  store.run(
    'UPDATE run SET alive_ms = ?1 WHERE no = (SELECT max(no) FROM run) AND NOT ended AND alive_ms < ?1 - ?2',
    ...[Math.round(clock.utcMs()), ALIVE_STEP_MS],
  );
}

function commitFact(context: LibraryContext, fact: IndexFact): Indexed {
  switch (fact.type) {
    case 'clip.ready':
      return commitClip(context, fact);
    case 'segment.ready':
      return commitSegment(context, fact);
    case 'event':
      commitEvent(context, fact.event);
      break;
    case 'still':
      commitStill(context, fact);
      break;
    case 'gap':
      commitGap(context, fact);
      break;
    case 'outage':
      commitOutage(context, fact);
  }
  return { link: null, isNew: true };
}

/** The row of a camera, made when first heard of. */
export function cameraNo(store: Store, cameraId: string, atMs: number): number {
  const known = store.get<{ no: number; since_ms: number }>(
    'SELECT no, since_ms FROM camera WHERE camera_id = ?',
    cameraId,
  );
  const sinceMs = Math.floor(atMs);
  if (known && known.since_ms <= sinceMs) return known.no;
  return store.get<{ no: number }>(
    `INSERT INTO camera (camera_id, since_ms) VALUES (?, ?)
     ON CONFLICT (camera_id) DO UPDATE SET since_ms = excluded.since_ms RETURNING no`,
    cameraId,
    sinceMs,
  )!.no;
}

function commitEvent({ store, clock }: LibraryContext, event: EventState): void {
  const { eventId, cameraId, label, score, startUtcMs, endUtcMs } = event;
  const known = store.get<{ end_ms: number | null }>('SELECT end_ms FROM event WHERE event_id = ?', eventId);
  // An ended event stays ended, whatever comes late.
  if (known && known.end_ms !== null) return;
  const camera = cameraNo(store, cameraId, startUtcMs);
  const endMs = endUtcMs === null ? null : Math.round(endUtcMs);
  const startMs = Math.round(startUtcMs);
  const zones = JSON.stringify(event.enteredZones);
  const state = JSON.stringify(event);
  if (known) {
    store.run(
      'UPDATE event SET label = ?, score = ?, end_ms = ?, zones = ?, state = ? WHERE event_id = ?',
      ...[label, score, endMs, zones, state, eventId],
    );
  } else {
    store.run(
      `INSERT INTO event (event_id, camera, label, score, start_ms, end_ms, zones, state)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
      ...[eventId, camera, label, score, startMs, endMs, zones, state],
    );
    enqueue(store, 'event.new', eventId, clock.utcMs());
  }
  if (endMs === null) return;
  classify(store, camera, startMs, endMs);
  enqueue(store, 'event.end', eventId, clock.utcMs());
}

function commitClip(context: LibraryContext, fact: ClipReadyFact): Indexed {
  const { store, clock } = context;
  const { clipId, cameraId, eventIds, path, startUtcMs, durationMs, sizeBytes } = fact.clip;
  const camera = cameraNo(store, cameraId, startUtcMs);
  const { startMs, endMs } = rangeOf(startUtcMs, durationMs);
  let file: StoredFile | null = null;
  if (path !== null && fact.sha256 !== null) {
    const linked = { kind: 'clip', fileId: clipId, startMs, endMs, sizeBytes } as const;
    file = commitFile(context, camera, path, linked, fact);
  }
  const known = store.get<{ no: number }>('SELECT no FROM clip WHERE clip_id = ?', clipId);
  const { no } = store.get<{ no: number }>(
    `INSERT INTO clip (clip_id, camera, start_ms, end_ms, file) VALUES (?, ?, ?, ?, ?)
     ON CONFLICT (clip_id) DO UPDATE SET file = coalesce(excluded.file, file), end_ms = max(end_ms, excluded.end_ms)
     RETURNING no`,
    ...[clipId, camera, startMs, endMs, file?.no ?? null],
  )!;
  for (const eventId of eventIds) {
    store.run(
      'INSERT OR IGNORE INTO clip_event (event, clip) SELECT no, ? FROM event WHERE event_id = ?',
      ...[no, eventId],
    );
  }
  classify(store, camera, startMs, endMs);
  if (!known) enqueue(store, 'clip.ready', clipId, clock.utcMs());
  return { link: file?.link ?? null, isNew: known === null };
}

function commitSegment(context: LibraryContext, fact: SegmentReadyFact): Indexed {
  const { store, clock } = context;
  const { segmentId, cameraId, path, startUtcMs, durationMs, sizeBytes } = fact.segment;
  const camera = cameraNo(store, cameraId, startUtcMs);
  const { startMs, endMs } = rangeOf(startUtcMs, durationMs);
  const linked = { kind: 'segment', fileId: segmentId, startMs, endMs, sizeBytes } as const;
  const { link, isNew } = commitFile(context, camera, path, linked, fact);
  classify(store, camera, startMs, endMs);
  if (isNew) enqueue(store, 'segment.ready', segmentId, clock.utcMs());
  return { link, isNew };
}

interface StoredFile {
  readonly no: number;
  readonly link: ChainLink;
  readonly isNew: boolean;
}

function commitFile(
  { store, media, clock }: LibraryContext,
  camera: number,
  path: string,
  linked: Omit<Linked, 'sha256'>,
  fact: { readonly sha256: string | null; readonly coverage: readonly Coverage[] },
): StoredFile {
  const { kind, fileId, startMs, endMs, sizeBytes } = linked;
  const sha256 = Buffer.from(fact.sha256 ?? '', 'hex');
  const { isNew, ...link } = appendLink(store, camera, { ...linked, sha256 }, Math.round(clock.utcMs()));
  const known = store.get<{ no: number }>('SELECT no FROM file WHERE file_id = ?', fileId);
  if (known) {
    // It is there again, perhaps somewhere else.
    store.run(
      'UPDATE file SET path = ?, media = ?, missing_ms = NULL WHERE no = ? AND missing_ms IS NOT NULL',
      ...[path, media, known.no],
    );
    return { no: known.no, link, isNew };
  }
  const { no } = store.get<{ no: number }>(
    `INSERT INTO file (file_id, kind, camera, media, path, start_ms, end_ms, size_bytes, class)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING no`,
    ...[fileId, kind, camera, media, path, startMs, endMs, sizeBytes],
    kind === 'clip' ? 'event' : 'continuous',
  )!;
  if (fact.coverage.length > 1) {
    for (const { startUtcMs, endUtcMs } of fact.coverage) {
      store.run('INSERT INTO coverage VALUES (?, ?, ?)', no, Math.round(startUtcMs), Math.round(endUtcMs));
    }
  }
  return { no, link, isNew };
}

const rangeOf = (startUtcMs: number, durationMs: number): { startMs: number; endMs: number } => ({
  startMs: Math.round(startUtcMs),
  endMs: Math.round(startUtcMs + durationMs),
});

/**
 * Sets the class of every file of the camera that reaches into the time: by the clips that range over it, the
 * events that happened in it (one that was interrupted may have no clip), and their protection. To be called when
 * any of these changes. What is protected stays so until it is released.
 */
export function classify(
  store: Store,
  camera: number,
  startMs: number,
  endMs: number,
  kept: 'stays' | 'release' = 'stays',
): void {
  const during = (table: 'clip' | 'event'): string =>
    `${table}.camera = f.camera AND ${table}.start_ms > f.start_ms - ${LONG_MS} AND ${table}.start_ms < f.end_ms
     AND ${table}.end_ms > f.start_ms`;
  store.run(
    `WITH wanted AS (
       SELECT no, CASE
         WHEN class = 'protected' AND ?4 = 'stays' THEN 'protected'
         WHEN EXISTS (SELECT 1 FROM event WHERE ${during('event')} AND is_protected) OR EXISTS (
           SELECT 1 FROM clip JOIN clip_event ON clip_event.clip = clip.no JOIN event ON event.no = clip_event.event
           WHERE ${during('clip')} AND is_protected
         ) THEN 'protected'
         WHEN kind = 'clip' OR EXISTS (SELECT 1 FROM event WHERE ${during('event')})
           OR EXISTS (SELECT 1 FROM clip WHERE ${during('clip')}) THEN 'event'
         ELSE 'continuous' END AS class
       FROM file AS f
       WHERE camera = ?1 AND start_ms > ?2 - ${LONG_MS} AND start_ms < ?3 AND end_ms > ?2
     )
     UPDATE file SET class = wanted.class FROM wanted WHERE file.no = wanted.no AND file.class <> wanted.class`,
    ...[camera, startMs, endMs, kept],
  );
}

/** A better still of the same event takes the place of the one before. */
function commitStill({ store, media, clock }: LibraryContext, still: StillFact): void {
  const event = store.get<{ no: number }>('SELECT no FROM event WHERE event_id = ?', still.eventId);
  if (!event) return;
  store.run(
    `INSERT OR IGNORE INTO garbage (media, path, since_ms)
     SELECT media, path, ? FROM still WHERE event = ? AND media = ? AND path <> ?`,
    ...[Math.round(clock.utcMs()), event.no, media, still.path],
  );
  store.run(
    `INSERT INTO still VALUES (?, ?, ?, ?, ?) ON CONFLICT (event) DO UPDATE SET media = excluded.media,
     path = excluded.path, utc_ms = excluded.utc_ms, size_bytes = excluded.size_bytes`,
    ...[event.no, media, still.path, Math.round(still.utcMs), still.sizeBytes],
  );
  enqueue(store, 'still', still.eventId, clock.utcMs());
}

function commitGap({ store }: LibraryContext, { cameraId, startUtcMs, endUtcMs, reason }: GapFact): void {
  const camera = cameraNo(store, cameraId, startUtcMs);
  const [startMs, endMs] = [Math.round(startUtcMs), Math.round(endUtcMs)];
  const known = 'SELECT 1 FROM gap WHERE camera = ? AND start_ms = ? AND end_ms = ? AND code = ?';
  if (store.get(known, camera, startMs, endMs, reason.code)) return;
  store.run(
    'INSERT INTO gap (camera, start_ms, end_ms, code, message) VALUES (?, ?, ?, ?, ?)',
    ...[camera, startMs, endMs, reason.code, reason.message],
  );
}

/** One outage per camera at a time; the reason it began with counts. */
function commitOutage({ store }: LibraryContext, { cameraId, utcMs, reason }: OutageFact): void {
  const atMs = Math.round(utcMs);
  const camera = cameraNo(store, cameraId, atMs);
  if (reason === null) {
    store.run(
      'UPDATE gap SET end_ms = max(start_ms, ?) WHERE camera = ? AND end_ms IS NULL AND start_ms <= ?',
      ...[atMs, camera, atMs],
    );
    return;
  }
  const known = 'SELECT 1 FROM gap WHERE camera = ? AND (end_ms IS NULL OR (start_ms = ? AND code = ?))';
  if (store.get(known, camera, atMs, reason.code)) return;
  store.run(
    'INSERT INTO gap (camera, start_ms, code, message) VALUES (?, ?, ?, ?)',
    ...[camera, atMs, reason.code, reason.message],
  );
}

/** Of SQLite (https://www.sqlite.org/rescode.html): too big, constraint, mismatch, range. */
const REFUSALS = new Set([18, 19, 20, 25]);

/** It is the fact that is wrong, not the index or its disk: it would be refused each time, and hold up all others. */
function isRefusal(error: unknown): boolean {
  const { errcode } = error as { errcode?: number };
  return errcode === undefined || REFUSALS.has(errcode & 0xff);
}
