import type { Size } from '../contract/geometry.ts';
import type { Background } from './background.ts';

/** A connected patch of differing pixels; edges in pixels, the far ones exclusive. */
export interface Patch {
  x1: number;
  y1: number;
  x2: number;
  y2: number;
  area: number;
  /** Mean of how many times its threshold each pixel differs. */
  strength: number;
}

/** Of the nine pixels around (and including) a place, so many must differ. Kills specks, closes pinholes. */
const VOTES = 4;
const MIN_PATCH_PIXELS = 4;
/** What a tree in a storm can produce is bounded, and so is the work. */
const MAX_PATCHES = 64;
/** A patch whose picture is the background's, only darker or brighter, is light: a shadow, a headlight. */
const LIGHT_CORRELATION = 0.96;
const LIGHT_MIN_PIXELS = 24;
/** Below this signal-to-noise ratio (in σ²) of the background's texture, likeness means nothing. */
const LIGHT_MIN_TEXTURE = 25;

/**
 * Groups differing pixels: vote of neighbours, then one pass of union-find over 8-neighbours (Rosenfeld and
 * Pfaltz 1966), with the statistics of each patch gathered on the way. Allocates nothing but its answer.
 */
export class PatchFinder {
  readonly #size: Size;
  /** Votes per pixel, with a frame of one pixel around the picture, and whether a row has any. */
  readonly #votes: Uint8Array;
  readonly #rowVotes: Uint8Array;
  readonly #labels: Int32Array;
  readonly #parent: Int32Array;
  /** x1, y1, x2, y2, area per label. */
  readonly #shape: Int32Array;
  /** Σratio, Σvalue, Σmean, Σvalue², Σmean², Σvalue·mean per label. */
  readonly #sums: Float64Array;

  constructor(size: Size) {
    this.#size = size;
    this.#votes = new Uint8Array((size.width + 2) * (size.height + 2));
    this.#rowVotes = new Uint8Array(size.height + 2);
    this.#labels = new Int32Array((size.width + 2) * 2);
    // Two 8-connected patches cannot begin closer than every second pixel of every second row.
    const labels = (Math.ceil(size.width / 2) + 1) * (Math.ceil(size.height / 2) + 1);
    this.#parent = new Int32Array(labels);
    this.#shape = new Int32Array(labels * 5);
    this.#sums = new Float64Array(labels * 6);
  }

  /** Largest patches first. `differing` is what the background's `judge` returned, `noise` its σ in levels. */
  find(o: {
    luma: Uint8Array;
    background: Background;
    differing: number;
    open: Uint8Array;
    noise: number;
  }): Patch[] {
    this.#vote(o.background.differing, o.differing);
    return this.#collect(this.#label(o.luma, o.background, o.open), o.noise);
  }

