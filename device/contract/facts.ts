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
  /** Relative to the data directory. */
  readonly path: string;
  readonly startUtcMs: number;
  readonly durationMs: number;
  readonly sizeBytes: number;
}

/** The file exists, is durable so far, plays, and grows. */
export interface ClipPartialFact {
  readonly type: 'clip.partial';
  readonly clip: ClipState;
}

/** The file is complete and durable. */
export interface ClipReadyFact {
  readonly type: 'clip.ready';
  readonly clip: ClipState;
  readonly sha256: string;
  readonly coverage: readonly Coverage[];
  /** True when the writer died and the file was completed from its whole fragments afterwards. */
  readonly recovered: boolean;
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
}

export interface CameraFact {
  readonly type: 'camera';
  readonly cameraId: string;
  readonly phase: CameraPhase;
  readonly role: StreamRole;
  readonly generation: number;
  readonly sinceUtcMs: number;
  readonly reason: ErrorReport | null;
  readonly retryInMs: number | null;
  readonly stream: StreamSummary | null;
}

export type Fact = EventFact | MotionFact | ClipPartialFact | ClipReadyFact | GapFact | CameraFact;
