import type { Box } from '../contract/geometry.ts';

/** Position and speed on one axis; `p` is the covariance [[pp, pv], [pv, vv]]. */
interface Axis {
  position: number;
  speed: number;
  pp: number;
  pv: number;
  vv: number;
}

/**
 * All in sizes of the object (√area), so one set of numbers serves near and far. A railing that hides the legs
 * moves the centre by more than the detector's own twitching.
 */
const POSITION_SIGMA = 0.1;
/** A box cut off by the edge of its square lies about its centre. */
const CLIPPED_SIGMA = 0.2;
const SIZE_SIGMA = 0.1;
/** Random walk of the side lengths per √s. */
const SIZE_DRIFT = 0.3;
/** People: 1.4 m/s against √(0.55 m · 1.75 m) ≈ 1 m. Vehicles are faster even against their size. */
const LIVING = { speed: 1.3, acceleration: 0.8 };
const VEHICLE = { speed: 3, acceleration: 1.5 };
/** Unseen things are assumed to slow down: most are behind something, or have stopped. */
const UNSEEN_SLOWING_S = 2;

/**
 * Where an object is and goes: constant velocity with white acceleration noise on both axes of the centre,
 * random walk for the sides (as in SORT, Bewley et al. 2016, but in seconds, as looks come irregularly).
 * Inside, x is scaled by the aspect, so distances are the same in all directions: unit = picture height.
 */
export class BoxFilter {
  readonly #aspect: number;
  readonly #x: Axis;
  readonly #y: Axis;
  #width: number;
  #height: number;
  #sideVariance: number;
  readonly #acceleration: number;

  constructor(box: Box, aspect: number, living: boolean) {
    const { speed, acceleration } = living ? LIVING : VEHICLE;
    this.#aspect = aspect;
    this.#acceleration = acceleration;
    this.#width = (box[2] - box[0]) * aspect;
    this.#height = box[3] - box[1];
    const size = this.size;
    const axis = (position: number): Axis => ({
      position,
      speed: 0,
      pp: (POSITION_SIGMA * size) ** 2,
      pv: 0,
      vv: (speed * size) ** 2,
    });
    this.#x = axis(((box[0] + box[2]) / 2) * aspect);
    this.#y = axis((box[1] + box[3]) / 2);
    this.#sideVariance = (SIZE_SIGMA * size) ** 2;
  }

  /** √area in picture heights. */
  get size(): number {
    return Math.sqrt(Math.max(1e-8, this.#width * this.#height));
  }

  /** Speed of the centre in sizes per second. */
  get pace(): number {
    return Math.hypot(this.#x.speed, this.#y.speed) / this.size;
  }

  /** Moves on by `seconds`; when `unseen`, slowing down. */
  predict(seconds: number, unseen: boolean): void {
    const noise = (this.#acceleration * this.size) ** 2;
    for (const axis of [this.#x, this.#y]) {
      axis.position += axis.speed * seconds;
      axis.pp += 2 * seconds * axis.pv + seconds ** 2 * axis.vv + (noise * seconds ** 3) / 3;
      axis.pv += seconds * axis.vv + (noise * seconds ** 2) / 2;
      axis.vv += noise * seconds;
      if (unseen) axis.speed *= Math.exp(-seconds / UNSEEN_SLOWING_S);
    }
    this.#sideVariance += (SIZE_DRIFT * this.size) ** 2 * seconds;
  }

  /** Squared Mahalanobis distance of the centre of `box`, two degrees of freedom. */
  distance(box: Box, clipped: boolean): number {
    const r = this.#variance(clipped);
    const dx = ((box[0] + box[2]) / 2) * this.#aspect - this.#x.position;
    const dy = (box[1] + box[3]) / 2 - this.#y.position;
    return dx ** 2 / (this.#x.pp + r) + dy ** 2 / (this.#y.pp + r);
  }

  correct(box: Box, clipped: boolean): void {
    const r = this.#variance(clipped);
    correct(this.#x, ((box[0] + box[2]) / 2) * this.#aspect, r);
    correct(this.#y, (box[1] + box[3]) / 2, r);
    if (clipped) return;
    const gain = this.#sideVariance / (this.#sideVariance + (SIZE_SIGMA * this.size) ** 2);
    this.#width += gain * ((box[2] - box[0]) * this.#aspect - this.#width);
    this.#height += gain * (box[3] - box[1] - this.#height);
    this.#sideVariance *= 1 - gain;
  }

  /** It is known to stand at `box`. */
  halt(box: Box): void {
    this.#width = (box[2] - box[0]) * this.#aspect;
    this.#height = box[3] - box[1];
    this.#x.position = ((box[0] + box[2]) / 2) * this.#aspect;
    this.#y.position = (box[1] + box[3]) / 2;
    for (const axis of [this.#x, this.#y]) {
      axis.speed = 0;
      axis.pv = 0;
      axis.pp = this.#variance(false);
      axis.vv = this.size ** 2;
    }
  }

  /** Where it is now, or will be after `seconds`. May reach outside the picture. */
  box(seconds = 0): Box {
    const x = (this.#x.position + this.#x.speed * seconds) / this.#aspect;
    const y = this.#y.position + this.#y.speed * seconds;
    const halfWidth = this.#width / this.#aspect / 2;
    const halfHeight = this.#height / 2;
    return [x - halfWidth, y - halfHeight, x + halfWidth, y + halfHeight];
  }

  #variance(clipped: boolean): number {
    return ((clipped ? CLIPPED_SIGMA : POSITION_SIGMA) * this.size) ** 2;
  }
}

function correct(axis: Axis, position: number, variance: number): void {
  const innovation = position - axis.position;
  const total = axis.pp + variance;
  const [kp, kv] = [axis.pp / total, axis.pv / total];
  axis.position += kp * innovation;
  axis.speed += kv * innovation;
  axis.vv -= kv * axis.pv;
  axis.pv *= 1 - kp;
  axis.pp *= 1 - kp;
}
