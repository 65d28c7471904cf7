import type { Moment, Track } from './track.ts';

/** An event ends so long after the first look that missed its object: longer than a walk behind a van. */
const GONE_MS = 3_500;
const GONE_MISSES = 3;
/** Who was last seen at the edge of the picture has left. */
const LEFT_MS = 1_500;
const LEFT_MISSES = 2;
/** A candidate need not survive an occlusion. */
const CANDIDATE_GONE_MS = 2_000;
/** Ends also what nobody could look at: the detector was away, or others were more urgent. */
const UNLOOKED_MS = 30_000;
/** What never moved in this time is part of the scene. */
const SCENE_MS = 10_000;
/** A vehicle that stands this long is parked. */
const PARKED_MS = 30_000;
/** A person without any motion for this long is a scarecrow, or asleep. */
const LIFELESS_MS = 15 * 60_000;
/** The same for one that never left the place where it was first seen. */
const NEVER_MOVED_MS = 2 * 60_000;
/** Memory of places: things through a dark night, living ones only for an afternoon. */
const THING_REMEMBERED_MS = 24 * 3_600_000;
const LIVING_REMEMBERED_MS = 3 * 3_600_000;

/** A candidate that stands: nothing to tell of, but a place to remember. */
export const isScenery = (track: Track): boolean => track.stoodMs >= (track.hasMoved ? PARKED_MS : SCENE_MS);

/** Its event ends although it is still there. */
export function isParked(track: Track): boolean {
  if (!track.living) return track.stoodMs >= PARKED_MS;
  const lifelessMs = track.hasMoved ? LIFELESS_MS : NEVER_MOVED_MS;
  return track.stoodMs >= lifelessMs && track.last.mediaMs - track.stirredMs >= lifelessMs;
}

export function isGone(track: Track, { mediaMs }: Moment): boolean {
  if (track.state === 'candidate' && track.belief.rejected) return true;
  if (mediaMs - track.last.mediaMs >= UNLOOKED_MS) return true;
  if (track.missingSinceMs === null) return false;
  const missingMs = mediaMs - track.missingSinceMs;
  if (track.state === 'candidate') return missingMs >= CANDIDATE_GONE_MS && track.misses >= LEFT_MISSES;
  if (track.atEdge && missingMs >= LEFT_MS && track.misses >= LEFT_MISSES) return true;
  return missingMs >= GONE_MS && track.misses >= GONE_MISSES;
}

/** For resting tracks. */
export const isRemembered = (track: Track, { mediaMs }: Moment): boolean =>
  mediaMs - track.last.mediaMs < (track.living ? LIVING_REMEMBERED_MS : THING_REMEMBERED_MS);
