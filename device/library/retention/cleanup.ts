import { CodedError, type ErrorReport } from '../../contract/errors.ts';
import type { FootageClass } from '../../contract/settings.ts';
import type { LibraryContext } from '../context.ts';
import { condemnFile, garbageCount, sweepGarbage } from '../garbage.ts';
import { mediaDir, spaceAt, type DiskSpace } from '../media.ts';
import { markNewlyProtected } from '../protect.ts';
import { forgetHistory } from './history.ts';
import { planRetention, type Deletion, type DeletionReason, type RetentionPolicy } from './plan.ts';
import { keepReserve, onReserve } from './reserve.ts';
import { shelvesOf, YOUNG_MS } from './shelves.ts';

/** Files in one transaction; others wait for the index that long. */
const BATCH = 64;
/** Whoever asks for a clean-up may do something else before it asks for the rest. */
const BUDGET_MS = 1000;
/** With less than this, a camera cannot write its next second for sure. */
const FULL_BYTES = 2 ** 22;

export interface Deleted {
  readonly footageClass: FootageClass;
  readonly reason: DeletionReason;
  readonly files: number;
  readonly sizeBytes: number;
}

export interface CleanupReport {
  readonly deleted: readonly Deleted[];
  /** False: there is more to do, ask again. */
  readonly isComplete: boolean;
  /** What ails the disk after all that could be done. */
  readonly problems: readonly ErrorReport[];
}

/**
 * Deletes what limits and headroom ask for, for about a second. To be asked only while the right disk is there.
 *
 * Free space is looked at once per call, and what is deleted counts as freed, also where the file system takes its
 * time: no more goes than was needed.
 */
export async function cleanup(context: LibraryContext, policy: RetentionPolicy): Promise<CleanupReport> {
  return await onReserve(context.dataDir, context.log, () => makeRoom(context, policy));
}

async function makeRoom(context: LibraryContext, policy: RetentionPolicy): Promise<CleanupReport> {
  const { clock, dataDir } = context;
  const untilMs = clock.monotonicMs() + BUDGET_MS;
  const deletions: Deletion[] = [];
  const report = (isComplete: boolean, problems: readonly ErrorReport[]): CleanupReport => ({
    deleted: sumUp(deletions),
    isComplete,
    problems,
  });
  // What could not be deleted before must be gone before the index gives up more.
  if (!(await isSwept(context))) return report(true, [stuck(context)]);
  let { freeBytes } = await spaceAt(mediaDir(dataDir));
  do {
    const nowUtcMs = clock.utcMs();
    const plan = planRetention({ nowUtcMs, freeBytes, shelves: shelvesOf(context, nowUtcMs) }, policy, BATCH);
    discard(context, plan.deletions);
    if (!(await isSwept(context))) return report(true, [stuck(context)]);
    deletions.push(...plan.deletions);
    freeBytes += plan.deletions.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    if (plan.isComplete) {
      await markNewlyProtected(context);
      forgetHistory(context, policy);
      const disk = await spaceAt(mediaDir(dataDir));
      if (plan.shortBytes === 0) await keepReserve(dataDir, disk.freeBytes);
      return report(true, problemsOf(context, disk, plan.shortBytes));
    }
  } while (clock.monotonicMs() < untilMs);
  return report(false, []);
}

/** Protected footage stays, also when a verb of the CLI has protected it since the plan was made. */
function discard({ store, clock }: LibraryContext, deletions: readonly Deletion[]): void {
  const nowMs = Math.round(clock.utcMs());
  store.transaction(() => {
    for (const { fileId } of deletions) {
      const isProtected = store.get(`SELECT 1 FROM file WHERE file_id = ? AND class = 'protected'`, fileId);
      if (!isProtected) condemnFile(store, fileId, nowMs);
    }
  });
}

async function isSwept(context: LibraryContext): Promise<boolean> {
  if (garbageCount(context) === 0) return true;
  await sweepGarbage(context);
  return garbageCount(context) === 0;
}

const stuck = (context: LibraryContext): ErrorReport =>
  new CodedError('DISK_WRITE_FAILED', `${garbageCount(context)} files cannot be deleted`).report();

function problemsOf({ store, media }: LibraryContext, disk: DiskSpace, shortBytes: number): ErrorReport[] {
  const problems: ErrorReport[] = [];
  if (disk.freeBytes < FULL_BYTES) {
    problems.push(new CodedError('DISK_FULL', `${megabytes(disk.freeBytes)} free`).report());
  }
  if (shortBytes > 0) {
    const { kept, total } = store.get<{ kept: number; total: number }>(
      `SELECT coalesce(sum(size_bytes) FILTER (WHERE class = 'protected'), 0) AS kept,
              coalesce(sum(size_bytes), 0) AS total
       FROM total WHERE media = ?`,
      media,
    )!;
    const others = disk.totalBytes - disk.freeBytes - total;
    const detail = [
      `${megabytes(shortBytes)} more should be free`,
      `${megabytes(kept)} are protected`,
      `${megabytes(total - kept)} are younger than ${YOUNG_MS / 60_000} min`,
      `${megabytes(Math.max(0, others))} are not footage`,
    ];
    problems.push(new CodedError('STORAGE_LOW', detail.join(', ')).report());
  }
  return problems;
}

const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;

function sumUp(deletions: readonly Deletion[]): Deleted[] {
  const sums = new Map<string, Deleted>();
  for (const { footageClass, reason, sizeBytes } of deletions) {
    const key = `${footageClass} ${reason}`;
    const sum = sums.get(key) ?? { footageClass, reason, files: 0, sizeBytes: 0 };
    sums.set(key, { ...sum, files: sum.files + 1, sizeBytes: sum.sizeBytes + sizeBytes });
  }
  return [...sums.values()];
}
