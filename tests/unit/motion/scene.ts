import type { Box, Size } from '../../../device/contract/geometry.ts';

/** Small, seedable, good enough for sensor noise (mulberry32). */
export function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Standard normal values (sums of twelve uniforms), enough that no two pictures get the same ones in order. */
const NOISE = (() => {
  const chance = random(20260301);
  return Float32Array.from({ length: 65_521 }, () => {
    let sum = -6;
    for (let k = 0; k < 12; k++) sum += chance();
    return sum;
  });
})();

/** A textured picture: levels 40..200, smooth enough to look like a yard. */
export function yard({ width, height }: Size, seed: number): Float32Array {
  const chance = random(seed);
  const [a, b, c] = [chance() * 0.2 + 0.05, chance() * 0.2 + 0.05, chance() * 6];
  return Float32Array.from({ length: width * height }, (_, i) => {
    const [x, y] = [i % width, Math.floor(i / width)];
    return 120 + 50 * Math.sin(a * x + c) * Math.cos(b * y) + 20 * Math.sin(0.9 * x + 0.7 * y);
  });
}

export interface Paint {
  readonly box: Box;
  /** Levels. */
  readonly level: number;
}

/** One noisy exposure of `scene` with things painted over it. */
export function expose(
  scene: Float32Array,
  { width, height }: Size,
  o: { sigma?: number; gain?: number; things?: readonly Paint[]; chance: () => number },
): Uint8Array {
  const { sigma = 0, gain = 1, things = [], chance } = o;
  const luma = new Uint8Array(scene.length);
  const start = Math.floor(chance() * NOISE.length);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const i = y * width + x;
      let level = scene[i]!;
      for (const { box, level: painted } of things) {
        const [px, py] = [(x + 0.5) / width, (y + 0.5) / height];
        if (px >= box[0] && px < box[2] && py >= box[1] && py < box[3]) level = painted;
      }
      const noise = sigma * NOISE[(start + i) % NOISE.length]!;
      luma[i] = Math.min(255, Math.max(0, Math.round(level * gain + noise)));
    }
  }
  return luma;
}
