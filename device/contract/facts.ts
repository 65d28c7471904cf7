/**
 * Facts: what a camera's chain tells the agent. Plain data, the same inside the process (analyze) and across
 * the process border (camera host → agent). Times are UTC ms unless named otherwise.
 */
import type { Box } from './geometry.ts';
import type { ErrorReport } from './errors.ts';
import type { StreamRole } from './media.ts';

export type EventEndReason =
  /** not seen for a while */
  | 'gone'
  /** a vehicle or the like came to rest; its place is remembered, so it does not become a new event */
  | 'stationary'
  /** the camera, its process or the agent stopped */
  | 'interrupted';

/** One visit of one object: the state of an event at one moment. */
export interface EventState {
  readonly eventId: string;
  readonly cameraId: string;
  /** Counts up from 1 within one run of a camera's chain; the same object keeps it. */
  readonly trackId: number;
  readonly label: string;
  /** Belief that this is really a `label` (0..1): the highest so far, from all sightings together. */
  readonly score: number;
  /** Highest score of a single sighting. */
  readonly topScore: number;
  /** Where it is now. */
  readonly box: Box;
  /** Zones it is in now, and all it has been in; ids from the configuration. */
  readonly zones: readonly string[];
  readonly enteredZones: readonly string[];
  readonly stationary: boolean;
  readonly startUtcMs: number;
  readonly lastSeenUtcMs: number;
  readonly endUtcMs: number | null;
  readonly endReason: EventEndReason | null;
  /** The best sighting so far: when, where, and how sure the detector was. */
  readonly best: {
    readonly utcMs: number;
    readonly mediaMs: number;
    readonly box: Box;
    readonly score: number;
  };
  /** JPEG of the best sighting, relative to the data directory; null until written. */
  readonly stillPath: string | null;
  /** The same moments in stream time (files: from the start of the file). */
  readonly startMediaMs: number;
  readonly lastSeenMediaMs: number;
}

export interface EventFact {
  readonly type: 'event';
  readonly phase: 'new' | 'update' | 'end';
  readonly event: EventState;
  /** Frame arrival in the camera host (UTC ms) of the sighting that caused this, for latency accounting. */
  readonly frameArrivedUtcMs: number;
}

export interface MotionFact {
  readonly type: 'motion';
  readonly phase: 'start' | 'end';
  readonly cameraId: string;
  readonly utcMs: number;
  readonly mediaMs: number;
  /** Strength of the strongest frame so far, 0..1. */
  readonly score: number;
}

/** `segment`: a piece of continuous footage. `clip`: a file of its own for events. */
export type FootageKind = 'clip' | 'segment';

/** Footage that exists: a stretch without gaps. */
export interface Coverage {
  readonly startUtcMs: number;
  readonly endUtcMs: number;
}

export interface ClipState {
  readonly clipId: string;
  readonly cameraId: string;
  /** Events whose footage this clip holds; a clip is shared by events that overlap. */
  readonly eventIds: readonly string[];
  /** Relative to the data directory; null while the clip is a range over segments and nobody needed a file. */
  readonly path: string | null;
  readonly startUtcMs: number;
  readonly durationMs: number;
  /** 0 without a file. */
  readonly sizeBytes: number;
}

/** The footage exists, is durable so far, and grows; with a file of its own it plays. */
export interface ClipPartialFact {
  readonly type: 'clip.partial';
  readonly clip: ClipState;
}

/** All footage of the clip is durable; its file, where it has one, is complete. */
export interface ClipReadyFact {
  readonly type: 'clip.ready';
  readonly clip: ClipState;
  /** Of the file; null without one. */
  readonly sha256: string | null;
  readonly coverage: readonly Coverage[];
  /** True when the writer died and the file was completed from its whole fragments afterwards. */
  readonly recovered: boolean;
}

/** A file of continuous (or motion) recording. */
export interface SegmentState {
  readonly segmentId: string;
  readonly cameraId: string;
  /** Relative to the data directory. */
  readonly path: string;
  readonly startUtcMs: number;
  readonly durationMs: number;
  readonly sizeBytes: number;
}

/** The segment is complete and durable. */
export interface SegmentReadyFact {
  readonly type: 'segment.ready';
  readonly segment: SegmentState;
  readonly sha256: string;
  readonly coverage: readonly Coverage[];
  readonly recovered: boolean;
}

/** A JPEG of an event's best moment is durable; a better one of the same event takes its place. */
export interface StillFact {
  readonly type: 'still';
  readonly cameraId: string;
  readonly eventId: string;
  /** Relative to the data directory. */
  readonly path: string;
  readonly utcMs: number;
  readonly sizeBytes: number;
}

/** A small animated picture of an event is there, for messages. It is no footage, and goes after a while. */
export interface PreviewFact {
  readonly type: 'preview';
  readonly cameraId: string;
  readonly eventId: string;
  /** Relative to the data directory. */
  readonly path: string;
  readonly sizeBytes: number;
}

/** Footage was lost between camera and disk. */
export interface GapFact {
  readonly type: 'gap';
  readonly cameraId: string;
  readonly startUtcMs: number;
  readonly endUtcMs: number;
  readonly reason: ErrorReport;
}

/** `connecting` until the first picture; `down` carries the reason and when the next attempt comes. */
export type CameraPhase = 'starting' | 'connecting' | 'running' | 'down' | 'stopped';

export interface StreamSummary {
  readonly role: StreamRole;
  readonly codec: string;
  readonly width: number;
  readonly height: number;
  readonly fps: number | null;
  readonly audio: string | null;
  /** As FFmpeg names it; null where nothing is encoded. */
  readonly encoder: string | null;
}

export interface CameraFact {
  readonly type: 'camera';
  readonly cameraId: string;
  readonly phase: CameraPhase;
  readonly role: StreamRole;
  /** It is this stream's pictures that are analysed, as far as there are any. */
  readonly analysed: boolean;
  readonly generation: number;
  readonly sinceUtcMs: number;
  readonly reason: ErrorReport | null;
  readonly retryInMs: number | null;
  readonly stream: StreamSummary | null;
}

export type Fact =
  | EventFact
  | MotionFact
  | ClipPartialFact
  | ClipReadyFact
  | SegmentReadyFact
  | StillFact
  | PreviewFact
  | GapFact
  | CameraFact;
