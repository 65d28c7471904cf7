import fc from 'fast-check';
import { Frame, SoftwareScaleContext } from 'node-av/lib';
import {
  AV_PIX_FMT_GRAY16LE,
  AV_PIX_FMT_NV12,
  AV_PIX_FMT_P010LE,
  AV_PIX_FMT_RGB24,
  AV_PIX_FMT_UYVY422,
  AV_PIX_FMT_YUV420P,
  AV_PIX_FMT_YUV420P10LE,
  AV_PIX_FMT_YUV422P,
  AV_PIX_FMT_YUV422P12LE,
  AV_PIX_FMT_YUV444P,
  AV_PIX_FMT_YUVJ420P,
  AV_PIX_FMT_YUYV422,
  AVCOL_RANGE_JPEG,
  SWS_POINT,
  type AVPixelFormat,
} from 'node-av/constants';
import { describe, expect, test } from 'vitest';
import { PrivacyMask } from '../../../device/capture/privacy-mask.ts';
import { spansOf, subsampled, type Span } from '../../../device/capture/privacy-spans.ts';
import { boxPolygon } from '../../../device/contract/settings.ts';
import { pointInPolygon, type Point, type Polygon, type Size } from '../../../device/contract/geometry.ts';

const fraction = fc.oneof(
  fc.double({ min: 0, max: 1, noNaN: true }),
  fc.integer({ min: 0, max: 16 }).map((n) => n / 16),
);
const polygon: fc.Arbitrary<Polygon> = fc.array(fc.tuple(fraction, fraction), { minLength: 3, maxLength: 8 });
const size: fc.Arbitrary<Size> = fc.record({
  width: fc.integer({ min: 1, max: 40 }),
  height: fc.integer({ min: 1, max: 40 }),
});

const covers = (rows: readonly (readonly Span[])[], x: number, y: number): boolean =>
  rows[y]!.some(([from, to]) => from <= x && x < to);

function* pixelsOf({ width, height }: Size): Generator<[number, number]> {
  for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) yield [x, y];
}

describe('which pixels a mask covers', () => {
  test('all that have any point inside a polygon', () => {
    fc.assert(
      fc.property(
        fc.array(polygon, { minLength: 1, maxLength: 3 }),
        size,
        fc.array(fc.tuple(fraction, fraction), { minLength: 1, maxLength: 20 }),
        (polygons, picture, anywhere) => {
          const rows = spansOf(polygons, picture);
          const centres = [...pixelsOf(picture)].map(([x, y]): Point => [
            (x + 0.5) / picture.width,
            (y + 0.5) / picture.height,
          ]);
          for (const point of [...centres, ...anywhere]) {
            const [x, y] = [point[0] * picture.width, point[1] * picture.height];
            // On the line between two pixels a point belongs to both and to none.
            if (Number.isInteger(x) || Number.isInteger(y)) continue;
            if (polygons.some((area) => pointInPolygon(point, area))) {
              expect(covers(rows, Math.floor(x), Math.floor(y))).toBe(true);
            }
          }
        },
      ),
    );
  });

  test('also those that a polygon crosses as a sliver, which has no centre inside', () => {
    const rows = spansOf(
      [
        [
          [0, 0.501],
          [1, 0.502],
          [1, 0.503],
        ],
      ],
      { width: 64, height: 9 },
    );
    expect(rows.flatMap((spans, y) => (spans.length > 0 ? [y] : []))).toEqual([4]);
    expect(rows[4]).toEqual([[0, 64]]);
  });

  test('no others: each has a corner near, a border through it, or its centre inside', () => {
    fc.assert(
      fc.property(polygon, size, (area, picture) => {
        const rows = spansOf([area], picture);
        const corners = area.map(([x, y]): Point => [x * picture.width, y * picture.height]);
        for (const [x, y] of pixelsOf(picture)) {
          if (!covers(rows, x, y)) continue;
          const touched = corners.some((a, index) => crossesPixel(a, corners.at(index - 1)!, x, y));
          expect(touched || windsAround([x + 0.5, y + 0.5], corners)).toBe(true);
        }
      }),
    );
  });

  test('a box on pixel borders covers exactly itself', () => {
    const rows = spansOf([boxPolygon([0.25, 0.5, 0.75, 1])], { width: 8, height: 4 });
    expect(rows).toEqual([[], [], [[2, 6]], [[2, 6]]]);
  });

  test('spans are in order, apart, and inside the picture', () => {
    fc.assert(
      fc.property(fc.array(polygon, { maxLength: 4 }), size, (polygons, picture) => {
        const rows = spansOf(polygons, picture);
        expect(rows).toHaveLength(picture.height);
        for (const spans of rows) {
          let end = -1;
          for (const [from, to] of spans) {
            expect(from).toBeGreaterThan(end);
            expect(to).toBeGreaterThan(from);
            end = to;
          }
          expect(end).toBeLessThanOrEqual(picture.width);
        }
      }),
    );
  });

  test('a subsampled sample is covered exactly when one of its pixels is', () => {
    const shift = fc.integer({ min: 0, max: 2 });
    fc.assert(
      fc.property(fc.array(polygon, { maxLength: 2 }), size, shift, shift, (polygons, picture, sx, sy) => {
        const rows = spansOf(polygons, picture);
        const wanted = new Set<string>();
        for (const [x, y] of pixelsOf(picture)) if (covers(rows, x, y)) wanted.add(`${x >> sx},${y >> sy}`);
        const found = subsampled(rows, sx, sy).flatMap((spans, y) =>
          spans.flatMap(([from, to]) => Array.from({ length: to - from }, (_, n) => `${from + n},${y}`)),
        );
        expect(new Set(found)).toEqual(wanted);
      }),
    );
  });
});

