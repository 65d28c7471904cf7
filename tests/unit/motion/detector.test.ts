import fc from 'fast-check';
import { expect, test } from 'vitest';
import { iou, type Box } from '../../../device/contract/geometry.ts';
import { boxPolygon } from '../../../device/contract/settings.ts';
import {
  createMotionDetector,
  type MotionDetector,
  type MotionResult,
} from '../../../device/motion/index.ts';
import { expose, random, yard, type Paint } from './scene.ts';

const PICTURE = { width: 1280, height: 720 };
const STEP_MS = 200;

interface Show {
  readonly detector: MotionDetector;
  readonly next: (o?: {
    things?: readonly Paint[];
    gain?: number;
    scene?: Float32Array;
    sigma?: number;
  }) => MotionResult;
}

function show(
  o: { sensitivity?: number; sigma?: number; seed?: number; masks?: Box[]; stepMs?: number } = {},
): Show {
  const { sensitivity = 0.5, sigma = 1.5, seed = 1, masks = [], stepMs = STEP_MS } = o;
  const detector = createMotionDetector({ sensitivity, masks: masks.map(boxPolygon) }, PICTURE);
  const scene = yard(detector.size, seed);
  const chance = random(seed);
  let ms = 0;
  return {
    detector,
    next: (picture = {}) => {
      ms += stepMs;
      const luma = expose(picture.scene ?? scene, detector.size, { sigma, chance, ...picture });
      return detector.update(luma, ms);
    },
  };
}

/** Until calibrated. */
function settled(o: Parameters<typeof show>[0] = {}): Show {
  const shown = show(o);
  for (let k = 0; k < 20 && shown.next().global !== 'none'; k++);
  return shown;
}

const block = (x: number, y = 0.4): Paint => ({ box: [x, y, x + 0.06, y + 0.25], level: 20 });

test('the analysed picture has its long side at 160 and keeps the aspect', () => {
  const size = (width: number, height: number): object =>
    createMotionDetector({ sensitivity: 0.5, masks: [] }, { width, height }).size;
  expect(size(1920, 1080)).toEqual({ width: 160, height: 90 });
  expect(size(768, 576)).toEqual({ width: 160, height: 120 });
  expect(size(1080, 1920)).toEqual({ width: 90, height: 160 });
  expect(size(80, 60)).toEqual({ width: 80, height: 60 });
});

test('noise that was there from the start is never motion, whatever its strength', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 12 }), fc.integer(), (sigma, seed) => {
      const { next } = settled({ sigma, seed });
      for (let k = 0; k < 40; k++) expect(next().boxes).toEqual([]);
    }),
    { numRuns: 15 },
  );
});

test('noise that grows as night falls is learnt on the way', () => {
  const { next } = settled({ sigma: 1 });
  let boxes = 0;
  for (let k = 0; k < 150; k++) boxes += next({ sigma: 1 + k / 15 }).boxes.length;
  expect(boxes).toBe(0);
});

test('a walker is boxed in nearly every frame, closely', () => {
  fc.assert(
    fc.property(fc.integer(), fc.integer({ min: 60, max: 500 }), (seed, stepMs) => {
      const { next } = settled({ seed, stepMs });
      let close = 0;
      let frames = 0;
      for (let x = 0.05; x < 0.9; x += (0.12 * stepMs) / 1000, frames++) {
        const { boxes } = next({ things: [block(x)] });
        if (boxes.some(({ box }) => iou(box, block(x).box) > 0.6)) close++;
      }
      expect(close / frames).toBeGreaterThan(0.85);
    }),
    { numRuns: 10 },
  );
});

