/** What is kept elsewhere: the ledger of the objects in a bucket, as the library keeps it and `sync/` works on it. */
import type { Coverage } from './facts.ts';

export const REMOTE_KINDS = ['still', 'clip', 'segment'] as const;
export type RemoteKind = (typeof REMOTE_KINDS)[number];

/**
 * `local`: known, but there is no file with a known hash yet. `queued`: ready to be sent. `uploading`: bytes of it
 * may be there. `verified`: it is there, whole. `expired`: its file here is gone; `verifiedUtcMs` says whether it
 * is there.
 */
export type RemoteState = 'local' | 'queued' | 'uploading' | 'verified' | 'expired';

/** A part of a multipart upload that the server has taken. */
export interface RemotePart {
  /** From 1. */
  readonly part: number;
  readonly etag: string;
}

/**
 * What makes the same encrypted bytes of a file again, so that an upload can go on. Secret, and forgotten as soon as
 * the object is there.
 */
export interface RemoteSeal {
  /** Of the public key. */
  readonly keyId: string;
  /** SHA-256 of the file, hex: of no other content may it ever be used. */
  readonly of: string;
  /** Base64. */
  readonly header: string;
  readonly dataKey: string;
}

/** What lies in the bucket in place of the file, when that was encrypted. */
export interface RemoteSealed {
  readonly keyId: string;
  readonly sizeBytes: number;
  /** Hex. */
  readonly sha256: string;
}

/** One object of the ledger. */
export interface RemoteObject {
  readonly no: number;
  readonly kind: RemoteKind;
  /** Of the clip or segment; of a still: of its event. */
  readonly ref: string;
  readonly cameraId: string;
  /** Within the prefix. */
  readonly key: string;
  /** Relative to the data directory; null until there is a file. */
  readonly path: string | null;
  readonly startUtcMs: number;
  readonly endUtcMs: number;
  /** null while `local`. */
  readonly sizeBytes: number | null;
  /** Hex; null while `local`. */
  readonly sha256: string | null;
  readonly state: RemoteState;
  /** Counts up when there is other content under the same key: a better still. */
  readonly revision: number;
  readonly uploadId: string | null;
  /** Ascending. */
  readonly parts: readonly RemotePart[];
  /** null: nothing encrypted was begun. */
  readonly seal: RemoteSeal | null;
  readonly attempts: number;
  readonly verifiedUtcMs: number | null;
}

/** Which attempt something is told of: what came too late for it changes nothing. */
export type RemoteAttempt = Pick<RemoteObject, 'no' | 'revision'>;

/** What is known of an object that is, or may be, in the bucket. */
export interface RemoteEntry extends Pick<
  RemoteObject,
  'no' | 'key' | 'state' | 'uploadId' | 'verifiedUtcMs'
> {
  /** In the bucket. */
  readonly sizeBytes: number | null;
}

/** What waits to be sent. */
export interface RemoteBacklog {
  readonly objects: number;
  /** As far as it is known. */
  readonly bytes: number;
  /** When the oldest began to wait. */
  readonly oldestUtcMs: number | null;
  /** Of the objects: those that were recorded before they were asked for. */
  readonly backfillObjects: number;
}

/** Footage of before, a page of it. */
export interface BackfillPage {
  /** Objects that wait now, and did not before. */
  readonly taken: number;
  /** Where the next page begins; null: there is none. */
  readonly after: number | null;
}

/** A day (UTC) of a camera, with objects in the bucket. */
export interface ManifestDay {
  readonly cameraId: string;
  /** `2026-11-25` */
  readonly day: string;
  /** Counts up with each change of what is there. */
  readonly revision: number;
  /** Revision that the manifest in the bucket shows; 0 when there is none. */
  readonly written: number;
}

/** An object as its manifest has it. */
export interface ManifestEntry {
  readonly key: string;
  readonly kind: RemoteKind;
  readonly id: string;
  readonly startUtcMs: number;
  readonly endUtcMs: number;
  readonly sizeBytes: number;
  readonly sha256: string;
  readonly etag: string;
  /** null: it lies there as it is. */
  readonly sealed: RemoteSealed | null;
  /** Where footage has holes: what there is of it; null: all from start to end. */
  readonly coverage: readonly Coverage[] | null;
}
