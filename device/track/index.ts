/** Which squares to examine, and what the detections in them amount to: events. Pure, times are arguments. */
export { detailWanted, planRegions } from './regions.ts';
export type { RegionRequest, TrackHint } from './regions.ts';
export { createTracker } from './tracker.ts';
export type { BestShot, MovingBox, Tracker, TrackerOptions, TrackerUpdate } from './port.ts';
