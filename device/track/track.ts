import type { Box } from '../contract/geometry.ts';
import type { ZoneSettings } from '../contract/settings.ts';
import { Belief, evidence } from './belief.ts';
import { displacement } from './displacement.ts';
import { BoxFilter } from './kalman.ts';
import { isLiving } from './labels.ts';
import type { Sighting } from './sightings.ts';
import { ZonePresence } from './zones.ts';

/** The moment a picture belongs to. */
export interface Moment {
  readonly mediaMs: number;
  readonly utcMs: number;
}

export interface BestSighting extends Moment {
  readonly box: Box;
  readonly score: number;
}

/** One visit of the object: what its event says beyond where it is. */
export interface Visit {
  readonly eventId: string;
  readonly since: Moment;
  label: string;
  /** Highest so far: what was believed once is not unlearnt because the object walks away. */
  belief: number;
  stationary: boolean;
  stillPath: string | null;
  /** Something changed that the last fact does not say. */
  dirty: boolean;
  lastFactMs: number;
  /** Quality and time of the last shot asked for. */
  shot: { quality: number; mediaMs: number } | null;
}

/** Shift in sizes of the object that a detector's twitching does not reach. */
const MOVED = 0.2;
/** So many displaced sightings in a row; one may be a mistake. */
const MOVED_SIGHTINGS = 2;
/** Without displacement for this long it stands. */
const STANDING_MS = 10_000;
/** After a long time without a look, expectation is not stretched beyond what it is good for. */
const MAX_STEP_MS = 3_000;
const MAX_RESTING_STEP_MS = 500;
/** A label takes over when its evidence is this many times that of the present one. */
const LABEL_MARGIN = 1.5;
/** Boxes this close to the edge of the picture may be part of something larger. */
const PICTURE_EDGE = 0.01;
/** Area (of the picture) from which on more size makes a still no better. */
const LARGE_ENOUGH = 0.04;

/**
 * One object over time: where, what, whether real, whether it stands.
 * `candidate` → `visiting` (has an event) → gone, or → `resting` (remembered without an event) → `candidate`.
 */
export class Track {
  readonly trackId: number;
  readonly belief = new Belief();
  readonly filter: BoxFilter;
  readonly zones: ZonePresence;
  readonly #labels = new Map<string, number>();
  state: 'candidate' | 'visiting' | 'resting' = 'candidate';
  visit: Visit | null = null;
  /** As last seen, not as predicted. */
  box: Box;
  /** Where it stands, or was when it last moved on. */
  anchor: Box;
  anchoredMs: number;
  /** Has left an anchor at least once since it was first seen or last rested. */
  hasMoved = false;
  displacedSightings = 0;
  /** The first of the displaced sightings in a row. */
  #displacedFrom: Moment;
  first: Moment;
  last: Moment;
  /** Since when the current visit counts; null while zones forbid an event. */
  since: Moment | null = null;
  /** Begun where a thing that never moved was seen before: motion there proves nothing. */
  readonly suspect: boolean;
  /** Last motion where it is, media time. */
  stirredMs: number;
  lookedMs: number;
  /** Time that `filter` stands at. */
  predictedMs: number;
  /** First look without it since it was last seen. */
  missingSinceMs: number | null = null;
  misses = 0;
  topScore = 0;
  best: BestSighting;
  bestQuality = 0;
  #label: string;

  constructor(o: {
    trackId: number;
    sighting: Sighting;
    moment: Moment;
    aspect: number;
    zones: readonly ZoneSettings[];
    suspect: boolean;
  }) {
    const { box, label, score } = o.sighting;
    this.trackId = o.trackId;
    this.filter = new BoxFilter(box, o.aspect, isLiving(label));
    this.zones = new ZonePresence(o.zones);
    this.box = box;
    this.anchor = box;
    this.anchoredMs = o.moment.mediaMs;
    this.#displacedFrom = o.moment;
    this.first = o.moment;
    this.last = o.moment;
    this.suspect = o.suspect;
    this.stirredMs = -Infinity;
    this.lookedMs = o.moment.mediaMs;
    this.predictedMs = o.moment.mediaMs;
    this.best = { ...o.moment, box, score };
    this.#label = label;
  }

  get label(): string {
    return this.#label;
  }

