/** Time constant with which the background follows what it looks like. */
const FOLLOW_MS = 8_000;
/** Time constant of the spread: sway is learnt in about half a minute, a passer-by leaves little trace. */
const SPREAD_MS = 4_000;
/** The spread is the level that |difference| exceeds this share of the time. */
const EXCEEDED = 0.25;
/** For a Gaussian the 75 % quantile of |x| is 1.15 σ. */
const SPREAD_PER_SIGMA = 1.15;
/** Mean |x| of a Gaussian is 0.798 σ. */
const SPREAD_PER_MEAN_DEVIATION = 1.44;
/** Spreads a pixel must leave: 2.3 × 1.15 σ = 2.6 σ; the vote of neighbours does the rest. */
const SPREADS = 2.3;
const MIN_SPREAD = 0.4;
/** Flags and branches in a gale reach this; more would make the place blind. */
const MAX_SPREAD = 24;
/** What differs but has not changed for this long is furniture now: left luggage, or the hole a car left. */
const ABSORB_MS = 4_000;
/** A pixel is still while it changes less than this many σ plus two levels of coding noise. */
const STILL_SIGMAS = 4;
const STILL_LEVELS = 2;

/**
 * Per-pixel background: a mean, and a spread that is a running quantile of the absolute difference
 * (stochastic approximation, Robbins and Monro 1951, in the logarithm). A quantile, not a variance, because
 * someone walking through must not widen it, while leaves that move a third of the time must.
 * Steps are scaled by elapsed time, so the frame rate does not matter.
 */
export class Background {
  readonly mean: Float32Array;
  readonly #spread: Float32Array;
  readonly #stillMs: Float32Array;
  readonly #previous: Uint8Array;
  #learnt = 0;

  constructor(pixels: number) {
    this.mean = new Float32Array(pixels);
    this.#spread = new Float32Array(pixels);
    this.#stillMs = new Float32Array(pixels);
    this.#previous = new Uint8Array(pixels);
  }

  /** The picture before the current one. */
  get previous(): Uint8Array {
    return this.#previous;
  }

  /** The next `learn` starts from nothing. */
  forget(): void {
    this.#learnt = 0;
  }

  /** Pixels that differ from the mean by more than `levels`, where not masked. Learns nothing. */
  countDiffering(luma: Uint8Array, open: Uint8Array, levels: number): number {
    const { mean } = this;
    let differing = 0;
    for (let i = 0; i < mean.length; i++) {
      if (open[i] !== 0 && Math.abs(luma[i]! - mean[i]!) > levels) differing++;
    }
    return differing;
  }

  /** Takes the picture as background, averaged with those since `forget`. */
  learn(luma: Uint8Array): void {
    const { mean } = this;
    const spread = this.#spread;
    const weight = 1 / ++this.#learnt;
    // The first picture has no mean to differ from; one of n is n/(n−1) times closer to its own mean.
    const deviationWeight = this.#learnt < 2 ? 1 : 1 / (this.#learnt - 1);
    const deviationScale = this.#learnt < 2 ? 0 : SPREAD_PER_MEAN_DEVIATION;
    for (let i = 0; i < mean.length; i++) {
      const difference = luma[i]! - mean[i]!;
      spread[i]! += (Math.abs(difference) * deviationScale - spread[i]!) * deviationWeight;
      mean[i]! += difference * weight;
    }
    this.#stillMs.fill(0);
    this.#previous.set(luma);
  }

  /**
   * Judges every pixel, then learns from it. Writes into `ratio` how many times its threshold each pixel
   * differs (0 where masked), and returns how many exceed 1.
   * `gain` is the brightness of the whole picture against the background, which it takes over.
   */
  judge(o: {
    luma: Uint8Array;
    open: Uint8Array;
    ratio: Float32Array;
    elapsedMs: number;
    gain: number;
    noise: number;
    contrast: number;
  }): number {
    const { luma, open, ratio, elapsedMs, gain, noise, contrast } = o;
    const { mean } = this;
    const spread = this.#spread;
    const stillMs = this.#stillMs;
    const previous = this.#previous;
    const follow = 1 - Math.exp(-elapsedMs / FOLLOW_MS);
    const widen = 1 + ((1 - EXCEEDED) * elapsedMs) / SPREAD_MS;
    const narrow = 1 / (1 + (EXCEEDED * elapsedMs) / SPREAD_MS);
    const noiseSpread = Math.max(MIN_SPREAD, noise * SPREAD_PER_SIGMA);
    const stillBelow = STILL_LEVELS + STILL_SIGMAS * noise;
    let exceeding = 0;
    for (let i = 0; i < mean.length; i++) {
      const value = luma[i]!;
      const expected = gain === 1 ? mean[i]! : Math.min(255, mean[i]! * gain);
      const difference = value - expected;
      const size = difference < 0 ? -difference : difference;
      const own = spread[i]!;
      const times = open[i] === 0 ? 0 : size / (contrast + SPREADS * (own > noiseSpread ? own : noiseSpread));
      ratio[i] = times;
      const next = size > own ? own * widen : own * narrow;
      spread[i] = next < MIN_SPREAD ? MIN_SPREAD : next > MAX_SPREAD ? MAX_SPREAD : next;
      if (times <= 1) {
        mean[i] = expected + follow * difference;
        stillMs[i] = 0;
        continue;
      }
      exceeding++;
      mean[i] = expected;
      const change = value - previous[i]!;
      if (change > stillBelow || change < -stillBelow) {
        stillMs[i] = Math.max(0, stillMs[i]! - 2 * elapsedMs);
      } else if ((stillMs[i]! += elapsedMs) >= ABSORB_MS) {
        mean[i] = value;
        spread[i] = noiseSpread;
        stillMs[i] = 0;
      }
    }
    previous.set(luma);
    return exceeding;
  }
}
