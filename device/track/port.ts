import type { Detection } from '../contract/detect.ts';
import type { EventFact } from '../contract/facts.ts';
import type { Box, PixelRect, Size } from '../contract/geometry.ts';
import type { CameraDetectionSettings, ZoneSettings } from '../contract/settings.ts';
import type { TrackHint } from './regions.ts';

export interface MovingBox {
  readonly box: Box;
  readonly score: number;
}

/** A moment worth a still: the best sighting of an event so far. */
export interface BestShot {
  readonly eventId: string;
  readonly box: Box;
  readonly utcMs: number;
}

/** One examined picture. Times of successive updates and ticks do not go back. */
export interface TrackerUpdate {
  readonly mediaMs: number;
  readonly utcMs: number;
  readonly arrivedUtcMs: number;
  readonly picture: Size;
  readonly modelInput: Size;
  readonly regions: readonly PixelRect[];
  /** One list per region, boxes in fractions of its letterboxed crop. */
  readonly detections: readonly (readonly Detection[])[];
  readonly motion: readonly MovingBox[];
}

export interface Tracker {
  /** What `planRegions` needs to know: where things should be now, and which deserve a look. */
  hints(mediaMs: number): TrackHint[];
  /** A picture was examined. */
  update(look: TrackerUpdate): EventFact[];
  /** Time passed without an examined picture, because nothing deserved a look. */
  tick(now: { readonly mediaMs: number; readonly utcMs: number }): EventFact[];
  /** The still of an event has been written; null when the event is over. */
  setStill(eventId: string, path: string): EventFact | null;
  /** No still can be made of the best sighting of an event that has none yet: its next one counts as the best. */
  loseShot(eventId: string): void;
  /** Ends all open events with reason `interrupted`; remembered places stay. Idempotent. */
  interrupt(utcMs: number): EventFact[];
  /** Best sightings that deserve a still, since the last call; at most one per event. */
  takeBest(): readonly BestShot[];
}

export interface TrackerOptions {
  readonly cameraId: string;
  /** Part of event ids; unique per run of the camera's chain. */
  readonly run: string;
  readonly detection: CameraDetectionSettings;
  readonly zones: readonly ZoneSettings[];
}
