/** What this room needs of others: the ledger, and files by their path in the data directory. */
import type { ErrorCode } from '../contract/errors.ts';
import type {
  BackfillPage,
  ManifestDay,
  ManifestEntry,
  RemoteAttempt,
  RemoteBacklog,
  RemoteEntry,
  RemoteKind,
  RemoteObject,
  RemotePart,
  RemoteSeal,
  RemoteSealed,
} from '../contract/sync.ts';

/** Every promise resolves when the ledger has it for good, and rejects with a CodedError. */
export interface Ledger {
  /** Takes up what was committed since; number of objects, 0: nothing waits. */
  enrol(limit: number): Promise<number>;
  /** Takes up what was there before: of a kind the next `limit`, where they began at or after `sinceUtcMs`. */
  backfill(page: {
    kind: RemoteKind;
    after: number;
    sinceUtcMs: number;
    limit: number;
  }): Promise<BackfillPage>;
  next(choice: { kinds: readonly RemoteKind[]; not: readonly number[] }): Promise<RemoteObject | null>;
  /** Makes a clip that has none a file. */
  materialise(clipId: string): Promise<{ path: string; sizeBytes: number; sha256: string }>;
  ready(file: RemoteAttempt & { path: string; sizeBytes: number; sha256: string }): Promise<void>;
  /** How it is encrypted from now on; parts of it that were sent before are of no use. */
  seal(choice: RemoteAttempt & { seal: RemoteSeal | null }): Promise<void>;
  uploading(
    progress: RemoteAttempt & { uploadId: string | null; parts: readonly RemotePart[] },
  ): Promise<void>;
  verified(result: RemoteAttempt & { etag: string; sealed: RemoteSealed | null }): Promise<void>;
  failed(
    failure: RemoteAttempt & { code: ErrorCode; retryUtcMs: number; startsOver: boolean },
  ): Promise<void>;
  gone(attempt: RemoteAttempt): Promise<void>;
  /** Number of those that are sent again. */
  missing(nos: readonly number[]): Promise<number>;
  backlog(): Promise<RemoteBacklog>;
  /** In the order of keys. */
  entries(page: { after: string; limit: number }): Promise<readonly RemoteEntry[]>;
  /** Days whose manifest is out of date for so long; null: all days. */
  manifestDays(changedBeforeUtcMs: number | null): Promise<readonly ManifestDay[]>;
  manifest(day: Pick<ManifestDay, 'cameraId' | 'day'>): Promise<readonly ManifestEntry[]>;
  manifestWritten(day: Omit<ManifestDay, 'revision'>): Promise<void>;
}