describe('blackening a picture', () => {
  const picture = { width: 50, height: 38 };
  const areas: Polygon[] = [
    boxPolygon([0.1, 0.1, 0.45, 0.5]),
    [
      [0.5, 0.93],
      [0.93, 0.4],
      [0.97, 0.97],
    ],
  ];

  test.each([
    ['yuv420p', AV_PIX_FMT_YUV420P, false],
    ['yuv420p, full range', AV_PIX_FMT_YUV420P, true],
    ['yuvj420p', AV_PIX_FMT_YUVJ420P, false],
    ['yuv422p', AV_PIX_FMT_YUV422P, false],
    ['yuv444p', AV_PIX_FMT_YUV444P, false],
    ['yuv420p10le', AV_PIX_FMT_YUV420P10LE, false],
    ['yuv422p12le', AV_PIX_FMT_YUV422P12LE, false],
    ['nv12', AV_PIX_FMT_NV12, false],
    ['p010le', AV_PIX_FMT_P010LE, false],
    ['yuyv422', AV_PIX_FMT_YUYV422, false],
    ['uyvy422', AV_PIX_FMT_UYVY422, false],
    ['rgb24', AV_PIX_FMT_RGB24, false],
  ])('%s: inside all is black, outside nothing changed', (_, format, fullRange) => {
    using before = colourful(picture, format, fullRange);
    using after = before.clone()!;
    new PrivacyMask(areas).apply(after);
    const [old, now] = [toRgb(before), toRgb(after)];
    const rows = spansOf(areas, picture);
    for (const [x, y] of pixelsOf(picture)) {
      const at = 3 * (y * picture.width + x);
      const pixel = [...now.subarray(at, at + 3)];
      if (covers(rows, x, y)) for (const value of pixel) expect(value).toBeLessThanOrEqual(1);
      // Chroma is blackened outwards, so look a few pixels away.
      else if (!nearCovered(rows, x, y)) expect(pixel).toEqual([...old.subarray(at, at + 3)]);
    }
  });

  test('memory that others look at stays as it is', () => {
    using reference = colourful(picture, AV_PIX_FMT_YUV420P, false);
    const before = Buffer.from(reference.data![0]!);
    using shown = reference.clone()!;
    new PrivacyMask(areas).apply(shown);
    expect(Buffer.from(reference.data![0]!).equals(before)).toBe(true);
    expect(Buffer.from(shown.data![0]!).equals(before)).toBe(false);
  });

  test('a picture of another size or format is masked by its own measure', () => {
    const mask = new PrivacyMask([boxPolygon([0, 0, 1, 1])]);
    for (const [width, height, format] of [
      [32, 16, AV_PIX_FMT_YUV420P],
      [64, 48, AV_PIX_FMT_YUV420P],
      [64, 48, AV_PIX_FMT_NV12],
    ] as const) {
      using frame = colourful({ width, height }, format, false);
      mask.apply(frame);
      expect(Math.max(...toRgb(frame))).toBeLessThanOrEqual(1);
    }
  });

  test('a picture of unknown format is refused, not passed', () => {
    using frame = blank(picture, AV_PIX_FMT_GRAY16LE);
    expect(() => new PrivacyMask(areas).apply(frame)).toThrow(
      expect.objectContaining({
        code: 'PRIVACY_MASK_IMPOSSIBLE',
        message: expect.stringContaining('gray16le') as string,
      }),
    );
  });
});