  get living(): boolean {
    return isLiving(this.#label);
  }

  /** How long it had stood when last seen. */
  get stoodMs(): number {
    return this.last.mediaMs - this.anchoredMs;
  }

  get standing(): boolean {
    return this.stoodMs >= STANDING_MS;
  }

  /** Moves the expectation on to `mediaMs`. */
  predict(mediaMs: number): void {
    const elapsedMs = Math.max(0, mediaMs - this.predictedMs);
    this.predictedMs = mediaMs;
    const maxMs = this.state === 'resting' ? MAX_RESTING_STEP_MS : MAX_STEP_MS;
    this.filter.predict(Math.min(maxMs, elapsedMs) / 1_000, this.missingSinceMs !== null);
  }

  /** `stirred`: something moves where it is. */
  see(sighting: Sighting, moment: Moment, stirred: boolean): void {
    const { box, label, score, clipped } = sighting;
    this.box = box;
    this.last = moment;
    this.lookedMs = moment.mediaMs;
    this.missingSinceMs = null;
    this.misses = 0;
    this.filter.correct(box, clipped);
    if (!clipped) this.#notice(box, moment);
    if (this.state === 'resting' && this.displacedSightings === 0) this.filter.halt(box);
    if (stirred) this.stirredMs = moment.mediaMs;
    // Motion at a vehicle is mostly someone passing it, and a parked one's box twitches when a square cuts it.
    const alive = this.living
      ? (stirred && !this.suspect) || this.displacedSightings > 0 || (this.hasMoved && !this.standing)
      : this.hasMoved && !this.standing;
    const moving = this.state !== 'resting' && alive;
    // A weak sighting where one was expected is no evidence against.
    this.belief.see(Math.max(0.3, score), moving);
    this.#weighLabel(label, score);
    if (this.zones.see(box, this.#label) && this.visit) this.visit.dirty = true;
    this.topScore = Math.max(this.topScore, score);
    const quality = this.#quality(sighting);
    if (quality > this.bestQuality) {
      this.bestQuality = quality;
      this.best = { ...moment, box, score };
    }
  }

  /** A look that should have shown it did not. */
  miss({ mediaMs }: Moment): void {
    this.lookedMs = mediaMs;
    this.missingSinceMs ??= mediaMs;
    this.misses++;
    this.displacedSightings = 0;
    if (this.state !== 'resting') this.belief.miss();
  }

  /** It stands where it was last seen and is remembered there; its event, if any, is over. */
  rest(): void {
    this.state = 'resting';
    this.visit = null;
    this.since = null;
    this.hasMoved = false;
    this.displacedSightings = 0;
    this.filter.halt(this.box);
    this.anchor = this.box;
  }

  /** The picture ends where it was last seen. */
  get atEdge(): boolean {
    const [x1, y1, x2, y2] = this.box;
    return x1 < PICTURE_EDGE || y1 < PICTURE_EDGE || x2 > 1 - PICTURE_EDGE || y2 > 1 - PICTURE_EDGE;
  }

  #notice(box: Box, moment: Moment): void {
    if (displacement(this.anchor, box) < MOVED) {
      this.displacedSightings = 0;
      return;
    }
    if (++this.displacedSightings === 1) this.#displacedFrom = moment;
    if (this.displacedSightings < MOVED_SIGHTINGS) return;
    this.hasMoved = true;
    if (this.state === 'resting') this.#wake();
    this.anchor = box;
    this.anchoredMs = moment.mediaMs;
  }

  /** What rested has moved: a new visit may begin. */
  #wake(): void {
    this.state = 'candidate';
    this.belief.wake();
    this.zones.restart();
    this.since = this.#displacedFrom;
    this.topScore = 0;
    this.bestQuality = 0;
  }

  #weighLabel(label: string, score: number): void {
    this.#labels.set(label, (this.#labels.get(label) ?? 0) + Math.max(0.1, evidence(score)));
    const present = this.#labels.get(this.#label) ?? 0;
    for (const [other, weight] of this.#labels) if (weight > LABEL_MARGIN * present) this.#label = other;
  }

  #quality({ box, score, clipped }: Sighting): number {
    const area = (box[2] - box[0]) * (box[3] - box[1]);
    const whole = clipped || this.atEdge ? 0.7 : 1;
    return score * whole * Math.min(1, area / LARGE_ENOUGH) ** 0.25;
  }
}
