import type { FootageClass } from '../contract/settings.ts';
import type { RemoteBacklog } from '../contract/sync.ts';
import type { LibraryContext } from './context.ts';
import { mediaDir, spaceAt, type DiskSpace } from './media.ts';
import { remoteBacklog } from './remote.ts';

export interface ClassStats {
  readonly files: number;
  readonly sizeBytes: number;
  readonly oldestUtcMs: number | null;
}

/** What is on the disk that is mounted, and how fast it fills. */
export interface LibraryStats {
  readonly disk: DiskSpace;
  readonly classes: Readonly<Record<FootageClass | 'protected', ClassStats>>;
  readonly stills: number;
  /** What is still to be copied to a bucket. */
  readonly remote: RemoteBacklog;
  /** Footage of the last 24 h, of all cameras; null before there is enough to say. */
  readonly writtenBytesPerDay: number | null;
}

const DAY_MS = 86_400_000;
/** What was written in less time says little about a day. */
const LEAST_MS = 3_600_000;

export async function libraryStats(context: LibraryContext): Promise<LibraryStats> {
  const { store, media, dataDir } = context;
  const ofClass = (name: FootageClass | 'protected'): ClassStats =>
    store.get<ClassStats & Record<string, never>>(
      `SELECT coalesce(sum(files), 0) AS files, coalesce(sum(size_bytes), 0) AS sizeBytes,
         min((SELECT min(start_ms) FROM file WHERE file.media = total.media AND file.class = total.class
                AND file.camera = total.camera AND missing_ms IS NULL)) AS oldestUtcMs
       FROM total WHERE media = ? AND class = ?`,
      ...[media, name],
    )!;
  return {
    disk: await spaceAt(mediaDir(dataDir)),
    classes: { continuous: ofClass('continuous'), event: ofClass('event'), protected: ofClass('protected') },
    stills: store.get<{ count: number }>('SELECT count(*) AS count FROM still WHERE media = ?', media)!.count,
    remote: remoteBacklog(context),
    writtenBytesPerDay: writtenPerDay(context),
  };
}

/**
 * How many days of footage the disk holds when all are like the last: what may be overwritten, and what is free
 * beyond the headroom. null while nobody knows.
 */
export function forecastDays(stats: LibraryStats, headroomBytes: number): number | null {
  const { classes, disk, writtenBytesPerDay } = stats;
  if (!writtenBytesPerDay) return null;
  const room = classes.continuous.sizeBytes + classes.event.sizeBytes + disk.freeBytes - headroomBytes;
  return Math.max(0, room) / writtenBytesPerDay;
}

/**
 * By the chain, which remembers files that are gone already; what was recorded before the last day and found
 * only now does not count.
 */
function writtenPerDay({ store, clock }: LibraryContext): number | null {
  const now = Math.round(clock.utcMs());
  const first = store.get<{ ms: number | null }>('SELECT min(started_ms) AS ms FROM run')?.ms ?? now;
  const since = Math.max(first, now - DAY_MS);
  if (now - since < LEAST_MS) return null;
  const { bytes } = store.get<{ bytes: number }>(
    `SELECT coalesce(sum(size_bytes), 0) AS bytes FROM camera CROSS JOIN link ON link.camera = camera.no
     WHERE position > coalesce(
         (SELECT position FROM link AS earlier WHERE earlier.camera = camera.no AND closed_ms < ?1
          ORDER BY position DESC LIMIT 1), 0)
       AND end_ms > ?1 AND kind <> 'export'`,
    since,
  )!;
  return (bytes * DAY_MS) / (now - since);
}
