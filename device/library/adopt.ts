import { createHash } from 'node:crypto';
import { createReadStream, existsSync } from 'node:fs';
import { open, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { coverageOf, durationMsOf, clipsOver, readerOf } from '../kernel/fmp4/describe.ts';
import { scanFile } from '../kernel/fmp4/scan.ts';
import { commitFacts, type FootageFact } from './commit.ts';
import type { LibraryContext } from './context.ts';
import { isKeptMode } from './protect.ts';

/** A place below `media/clips` or `media/segments`. */
export interface FilePlace {
  readonly kind: 'clip' | 'segment';
  readonly cameraId: string;
  /** Of its clip or segment, by its name. */
  readonly id: string;
  /** Relative to the data directory. */
  readonly path: string;
}

/** `known`: the index has it meanwhile. `unknown`: not what its place says, or a copy; nothing is done. */
export type Adoption = 'adopted' | 'known' | 'unknown';

/** Enters a complete footage file that has no row into the index, by what it says about itself. */
export async function adoptFile(context: LibraryContext, place: FilePlace): Promise<Adoption> {
  const { store, dataDir } = context;
  const row = store.get<{ path: string; missing_ms: number | null }>(
    'SELECT path, missing_ms FROM file WHERE file_id = ?',
    place.id,
  );
  if (row && row.missing_ms === null) return row.path === place.path ? 'known' : 'unknown';
  const facts = await describeFile(dataDir, place);
  if (!facts) return 'unknown';
  const { mode } = await stat(join(dataDir, place.path));
  // It may have been deleted while it was read. From here on nothing comes in between.
  if (!existsSync(join(dataDir, place.path)) || isGarbage(context, place.path)) return 'known';
  const [committed] = commitFacts(
    context,
    facts.filter((fact) => isOfKnownEvent(context, fact)),
  );
  if (isKeptMode(mode)) store.run(`UPDATE file SET class = 'protected' WHERE file_id = ?`, place.id);
  return committed && 'link' in committed ? 'adopted' : 'unknown';
}

/**
 * What its writer told, or would have told: of the file, then of clips over it that were never completed. Null for
 * a file that is not what its place says.
 */
async function describeFile(
  dataDir: string,
  { kind, cameraId, id, path }: FilePlace,
): Promise<readonly FootageFact[] | null> {
  const absolute = join(dataDir, path);
  await using handle = await open(absolute, 'r');
  const { size: sizeBytes } = await handle.stat();
  const file = await scanFile(readerOf(handle), sizeBytes);
  const note = file?.notes.at(-1)?.note;
  if (!file || note?.kind !== kind || note.cameraId !== cameraId || note.id !== id) return null;
  const common = {
    cameraId,
    path,
    startUtcMs: Math.round(note.startUtcMs),
    durationMs: durationMsOf(file),
    sizeBytes,
  };
  const told = {
    sha256: await sha256Of(absolute),
    coverage: coverageOf(file, note.startUtcMs),
    recovered: true,
  };
  return kind === 'clip'
    ? [{ type: 'clip.ready', clip: { clipId: id, eventIds: note.eventIds, ...common }, ...told }]
    : [
        { type: 'segment.ready', segment: { segmentId: id, ...common }, ...told },
        ...clipsOver(note, told.coverage),
      ];
}

/** A still without a row becomes that of its event, if there is one that lacks it. */
export async function adoptStill(
  context: LibraryContext,
  { cameraId, eventId, path }: { cameraId: string; eventId: string; path: string },
): Promise<Adoption> {
  const { mtimeMs, size } = await stat(join(context.dataDir, path));
  const event = context.store.get<{ path: string | null }>(
    `SELECT path FROM event JOIN camera ON camera.no = event.camera LEFT JOIN still ON still.event = event.no
     WHERE event_id = ? AND camera_id = ?`,
    ...[eventId, cameraId],
  );
  if (event?.path === path || isGarbage(context, path)) return 'known';
  if (event?.path !== null) return 'unknown';
  commitFacts(context, [{ type: 'still', cameraId, eventId, path, utcMs: mtimeMs, sizeBytes: size }]);
  return 'adopted';
}

export async function sha256Of(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
}

/** A clip without file says nothing but which events it is of. */
const isOfKnownEvent = ({ store }: LibraryContext, fact: FootageFact): boolean =>
  fact.type !== 'clip.ready' ||
  fact.clip.path !== null ||
  fact.clip.eventIds.some((id) => store.get('SELECT 1 FROM event WHERE event_id = ?', id) !== null);

const isGarbage = ({ store, media }: LibraryContext, path: string): boolean =>
  store.get('SELECT 1 FROM garbage WHERE media = ? AND path = ?', media, path) !== null;
