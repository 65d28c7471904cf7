/** Motion detection of one picture, at the size cameras with 16:9 pictures get. */
import { createMotionDetector } from '../../device/motion/index.ts';
import { table } from './facts.ts';

const PICTURES = 3_000;
const STEP_MS = 200;

/** A grey street with noise and two walkers, so that every stage has work to do. */
function scene(width: number, height: number, index: number): Uint8Array {
  const luma = new Uint8Array(width * height);
  for (let i = 0; i < luma.length; i++) luma[i] = 96 + ((i % width) >> 2) + noise(i + index * 7919);
  for (const [speed, row, level] of [
    [1, 30, 40],
    [-2, 55, 190],
  ] as const) {
    const left = (((index * speed) % width) + width) % width;
    for (let y = row; y < row + 14; y++) {
      for (let x = left; x < Math.min(width, left + 6); x++) luma[y * width + x] = level;
    }
  }
  return luma;
}

/** −2..2, the same each time. */
const noise = (seed: number): number => ((Math.imul(seed, 0x9e3779b1) >>> 13) % 5) - 2;

export function benchMotion(): string {
  const detector = createMotionDetector({ sensitivity: 0.5, masks: [] }, { width: 640, height: 360 });
  const { width, height } = detector.size;
  const pictures = Array.from({ length: width }, (_, index) => scene(width, height, index));
  const times: number[] = [];
  let boxes = 0;
  for (let i = 0; i < PICTURES; i++) {
    const luma = pictures[i % pictures.length]!;
    const startedAt = performance.now();
    boxes += detector.update(luma, i * STEP_MS).boxes.length;
    times.push(performance.now() - startedAt);
  }
  const sorted = times.slice(PICTURES / 10).sort((a, b) => a - b);
  const at = (share: number): string => sorted[Math.floor(share * (sorted.length - 1))]!.toFixed(3);
  return table([
    [`motion at ${width}×${height}`, 'median ms', 'p99 ms', 'boxes a picture'],
    [`${sorted.length} pictures, warmed up`, at(0.5), at(0.99), (boxes / PICTURES).toFixed(2)],
  ]);
}