test('boxes lie in the picture, scores in 0..1, whatever is shown', () => {
  const things = fc.array(
    fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.double({ min: 0, max: 1, noNaN: true })),
    { maxLength: 4 },
  );
  fc.assert(
    fc.property(fc.array(things, { minLength: 4, maxLength: 10 }), fc.integer(), (frames, seed) => {
      const { next } = settled({ seed, sensitivity: 0.9 });
      for (const frame of frames) {
        const result = next({ things: frame.map(([x, y]) => block(x, y)) });
        expect(result.score).toBe(result.boxes[0]?.score ?? 0);
        for (const { box, score } of result.boxes) {
          expect(Math.min(...box)).toBeGreaterThanOrEqual(0);
          expect(Math.max(...box)).toBeLessThanOrEqual(1);
          expect(box[0] < box[2] && box[1] < box[3]).toBe(true);
          expect(score > 0 && score <= 1).toBe(true);
        }
      }
    }),
    { numRuns: 15 },
  );
});

test('what moves behind a mask is nobody’s business', () => {
  fc.assert(
    fc.property(fc.double({ min: 0.1, max: 0.7, noNaN: true }), fc.integer(), (x, seed) => {
      const [x1, y1, x2, y2] = block(x).box;
      const { next } = settled({ seed, masks: [[x1 - 0.02, y1 - 0.02, x2 + 0.02, y2 + 0.02]] });
      for (let k = 0; k < 8; k++) {
        expect(next({ things: k % 2 ? [block(x)] : [] })).toMatchObject({ boxes: [], moving: false });
      }
    }),
    { numRuns: 15 },
  );
});

test('sensitivity 0 is blind, and whatever a duller setting sees a keener one sees too', () => {
  const seenAt = (sensitivity: number, contrast: number): boolean => {
    const { next, detector } = show({ sensitivity, sigma: 1 });
    const flat = new Float32Array(detector.size.width * detector.size.height).fill(100);
    for (let k = 0; k < 12; k++) next({ scene: flat });
    const things = [{ box: [0.4, 0.4, 0.46, 0.65] as Box, level: 100 + contrast }];
    return next({ scene: flat, things }).boxes.length > 0;
  };
  expect(seenAt(0, 120)).toBe(false);
  for (const contrast of [6, 12, 24, 48]) {
    const seen = [0.1, 0.3, 0.5, 0.7, 0.9].map((sensitivity) => seenAt(sensitivity, contrast));
    expect(seen).toEqual(seen.toSorted((a, b) => Number(a) - Number(b)));
  }
  expect(seenAt(0.5, 24)).toBe(true);
  expect(seenAt(0.1, 24)).toBe(false);
});

test('lightning, an infrared switch and slow dusk are no motion', () => {
  const { next, detector } = settled();
  const infrared = yard(detector.size, 77);
  const results = [next({ gain: 1.8 }), next(), next()];
  for (let k = 0; k < 15; k++) results.push(next());
  for (let k = 0; k < 15; k++) results.push(next({ scene: infrared }));
  for (let k = 0; k < 100; k++) results.push(next({ scene: infrared, gain: 1 - k / 200 }));
  expect(results.every(({ boxes, moving }) => boxes.length === 0 && !moving)).toBe(true);
  expect(results[0]!.global).toBe('lighting');
  expect(results.at(-1)!.global).toBe('none');
});

test('a cloud before the sun dims everything within two seconds and moves nothing', () => {
  const { next } = settled();
  const dimmed = Array.from({ length: 40 }, (_, k) => next({ gain: Math.max(0.7, 1 - 0.03 * k) }));
  expect(dimmed.every(({ boxes, global }) => boxes.length === 0 && global === 'none')).toBe(true);
});

test('a second after the light changed motion is found again', () => {
  const { next } = settled();
  for (let k = 0; k < 6; k++) next({ gain: 1.5 });
  expect(next({ gain: 1.5, things: [block(0.3)] }).boxes).toHaveLength(1);
});

test('a shadow or a headlight on textured ground is no motion', () => {
  const { next, detector } = settled({ sigma: 1 });
  const lit = (factor: number, x0: number): Float32Array =>
    yard(detector.size, 1).map((level, i) => {
      const x = (i % detector.size.width) / detector.size.width;
      return x > x0 && x < x0 + 0.25 ? level * factor : level;
    });
  for (let x0 = 0.1; x0 < 0.6; x0 += 0.05) expect(next({ scene: lit(0.6, x0) }).boxes).toEqual([]);
});

