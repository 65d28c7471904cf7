/** What the library of footage says: answers to questions, and its state. Times are UTC ms. */
import type { ErrorReport } from './errors.ts';
import type { Coverage, EventState } from './facts.ts';

/**
 * A link of a camera's hash chain: `hash` = SHA-256 over the link before it and over what the closed file is
 * (kind, id, start, duration, size, SHA-256 of its bytes). See design/library.md.
 */
export interface ChainLink {
  /** From 1. */
  readonly position: number;
  readonly hash: string;
}

/** Time without footage of a camera that should have been recorded. */
export interface Gap extends Coverage {
  readonly reason: ErrorReport;
}

/** An event as lists show it. */
export interface EventSummary {
  readonly eventId: string;
  readonly cameraId: string;
  readonly label: string;
  readonly score: number;
  readonly zones: readonly string[];
  readonly startUtcMs: number;
  /** null while it goes on. */
  readonly endUtcMs: number | null;
  /** Relative to the data directory; null without one. */
  readonly stillPath: string | null;
  readonly clipId: string | null;
  readonly isProtected: boolean;
}

/** An event with all that was known of it when it was last told. */
export interface EventRecord extends EventSummary {
  readonly state: EventState;
}

/** The recording of one or more events. */
export interface ClipSummary {
  readonly clipId: string;
  readonly cameraId: string;
  readonly eventIds: readonly string[];
  readonly startUtcMs: number;
  readonly endUtcMs: number;
  /** Relative to the data directory; null while it is a range over segments, or when its file is not there. */
  readonly path: string | null;
  /** 0 without a file. */
  readonly sizeBytes: number;
  /** Of its file. */
  readonly sha256: string | null;
  readonly isProtected: boolean;
  readonly isUploaded: boolean;
}

/** Newest first. What is not named is not asked for. */
export interface ListQuery {
  readonly cameraId?: string;
  /** Those that begin from here on … */
  readonly startUtcMs?: number;
  /** … and before here. */
  readonly endUtcMs?: number;
  /** `next` of the page before. */
  readonly after?: Cursor;
  readonly limit: number;
}

/** Where a list goes on. */
export interface Cursor {
  readonly startUtcMs: number;
  readonly no: number;
}

export interface Page<Item> {
  readonly items: readonly Item[];
  /** null: that was all. */
  readonly next: Cursor | null;
}

/** One camera, one stretch of time (usually a day): what there is, what is missing and why, what happened. */
export interface Timeline {
  readonly cameraId: string;
  readonly startUtcMs: number;
  readonly endUtcMs: number;
  /** Ascending, disjoint. */
  readonly coverage: readonly Coverage[];
  readonly gaps: readonly Gap[];
  readonly events: readonly EventSummary[];
}