/** Whether the segment comes within a hair of the pixel (Liang–Barsky). */
function crossesPixel([ax, ay]: Point, [bx, by]: Point, x: number, y: number): boolean {
  const hair = 1e-9;
  let [first, last] = [0, 1];
  for (const [from, delta, low, high] of [
    [ax, bx - ax, x - hair, x + 1 + hair],
    [ay, by - ay, y - hair, y + 1 + hair],
  ] as const) {
    if (delta === 0) {
      if (from < low || from > high) return false;
      continue;
    }
    const [enter, leave] = [(low - from) / delta, (high - from) / delta].sort((p, q) => p - q);
    first = Math.max(first, enter!);
    last = Math.min(last, leave!);
  }
  return first <= last;
}

/** By angles: the sum of turns as seen from the point. */
function windsAround([px, py]: Point, corners: readonly Point[]): boolean {
  let turned = 0;
  for (const [index, [bx, by]] of corners.entries()) {
    const [ax, ay] = corners.at(index - 1)!;
    const [ux, uy, vx, vy] = [ax - px, ay - py, bx - px, by - py];
    turned += Math.atan2(ux * vy - uy * vx, ux * vx + uy * vy);
  }
  return Math.abs(turned) > Math.PI;
}

function nearCovered(rows: readonly (readonly Span[])[], x: number, y: number): boolean {
  const near = [-3, -2, -1, 0, 1, 2, 3];
  return near.some((dy) => near.some((dx) => rows[y + dy] && covers(rows, x + dx, y + dy)));
}

function blank({ width, height }: Size, format: AVPixelFormat): Frame {
  const frame = new Frame();
  frame.alloc();
  Object.assign(frame, { width, height, format });
  expect(frame.getBuffer()).toBe(0);
  return frame;
}

/** Strong colours everywhere, so that any sample left behind is seen. */
function colourful(size: Size, format: AVPixelFormat, fullRange: boolean): Frame {
  using rgb = blank(size, AV_PIX_FMT_RGB24);
  const [pixels, stride] = [rgb.data![0]!, rgb.linesize[0]!];
  for (const [x, y] of pixelsOf(size)) {
    pixels.set([x % 2 ? 250 : 180, 40 + ((7 * y) % 60), y % 2 ? 240 : 20], y * stride + 3 * x);
  }
  const frame = convert(rgb, format);
  if (fullRange) frame.colorRange = AVCOL_RANGE_JPEG;
  return frame;
}

function convert(from: Frame, format: AVPixelFormat): Frame {
  const out = blank(from, format);
  using context = new SoftwareScaleContext();
  const { width, height } = from;
  context.getContext(width, height, from.format as AVPixelFormat, width, height, format, SWS_POINT);
  expect(context.scaleFrameSync(out, from)).toBeGreaterThanOrEqual(0);
  return out;
}

function toRgb(frame: Frame): Buffer {
  using rgb = convert(frame, AV_PIX_FMT_RGB24);
  return Buffer.concat(
    Array.from({ length: frame.height }, (_, y) =>
      rgb.data![0]!.subarray(y * rgb.linesize[0]!, y * rgb.linesize[0]! + 3 * frame.width),
    ),
  );
}