test('something before the lens that never rests is reported after a few seconds', () => {
  const { next } = settled();
  const cloth = (k: number): Paint => ({ box: [0, 0, 0.8, 1], level: k % 2 ? 5 : 250 });
  const results = Array.from({ length: 60 }, (_, k) => next({ things: [cloth(k)] }));
  expect(results.slice(0, 15).every(({ boxes }) => boxes.length === 0)).toBe(true);
  expect(results.at(-1)!.moving).toBe(true);
});

test('a thing put down and a hole left by a car become background within some seconds', () => {
  const { next } = settled();
  const bag = block(0.5);
  expect(next({ things: [bag] }).boxes).toHaveLength(1);
  for (let k = 0; k < 30; k++) next({ things: [bag] });
  expect(next({ things: [bag] }).boxes).toEqual([]);
  expect(next().boxes).toHaveLength(1);
  for (let k = 0; k < 30; k++) next();
  expect(next().boxes).toEqual([]);
});

test('branches that sway are learnt, and a walker beside them is still seen', () => {
  const { next } = settled();
  const branch = (k: number): Paint => ({ box: [0.1, 0.1, 0.25, 0.4], level: k % 3 === 0 ? 150 : 95 });
  for (let k = 0; k < 450; k++) next({ things: [branch(k)] });
  let swaying = 0;
  let walking = 0;
  for (let k = 450; k < 510; k++) {
    const { boxes } = next({ things: [branch(k), block(0.3 + (k - 450) / 120)] });
    if (boxes.some(({ box }) => box[2] < 0.27)) swaying++;
    if (boxes.some(({ box }) => iou(box, block(0.3 + (k - 450) / 120).box) > 0.6)) walking++;
  }
  expect(swaying).toBeLessThan(6);
  expect(walking).toBeGreaterThan(50);
});

test('motion begins with the second weak frame, lasts over pauses, and ends', () => {
  const { next } = settled();
  const faint = (x: number): Paint => ({ box: [x, 0.4, x + 0.025, 0.5], level: 80 });
  const moving = [0.5, 0.52, null, null, 0.54, ...Array.from({ length: 9 }, () => null)].map(
    (x) => next(x === null ? {} : { things: [faint(x)] }).moving,
  );
  expect(moving.slice(0, 5)).toEqual([false, true, true, true, true]);
  expect(moving.at(-1)).toBe(false);
});

test('the same pictures give the same answers, also after a reset', () => {
  const run = (detector: MotionDetector): MotionResult[] => {
    const scene = yard(detector.size, 3);
    const chance = random(3);
    return Array.from({ length: 40 }, (_, k) =>
      detector.update(
        expose(scene, detector.size, { sigma: 2, chance, things: k > 15 ? [block(k / 50)] : [] }),
        k * STEP_MS,
      ),
    );
  };
  const detector = createMotionDetector({ sensitivity: 0.6, masks: [] }, PICTURE);
  const first = run(detector);
  detector.reset();
  expect(run(detector)).toEqual(first);
  expect(run(createMotionDetector({ sensitivity: 0.6, masks: [] }, PICTURE))).toEqual(first);
  expect(first.some(({ moving }) => moving)).toBe(true);
});

test('time that jumps back or far ahead means learning anew', () => {
  const { detector } = show();
  const luma = new Uint8Array(detector.size.width * detector.size.height).fill(90);
  for (let k = 0; k < 20; k++) detector.update(luma, k * STEP_MS);
  expect(detector.update(luma, 4_200).global).toBe('none');
  expect(detector.update(luma, 60_000).global).toBe('calibrating');
  expect(detector.update(luma, 1_000).global).toBe('calibrating');
});
