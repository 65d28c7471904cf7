import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { CodedError } from '../contract/errors.ts';
import { classify } from './commit.ts';
import type { LibraryContext } from './context.ts';
import { LONG_MS } from './schema.ts';

/**
 * Protected footage is never deleted. Besides the index its files say so themselves: nobody may write to them, and
 * an index that is made anew from the files takes it from there.
 */
const KEPT_MODE = 0o444;
const PLAIN_MODE = 0o644;

export const isKeptMode = (mode: number): boolean => (mode & 0o222) === 0;

export interface ProtectWish {
  /** Of an event, a clip or a segment. */
  readonly id: string;
  readonly isProtected: boolean;
}

export interface ProtectAnswer {
  readonly eventIds: readonly string[];
  /** That are, or no longer are, protected. */
  readonly files: number;
  readonly sizeBytes: number;
}

interface Stretch {
  readonly camera: number;
  readonly startMs: number;
  readonly endMs: number;
}

interface ProtectedFile {
  readonly no: number;
  readonly path: string;
  readonly sizeBytes: number;
  readonly media: number;
}

/**
 * Protects an event with all its footage, also what is still to come; a clip with the events it shows; a segment.
 * Releasing one leaves protected what another protected event needs.
 * @throws CodedError FOOTAGE_NOT_FOUND
 */
export async function protect(
  context: LibraryContext,
  { id, isProtected }: ProtectWish,
): Promise<ProtectAnswer> {
  const { store } = context;
  const { events, changed } = store.transaction(() => {
    const events = store.all<{ no: number; eventId: string }>(
      `SELECT no, event_id AS eventId FROM event WHERE event_id = ?1 OR no IN (
         SELECT event FROM clip_event JOIN clip ON clip.no = clip WHERE clip_id = ?1)`,
      id,
    );
    const clips = 'SELECT camera, start_ms AS startMs, end_ms AS endMs FROM clip WHERE';
    const stretches = [
      ...store.all<Stretch>(`${clips} clip_id = ?`, id),
      ...store.all<Stretch>(
        'SELECT camera, start_ms AS startMs, end_ms AS endMs FROM file WHERE file_id = ?',
        id,
      ),
      ...events.flatMap(({ no }) => [
        ...store.all<Stretch>(
          'SELECT camera, start_ms AS startMs, coalesce(end_ms, start_ms) AS endMs FROM event WHERE no = ?',
          no,
        ),
        ...store.all<Stretch>(`${clips} no IN (SELECT clip FROM clip_event WHERE event = ?)`, no),
      ]),
    ];
    if (events.length === 0 && stretches.length === 0) {
      throw new CodedError('FOOTAGE_NOT_FOUND', `no event, clip or segment is called ${id}`);
    }
    for (const { no } of events) {
      store.run('UPDATE event SET is_protected = ? WHERE no = ?', Number(isProtected), no);
    }
    return { events, changed: stretches.flatMap((stretch) => reclassify(context, stretch, isProtected)) };
  });
  await mark(context, changed, isProtected);
  const sizeBytes = changed.reduce((sum, file) => sum + file.sizeBytes, 0);
  return { eventIds: events.map(({ eventId }) => eventId), files: changed.length, sizeBytes };
}

/** Files of events that were protected while they were still going on. */
export async function markNewlyProtected(context: LibraryContext): Promise<void> {
  const { store, clock, media } = context;
  const files = store.all<ProtectedFile>(
    `SELECT no, path, size_bytes AS sizeBytes, media FROM file
     WHERE media = ? AND class = 'protected' AND camera IN (SELECT no FROM camera) AND start_ms > ?
       AND missing_ms IS NULL`,
    ...[media, Math.round(clock.utcMs()) - LONG_MS],
  );
  await mark(context, files, true);
}

/** The files of the stretch whose protection changed. */
function reclassify(
  { store }: LibraryContext,
  { camera, startMs, endMs }: Stretch,
  isProtected: boolean,
): ProtectedFile[] {
  const inStretch = `camera = ?1 AND start_ms > ?2 - ${LONG_MS} AND start_ms < ?3 AND end_ms > ?2`;
  const files = 'SELECT no, path, size_bytes AS sizeBytes, media FROM file WHERE';
  const stretch = [camera, startMs, endMs];
  if (isProtected) {
    const plain = store.all<ProtectedFile>(`${files} ${inStretch} AND class <> 'protected'`, ...stretch);
    store.run(`UPDATE file SET class = 'protected' WHERE ${inStretch}`, ...stretch);
    return plain;
  }
  const kept = store.all<ProtectedFile>(`${files} ${inStretch} AND class = 'protected'`, ...stretch);
  classify(store, camera, startMs, endMs, 'release');
  return kept.filter(({ no }) => !store.get(`SELECT 1 FROM file WHERE no = ? AND class = 'protected'`, no));
}

async function mark(
  { dataDir, media, log }: LibraryContext,
  files: readonly ProtectedFile[],
  isProtected: boolean,
): Promise<void> {
  for (const { path, media: on } of files) {
    if (on !== media) continue;
    try {
      await using file = await open(join(dataDir, path), 'r');
      if (isKeptMode((await file.stat()).mode) === isProtected) continue;
      await file.chmod(isProtected ? KEPT_MODE : PLAIN_MODE);
      await file.sync();
    } catch (error) {
      // The index protects it all the same.
      log.warn({ err: error, path }, 'a file could not be marked as protected, or no longer protected');
    }
  }
}
