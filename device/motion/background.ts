/** Time constant with which the background follows what it looks like. */
const FOLLOW_MS = 8_000;
/** Time constant of the spread: sway is learnt in about a minute, a passer-by leaves little trace. */
const SPREAD_MS = 2_500;
/** The spread is the level that |difference| exceeds this share of the time. */
const EXCEEDED = 0.25;
/** For a Gaussian the 75 % quantile of |x| is 1.15 σ. */
const SPREAD_PER_SIGMA = 1.15;
/** Mean |x| of a Gaussian is 0.798 σ. */
const SPREAD_PER_MEAN_DEVIATION = 1.44;
/** Spreads a pixel must leave: 2.3 × 1.15 σ = 2.6 σ; the vote of neighbours does the rest. */
const SPREADS = 2.3;
/** Learning the spread is the dearest step, and the least urgent: so many pictures share it. */
const SPREAD_TURNS = 4;
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
  /** How many times its threshold (more than 1) each differing pixel of the last picture differs; else 0. */
  readonly ratio: Float32Array;
  /** Indices of the pixels that differed, ascending; as many as `judge` returned. */
  differing: Int32Array;
  #differedBefore: Int32Array;
  readonly #spread: Float32Array;
  readonly #stillMs: Float32Array;
  readonly #previous: Uint8Array;
  #learnt = 0;
  #turn = 0;
  #count = 0;

  constructor(pixels: number) {
    this.mean = new Float32Array(pixels);
    this.ratio = new Float32Array(pixels);
    this.differing = new Int32Array(pixels);
    this.#differedBefore = new Int32Array(pixels);
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
      const deviation = Math.min(MAX_SPREAD, Math.abs(difference) * deviationScale);
      spread[i]! += (deviation - spread[i]!) * deviationWeight;
      mean[i]! += difference * weight;
    }
    this.#stillMs.fill(0);
    this.#previous.set(luma);
  }

  /**
   * Judges every pixel, then learns from it. Returns how many differ; `differing` and `ratio` tell which.
   * `gain` is the brightness of the whole picture against the background, which takes it over.
   */
  judge(o: {
    luma: Uint8Array;
    open: Uint8Array;
    elapsedMs: number;
    gain: number;
    noise: number;
    contrast: number;
  }): number {
    const { luma, open, elapsedMs, gain, noise, contrast } = o;
    const { mean, ratio } = this;
    const before = this.differing;
    const countBefore = this.#count;
    const differing = this.#differedBefore;
    const spread = this.#spread;
    const follow = 1 - Math.exp(-elapsedMs / FOLLOW_MS);
    const noiseSpread = Math.max(MIN_SPREAD, noise * SPREAD_PER_SIGMA);
    for (let k = 0; k < countBefore; k++) ratio[before[k]!] = 0;
    let count = 0;
    if (gain !== 1) for (let i = 0; i < mean.length; i++) mean[i] = Math.min(255, mean[i]! * gain);
    this.#widen(luma, elapsedMs);
    for (let i = 0; i < mean.length; i++) {
      const difference = luma[i]! - mean[i]!;
      const size = Math.abs(difference);
      const threshold = contrast + SPREADS * Math.max(spread[i]!, noiseSpread);
      if (size > threshold && open[i] !== 0) {
        ratio[i] = size / threshold;
        differing[count++] = i;
      } else {
        mean[i]! += follow * difference;
      }
    }
    for (let k = 0; k < countBefore; k++) if (ratio[before[k]!] === 0) this.#stillMs[before[k]!] = 0;
    this.differing = differing;
    this.#differedBefore = before;
    this.#count = count;
    this.#absorb(luma, elapsedMs, noise);
    this.#previous.set(luma);
    return count;
  }

  /** The spread of every nth pixel takes n steps at once; the next picture is the turn of its neighbour. */
  #widen(luma: Uint8Array, elapsedMs: number): void {
    const { mean } = this;
    const spread = this.#spread;
    const stepMs = elapsedMs * SPREAD_TURNS;
    const widen = 1 + ((1 - EXCEEDED) * stepMs) / SPREAD_MS;
    const narrow = 1 / (1 + (EXCEEDED * stepMs) / SPREAD_MS);
    this.#turn = (this.#turn + 1) % SPREAD_TURNS;
    for (let i = this.#turn; i < mean.length; i += SPREAD_TURNS) {
      const own = spread[i]!;
      const next = Math.abs(luma[i]! - mean[i]!) > own ? own * widen : own * narrow;
      spread[i] = Math.min(MAX_SPREAD, Math.max(MIN_SPREAD, next));
    }
  }

  /** Pixels that differ but stand still become background. */
  #absorb(luma: Uint8Array, elapsedMs: number, noise: number): void {
    const { differing } = this;
    const stillMs = this.#stillMs;
    const stillBelow = STILL_LEVELS + STILL_SIGMAS * noise;
    for (let k = 0; k < this.#count; k++) {
      const i = differing[k]!;
      const still = Math.abs(luma[i]! - this.#previous[i]!) <= stillBelow;
      stillMs[i] = still ? stillMs[i]! + elapsedMs : Math.max(0, stillMs[i]! - 2 * elapsedMs);
      if (stillMs[i] < ABSORB_MS) continue;
      this.mean[i] = luma[i]!;
      this.#spread[i] = Math.max(MIN_SPREAD, noise * SPREAD_PER_SIGMA);
      stillMs[i] = 0;
    }
  }
}