  #vote(differing: Int32Array, count: number): void {
    const { width } = this.#size;
    const stride = width + 2;
    const votes = this.#votes.fill(0);
    const rowVotes = this.#rowVotes.fill(0);
    for (let k = 0; k < count; k++) {
      const i = differing[k]!;
      const y = (i / width) | 0;
      // Of the frame around the picture: one column left, one row above.
      const v = i + 2 * y;
      for (let row = 0; row < 3; row++) {
        const at = v + row * stride;
        votes[at]!++;
        votes[at + 1]!++;
        votes[at + 2]!++;
        rowVotes[y + row] = 1;
      }
    }
  }

  /** Returns the highest label. */
  #label(luma: Uint8Array, { ratio, mean }: Background, open: Uint8Array): number {
    const { width, height } = this.#size;
    const stride = width + 2;
    const votes = this.#votes;
    const rows = this.#labels.fill(0);
    let labels = 0;
    for (let y = 0; y < height; y++) {
      const row = (y & 1) * stride + 1;
      const above = ((y + 1) & 1) * stride + 1;
      if (this.#rowVotes[y + 1] === 0) {
        rows.fill(0, row, row + width);
        continue;
      }
      for (let x = 0; x < width; x++) {
        const i = y * width + x;
        if (votes[(y + 1) * stride + x + 1]! < VOTES || open[i] === 0) {
          rows[row + x] = 0;
          continue;
        }
        const north = rows[above + x]!;
        const northEast = rows[above + x + 1]!;
        let label = north || rows[row + x - 1]! || rows[above + x - 1]!;
        if (label === 0) label = northEast || this.#open(++labels, x, y);
        // North touches the other three already; only north-east can join what is apart without it.
        else if (north === 0 && northEast !== 0) this.#join(label, northEast);
        rows[row + x] = label;
        this.#add(label, x, y, ratio[i]!, luma[i]!, mean[i]!);
      }
    }
    return labels;
  }

  #open(label: number, x: number, y: number): number {
    this.#parent[label] = label;
    const shape = label * 5;
    this.#shape[shape] = x;
    this.#shape[shape + 1] = y;
    this.#shape[shape + 2] = x;
    this.#shape[shape + 3] = y;
    this.#shape[shape + 4] = 0;
    this.#sums.fill(0, label * 6, label * 6 + 6);
    return label;
  }

  #add(label: number, x: number, y: number, ratio: number, value: number, mean: number): void {
    const shape = this.#shape;
    const s = label * 5;
    if (x < shape[s]!) shape[s] = x;
    if (x > shape[s + 2]!) shape[s + 2] = x;
    shape[s + 3] = y;
    shape[s + 4]!++;
    const sums = this.#sums;
    const t = label * 6;
    sums[t]! += ratio;
    sums[t + 1]! += value;
    sums[t + 2]! += mean;
    sums[t + 3]! += value * value;
    sums[t + 4]! += mean * mean;
    sums[t + 5]! += value * mean;
  }

  #root(label: number): number {
    const parent = this.#parent;
    while (parent[label] !== label) {
      parent[label] = parent[parent[label]!]!;
      label = parent[label]!;
    }
    return label;
  }

  #join(a: number, b: number): void {
    const rootA = this.#root(a);
    const rootB = this.#root(b);
    // The smaller number wins, so that parents always precede and one backward sweep gathers all.
    if (rootA < rootB) this.#parent[rootB] = rootA;
    else this.#parent[rootA] = rootB;
  }

  #collect(labels: number, noise: number): Patch[] {
    const shape = this.#shape;
    const sums = this.#sums;
    const patches: Patch[] = [];
    for (let label = labels; label > 0; label--) {
      const s = label * 5;
      const parent = this.#parent[label]!;
      if (parent !== label) {
        const p = parent * 5;
        shape[p] = Math.min(shape[p]!, shape[s]!);
        shape[p + 1] = Math.min(shape[p + 1]!, shape[s + 1]!);
        shape[p + 2] = Math.max(shape[p + 2]!, shape[s + 2]!);
        shape[p + 3] = Math.max(shape[p + 3]!, shape[s + 3]!);
        shape[p + 4]! += shape[s + 4]!;
        for (let k = 0; k < 6; k++) sums[parent * 6 + k]! += sums[label * 6 + k]!;
        continue;
      }
      const area = shape[s + 4]!;
      if (area < MIN_PATCH_PIXELS || this.#isLight(label, area, noise)) continue;
      patches.push({
        x1: shape[s]!,
        y1: shape[s + 1]!,
        x2: shape[s + 2]! + 1,
        y2: shape[s + 3]! + 1,
        area,
        strength: sums[label * 6]! / area,
      });
    }
    return patches.sort((a, b) => b.area - a.area).slice(0, MAX_PATCHES);
  }

  /** Normalised cross-correlation of picture and background over the patch. */
  #isLight(label: number, area: number, noise: number): boolean {
    if (area < LIGHT_MIN_PIXELS) return false;
    const t = label * 6;
    const [value, mean] = [this.#sums[t + 1]! / area, this.#sums[t + 2]! / area];
    const valueVariance = this.#sums[t + 3]! / area - value * value;
    const meanVariance = this.#sums[t + 4]! / area - mean * mean;
    if (meanVariance < LIGHT_MIN_TEXTURE * (1 + noise * noise) || valueVariance <= 0) return false;
    const covariance = this.#sums[t + 5]! / area - value * mean;
    return covariance > LIGHT_CORRELATION * Math.sqrt(valueVariance * meanVariance);
  }
}
