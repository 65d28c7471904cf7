import { boxArea, boxIntersection, type Box } from '../contract/geometry.ts';
import type { TrackHint } from './regions.ts';
import type { Look } from './sightings.ts';
import type { Track } from './track.ts';

/** How often what stands is looked at while nothing moves there. */
const STANDING_LIVING_MS = 2_000;
const STANDING_THING_MS = 5_000;
const RESTING_MS = 8_000;
/** A remembered place that is found empty is looked at ever more rarely: each miss doubles the wait. */
const RESTING_MAX_DOUBLINGS = 3;

export function hintFor(track: Track, mediaMs: number): TrackHint {
  const waitedMs = Math.max(0, mediaMs - track.lookedMs);
  const kind =
    track.state === 'resting' ? 'resting' : track.state === 'visiting' ? 'followed' : 'unconfirmed';
  const aheadS = Math.max(0, mediaMs - track.predictedMs) / 1_000;
  const box = track.state === 'resting' ? track.anchor : inPicture(track.filter.box(Math.min(1, aheadS)));
  return { box, kind, due: waitedMs >= patienceMs(track), waitedMs };
}

function patienceMs(track: Track): number {
  if (track.displacedSightings > 0) return 0;
  if (track.state === 'resting') return RESTING_MS * 2 ** Math.min(track.misses, RESTING_MAX_DOUBLINGS);
  if (track.missingSinceMs !== null || !track.standing) return 0;
  return track.living ? STANDING_LIVING_MS : STANDING_THING_MS;
}

/** A box that has left the picture is looked for at its edge. */
function inPicture([x1, y1, x2, y2]: Box): Box {
  const shift = (low: number, high: number): number =>
    high < 0.02 ? 0.02 - high : low > 0.98 ? 0.98 - low : 0;
  const [dx, dy] = [shift(x1, x2), shift(y1, y2)];
  return [x1 + dx, y1 + dy, x2 + dx, y2 + dy];
}

const MAX_CUT = 8;
const CUT_KEPT_MS = 3_000;
const SAME_PLACE = 0.3;

interface CutMotion {
  box: Box;
  sinceMs: number;
  seenMs: number;
}

/** Motion that no square of the last look covered, so that it has its turn. Bounded: the oldest stay. */
export class CutMotions {
  #cut: CutMotion[] = [];

  update(motion: readonly { readonly box: Box }[], look: Omit<Look, 'detections'>, mediaMs: number): void {
    this.#cut = this.#cut.filter(
      ({ box, seenMs }) => mediaMs - seenMs < CUT_KEPT_MS && !isCovered(box, look),
    );
    for (const { box } of motion) {
      if (isCovered(box, look)) continue;
      const known = this.#cut.find((cut) => boxIntersection(cut.box, box) > SAME_PLACE * boxArea(box));
      if (known) Object.assign(known, { box, seenMs: mediaMs });
      else if (this.#cut.length < MAX_CUT) this.#cut.push({ box, sinceMs: mediaMs, seenMs: mediaMs });
    }
  }

  hints(mediaMs: number): TrackHint[] {
    return this.#cut.map(({ box, sinceMs }) => ({
      box,
      kind: 'motion',
      due: true,
      waitedMs: Math.max(0, mediaMs - sinceMs),
    }));
  }
}

const isCovered = (box: Box, look: Omit<Look, 'detections'>): boolean =>
  look.regions.some(({ x, y, width, height }) => {
    const { picture } = look;
    const seen: Box = [
      x / picture.width,
      y / picture.height,
      (x + width) / picture.width,
      (y + height) / picture.height,
    ];
    return boxIntersection(box, seen) >= 0.8 * boxArea(box);
  });
