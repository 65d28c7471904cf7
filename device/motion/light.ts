import type { Size } from '../contract/geometry.ts';

/** What a frame says about the whole picture, before any pixel is judged. */
export interface FrameLight {
  /** Brightness against the background: 1 is unchanged, 2 twice as bright. */
  gain: number;
  /** Standard deviation of sensor noise since the last picture, in levels. */
  noise: number;
}

const COLUMNS = 8;
const ROWS = 6;
/** Below this mean level a block is too dark to tell a gain from noise. */
const DARK_LEVELS = 6;
/** No averaged sensor is noisier; more is the whole picture moving. */
const MAX_NOISE = 16;
/** Share of the pixels, stillest first, that speak about noise: the rest may be things that move. */
const STILL_SHARE = 0.75;
/**
 * σ from the mean m of the lowest 75 % of |x − previous|: the difference of two samples has σ√2, and a
 * half-normal cut at its 75 % quantile (1.1503 σ) has mean 0.5148 σ.
 */
const NOISE_PER_TRIMMED_MEAN = 1 / (0.5148 * Math.SQRT2);

/**
 * Measures gain and noise. Both are robust: the gain is the median over blocks, so objects may cover up to
 * half the picture; noise ignores the most changed quarter of it.
 */
export class LightMeter {
  readonly #size: Size;
  readonly #histogram = new Int32Array(256);
  readonly #sums = new Float64Array(COLUMNS * ROWS);
  readonly #backgroundSums = new Float64Array(COLUMNS * ROWS);
  readonly #counts = new Int32Array(COLUMNS * ROWS);
  readonly #ratios = new Float64Array(COLUMNS * ROWS);
  /** Where each column of blocks begins, and the last ends. */
  readonly #edges: Int32Array;
  readonly #light: FrameLight = { gain: 1, noise: 0 };

  constructor(size: Size) {
    this.#size = size;
    this.#edges = Int32Array.from({ length: COLUMNS + 1 }, (_, k) => Math.floor((k * size.width) / COLUMNS));
  }

  /** All arrays are `width * height`, row-major; `open` is 0 where the picture is masked. The answer is reused. */
  measure(luma: Uint8Array, previous: Uint8Array, background: Float32Array, open: Uint8Array): FrameLight {
    const { width, height } = this.#size;
    const histogram = this.#histogram.fill(0);
    this.#sums.fill(0);
    this.#backgroundSums.fill(0);
    this.#counts.fill(0);
    // A quarter of the pixels is plenty for both.
    for (let y = 0; y < height; y += 2) {
      const blockRow = Math.floor((y * ROWS) / height) * COLUMNS;
      for (let column = 0; column < COLUMNS; column++) {
        const end = y * width + this.#edges[column + 1]!;
        let sum = 0;
        let backgroundSum = 0;
        let count = 0;
        for (let i = y * width + this.#edges[column]!; i < end; i += 2) {
          if (open[i] === 0) continue;
          const value = luma[i]!;
          const change = value - previous[i]!;
          histogram[change < 0 ? -change : change]!++;
          sum += value;
          backgroundSum += background[i]!;
          count++;
        }
        this.#sums[blockRow + column]! += sum;
        this.#backgroundSums[blockRow + column]! += backgroundSum;
        this.#counts[blockRow + column]! += count;
      }
    }
    this.#light.gain = this.#medianRatio();
    this.#light.noise = Math.min(MAX_NOISE, trimmedMean(histogram) * NOISE_PER_TRIMMED_MEAN);
    return this.#light;
  }

  #medianRatio(): number {
    let n = 0;
    for (let block = 0; block < this.#counts.length; block++) {
      const count = this.#counts[block]!;
      const expected = this.#backgroundSums[block]!;
      if (count > 0 && expected > count * DARK_LEVELS) this.#ratios[n++] = this.#sums[block]! / expected;
    }
    // Too few bright blocks to be a majority of anything.
    if (n < this.#counts.length / 4) return 1;
    const sorted = this.#ratios.subarray(0, n).sort();
    return sorted[n >> 1]!;
  }
}

function trimmedMean(histogram: Int32Array): number {
  let total = 0;
  for (let level = 0; level < 256; level++) total += histogram[level]!;
  let left = total * STILL_SHARE;
  if (left <= 0) return 0;
  let sum = 0;
  for (let level = 0; level < 256 && left > 0; level++) {
    const taken = Math.min(left, histogram[level]!);
    sum += taken * level;
    left -= taken;
  }
  return sum / (total * STILL_SHARE);
}
