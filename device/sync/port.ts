/** What this room needs of others: the ledger, and files by their path in the data directory. */
import type { ErrorCode } from '../contract/errors.ts';
import type {
  ManifestDay,
  ManifestEntry,
  RemoteAttempt,
  RemoteBacklog,
  RemoteEntry,
  RemoteKind,
  RemoteObject,
  RemotePart,
} from '../contract/sync.ts';

/** Every promise resolves when the ledger has it for good, and rejects with a CodedError. */
export interface Ledger {
  /** Takes up what was committed since; number of objects, 0: nothing waits. */
  enrol(limit: number): Promise<number>;
  next(choice: { kinds: readonly RemoteKind[]; not: readonly number[] }): Promise<RemoteObject | null>;
  /** Makes a clip that has none a file. */
  materialise(clipId: string): Promise<{ path: string; sizeBytes: number; sha256: string }>;
  ready(file: RemoteAttempt & { path: string; sizeBytes: number; sha256: string }): Promise<void>;
  uploading(
    progress: RemoteAttempt & { uploadId: string | null; parts: readonly RemotePart[] },
  ): Promise<void>;
  verified(result: RemoteAttempt & { etag: string }): Promise<void>;
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
