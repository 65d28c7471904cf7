import fc from 'fast-check';
import { expect, test } from 'vitest';
import { iou } from '../../../device/contract/geometry.ts';
import {
  createDecoder,
  suppress,
  toDetections,
  type Candidate,
} from '../../../device/detect/decoders/index.ts';
import { COCO_80 } from '../../../device/detect/labels.ts';
import type { DecoderSpec } from '../../../device/detect/manifest.ts';

const limits = { minScore: 0.1, nmsIou: 0.5, maxDetections: 20 };
const anything = fc.oneof(fc.double({ min: -2, max: 2 }), fc.constantFrom(NaN, Infinity, -Infinity));
const wildCandidate = fc.record({
  score: anything,
  classIndex: fc.integer({ min: -1, max: 4 }),
  box: fc.tuple(anything, anything, anything, anything),
});
const labels = ['person', 'car', 'cat'];

test('whatever a model says, detections are named, inside the crop, strongest first and not too many', () => {
  fc.assert(
    fc.property(fc.array(wildCandidate, { maxLength: 60 }), (candidates: Candidate[]) => {
      const detections = toDetections(candidates, labels, limits);
      expect(detections.length).toBeLessThanOrEqual(limits.maxDetections);
      detections.forEach(({ label, score, box: [x1, y1, x2, y2] }, index) => {
        expect(labels).toContain(label);
        expect(score).toBeGreaterThanOrEqual(limits.minScore);
        expect(score).toBeLessThanOrEqual(detections[index - 1]?.score ?? 1);
        for (const value of [x1, y1, x2, y2]) expect(value >= 0 && value <= 1).toBe(true);
        expect(x2 > x1 && y2 > y1).toBe(true);
      });
    }),
  );
});

const box = fc
  .tuple(fc.double({ min: 0, max: 0.9, noNaN: true }), fc.double({ min: 0, max: 0.9, noNaN: true }))
  .map(([x, y]) => [x, y, x + 0.1, y + 0.1] as const);
const candidate = fc.record({
  score: fc.double({ min: 0, max: 1, noNaN: true }),
  classIndex: fc.integer({ min: 0, max: 2 }),
  box,
});

test('suppression keeps no two rivals, loses nobody without a stronger rival, and changes nothing twice', () => {
  fc.assert(
    fc.property(fc.array(candidate, { maxLength: 40 }), (candidates: Candidate[]) => {
      const kept = suppress(candidates, 0.3);
      const rivals = (a: Candidate, b: Candidate): boolean =>
        a.classIndex === b.classIndex && iou(a.box, b.box) > 0.3;
      kept.forEach((a, i) => expect(kept.slice(i + 1).some((b) => rivals(a, b))).toBe(false));
      for (const lost of candidates.filter((one) => !kept.includes(one)))
        expect(kept.some((one) => rivals(one, lost) && one.score >= lost.score)).toBe(true);
      expect(suppress(kept, 0.3)).toEqual(kept);
    }),
  );
});

const decode = (spec: DecoderSpec, outputs: readonly [dims: number[], data: number[]][], classes = 3) =>
  createDecoder(spec, { input: { width: 64, height: 32 }, classes, minScore: 0.1 }).decode(
    outputs.map(([dims, data]) => ({ dims, data: Float32Array.from(data) })),
  );
const close = (candidates: readonly Candidate[]) =>
  candidates.map(({ score, classIndex, box }) => ({
    score: expect.closeTo(score, 5) as number,
    classIndex,
    box: box.map((value) => expect.closeTo(value, 5) as number),
  }));

test('CenterNet rows are corners in pixels of the input', () => {
  const rows = [16, 8, 48, 24, 0.9, 2, 0, 0, 64, 32, 0.25, 0];
  expect(decode({ name: 'centernet' }, [[[1, 2, 6], rows]])).toEqual(
    close([
      { score: 0.9, classIndex: 2, box: [0.25, 0.25, 0.75, 0.75] },
      { score: 0.25, classIndex: 0, box: [0, 0, 1, 1] },
    ]),
  );
});

test('SSD rows are y first, classes may count from one, and only the valid rows count', () => {
  const spec = { name: 'ssd', boxes: 'b', scores: 's', classes: 'c', count: 'n', firstClass: 1 } as const;
  const outputs: [number[], number[]][] = [
    [
      [1, 2, 4],
      [0.1, 0.2, 0.3, 0.4, 0, 0, 1, 1],
    ],
    [
      [1, 2],
      [0.75, 0.5],
    ],
    [
      [1, 2],
      [3, 1],
    ],
    [[1], [1]],
  ];
  expect(decode(spec, outputs)).toEqual(close([{ score: 0.75, classIndex: 2, box: [0.2, 0.1, 0.4, 0.3] }]));
  expect(decode({ ...spec, count: undefined, firstClass: 0 }, outputs)).toHaveLength(2);
});

test('YOLOX rows are relative to the cell of their grid', () => {
  // Strides 16 and 32 on 64×32: 4×2 cells, then 2×1. The sixth cell is at (1, 1) of the first grid.
  const width = 5 + 3;
  const data = Array.from({ length: 10 * width }, () => 0);
  data.splice(5 * width, width, 0.5, 0.25, Math.log(2), Math.log(0.5), 0.8, 0.1, 0.5, 0.2);
  data.splice(9 * width, width, 0, 0.5, 0, 0, 0.9, 0, 0, 1);
  expect(decode({ name: 'yolox', strides: [16, 32] }, [[[1, 10, width], data]])).toEqual(
    close([
      { score: 0.4, classIndex: 1, box: [8 / 64, 16 / 32, 40 / 64, 24 / 32] },
      { score: 0.9, classIndex: 2, box: [16 / 64, 0, 48 / 64, 1] },
    ]),
  );
});

test('YOLOv8 exports are read the same whichever way they lie', () => {
  const row = [32, 16, 16, 8, 0.2, 0.7, 0.1];
  const weak = [1, 1, 1, 1, 0, 0.05, 0];
  const expected = close([{ score: 0.7, classIndex: 1, box: [0.375, 0.375, 0.625, 0.625] }]);
  expect(
    decode({ name: 'yolo' }, [
      [
        [1, 2, 7],
        [...row, ...weak],
      ],
    ]),
  ).toEqual(expected);
  const transposed = row.flatMap((value, field) => [value, weak[field]!]);
  expect(decode({ name: 'yolo' }, [[[1, 7, 2], transposed]])).toEqual(expected);
});

test.each<[DecoderSpec, number[]]>([
  [{ name: 'centernet' }, [1, 100, 5]],
  [{ name: 'ssd', boxes: 'b', scores: 's', classes: 'c', firstClass: 1 }, [1, 10]],
  [{ name: 'yolox', strides: [8, 16, 32] }, [1, 42, 9]],
  [{ name: 'yolo' }, [1, 8, 8]],
])('outputs of another kind of model are refused by %o', (spec, dims) => {
  const size = dims.reduce((a, b) => a * b, 1);
  const data = Array.from({ length: size }, () => 0);
  expect(() => decode(spec, [[dims, data]])).toThrow(expect.objectContaining({ code: 'MODEL_SHAPE' }));
  expect(() => decode(spec, [])).toThrow(expect.objectContaining({ code: 'MODEL_SHAPE' }));
});

test('COCO has its 80 names where models number them', () => {
  expect(COCO_80).toHaveLength(80);
  expect([0, 2, 9, 16, 79].map((i) => COCO_80[i])).toEqual([
    'person',
    'car',
    'traffic light',
    'dog',
    'toothbrush',
  ]);
});
