/**
 * Is there really something? A sequential probability ratio test (Wald, "Sequential Tests of Statistical
 * Hypotheses", 1945): each sighting adds the logarithm of how much likelier its score is for an object than
 * for a false alarm; a look that finds nothing subtracts. Accepting at ln((1−β)/α) bounds false alarms.
 */

/** α = β = 1 %. */
export const ACCEPT = 4.6;
/** A candidate that sinks to this is dropped. */
export const REJECT = -2.3;
/** So that an object seen for an hour can still be doubted within seconds. */
const CEILING = 8;
const MISSED = -0.5;
/**
 * Sightings of a thing that never moved repeat one look rather than add to it: a poster scores the same all
 * day. All of them together may not add more than this, so without any movement nothing is accepted.
 */
const STILL_CEILING = 3;
/** Odds against an object before anything is seen: 1 : 7. For the reported score only. */
const PRIOR = -2;

/** Log-likelihood ratio by detector score: 0.85 convinces alone, 0.7 twice, 0.5 four times, 0.4 seven times. */
const EVIDENCE: readonly (readonly [score: number, llr: number])[] = [
  [0, -0.8],
  [0.3, 0],
  [0.35, 0.4],
  [0.5, 1.4],
  [0.7, 3.2],
  [0.85, 4.8],
  [1, 5.5],
];

export function evidence(score: number): number {
  let [x0, y0] = EVIDENCE[0]!;
  for (const [x, y] of EVIDENCE) {
    if (score <= x) return x > x0 ? y0 + ((y - y0) * (score - x0)) / (x - x0) : y;
    [x0, y0] = [x, y];
  }
  return y0;
}

export class Belief {
  #moving = 0;
  #still = 0;

  get logOdds(): number {
    return this.#moving + this.#still;
  }

  get accepted(): boolean {
    return this.logOdds >= ACCEPT;
  }

  get rejected(): boolean {
    return this.logOdds <= REJECT;
  }

  /** Probability that the object is real, 0..1. */
  get score(): number {
    return 1 / (1 + Math.exp(-(this.logOdds + PRIOR)));
  }

  /** `moving`: it moved, or something moved where it is. */
  see(score: number, moving: boolean): void {
    const llr = evidence(score);
    if (moving) this.#moving = Math.min(CEILING - this.#still, this.#moving + llr);
    else this.#still = Math.min(STILL_CEILING, CEILING - this.#moving, this.#still + llr);
  }

  /** It should have been seen, and was not. */
  miss(): void {
    this.#moving += MISSED;
  }

  /** What rested begins to move: what is known of it counts, but no more than a still thing's may. */
  wake(): void {
    this.#still = Math.max(0, Math.min(STILL_CEILING, this.logOdds));
    this.#moving = 0;
  }
}
