import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Box, PixelRect, Size } from '../../../device/contract/geometry.ts';
import {
  detailWanted,
  planRegions,
  type RegionRequest,
  type TrackHint,
} from '../../../device/track/index.ts';

const HD = { width: 1920, height: 1080 };
const MODEL = { width: 512, height: 512 };

const plan = (o: Partial<RegionRequest>): PixelRect[] =>
  planRegions({ picture: HD, modelInput: MODEL, motion: [], tracks: [], maxRegions: 3, full: false, ...o });

const hint = (box: Box, o: Partial<TrackHint> = {}): TrackHint => ({
  box,
  kind: 'followed',
  due: true,
  waitedMs: 0,
  ...o,
});
const at = (x: number, y: number, size = 0.05): Box => [x, y, x + size, y + size];
const moving = (...boxes: Box[]): { box: Box; score: number }[] => boxes.map((box) => ({ box, score: 0.5 }));

const shows = ({ x, y, width, height }: PixelRect, box: Box, picture: Size = HD): boolean =>
  box[0] * picture.width >= x - 1 &&
  box[1] * picture.height >= y - 1 &&
  box[2] * picture.width <= x + width + 1 &&
  box[3] * picture.height <= y + height + 1;

const box = fc
  .tuple(
    fc.double({ min: 0, max: 0.95, noNaN: true }),
    fc.double({ min: 0, max: 0.95, noNaN: true }),
    fc.double({ min: 0.01, max: 0.6, noNaN: true }),
    fc.double({ min: 0.01, max: 0.6, noNaN: true }),
  )
  .map(([x, y, w, h]): Box => [x, y, Math.min(1, x + w), Math.min(1, y + h)]);
const request = fc.record({
  picture: fc.record({
    width: fc.integer({ min: 64, max: 4000 }),
    height: fc.integer({ min: 64, max: 4000 }),
  }),
  modelInput: fc.constantFrom(MODEL, { width: 416, height: 416 }, { width: 640, height: 384 }),
  motion: fc.array(fc.record({ box, score: fc.double({ min: 0, max: 1, noNaN: true }) }), { maxLength: 8 }),
  tracks: fc.array(
    fc.record({
      box,
      kind: fc.constantFrom(
        'motion' as const,
        'unconfirmed' as const,
        'followed' as const,
        'resting' as const,
      ),
      due: fc.boolean(),
      waitedMs: fc.integer({ min: 0, max: 20_000 }),
    }),
    { maxLength: 8 },
  ),
  maxRegions: fc.integer({ min: 1, max: 4 }),
  full: fc.boolean(),
});

test('squares are square, few, inside where they fit, and never upscale needlessly', () => {
  fc.assert(
    fc.property(request, (o) => {
      const regions = planRegions(o);
      const whole = Math.max(o.picture.width, o.picture.height);
      expect(regions.length).toBeLessThanOrEqual(o.maxRegions);
      for (const { x, y, width, height } of regions) {
        expect(width).toBe(height);
        expect(width).toBeLessThanOrEqual(whole);
        expect(width).toBeGreaterThanOrEqual(Math.min(whole, o.modelInput.width, o.modelInput.height));
        if (width <= o.picture.width) expect(x >= 0 && x + width <= o.picture.width).toBe(true);
        if (height <= o.picture.height) expect(y >= 0 && y + height <= o.picture.height).toBe(true);
      }
    }),
  );
});

test('nothing is looked at only when nothing asks for it, and everything that asks is shown if squares suffice', () => {
  fc.assert(
    fc.property(request, (o) => {
      const regions = planRegions({ ...o, full: false, maxRegions: 20 });
      const asking = [...o.motion, ...o.tracks.filter(({ due }) => due)];
      if (asking.length === 0) expect(regions).toEqual([]);
      // Motion that a track explains is shown with it, up to the part outside its square.
      for (const { box } of o.tracks.filter(({ due }) => due))
        expect(regions.some((region) => shows(region, box, o.picture))).toBe(true);
      if (o.motion.length > 0) expect(regions.length).toBeGreaterThan(0);
    }),
  );
});

test('a small thing in a large picture is seen pixel for pixel', () => {
  const [region, ...rest] = plan({ motion: moving(at(0.5, 0.5)) });
  expect(rest).toEqual([]);
  expect(region).toMatchObject({ width: 512, height: 512 });
  expect(shows(region!, at(0.5, 0.5))).toBe(true);
});

test('a full look is the whole picture in one square', () => {
  expect(plan({ full: true })).toEqual([{ x: 0, y: -420, width: 1920, height: 1920 }]);
});

test('things close to each other share a square, things apart do not', () => {
  expect(plan({ motion: moving(at(0.5, 0.5), at(0.6, 0.55)) })).toHaveLength(1);
  expect(plan({ motion: moving(at(0.1, 0.5), at(0.8, 0.55)) })).toHaveLength(2);
});

test('where the picture is hardly larger than the model, one look at everything replaces several', () => {
  const picture = { width: 768, height: 576 };
  const apart = moving(at(0.05, 0.1), at(0.9, 0.9));
  expect(plan({ picture, motion: apart })).toEqual([{ x: 0, y: -96, width: 768, height: 768 }]);
  expect(plan({ picture, motion: apart.slice(0, 1) })[0]).toMatchObject({ width: 512 });
});

test('motion that a followed object explains costs no second square', () => {
  const regions = plan({ motion: moving(at(0.5, 0.5, 0.06)), tracks: [hint(at(0.5, 0.5))] });
  expect(regions).toHaveLength(1);
});

test('a place that is not due is looked at when something stirs there', () => {
  const place = hint(at(0.2, 0.2, 0.2), { kind: 'resting', due: false });
  expect(plan({ tracks: [place] })).toEqual([]);
  const regions = plan({ tracks: [place], motion: moving(at(0.25, 0.25, 0.15)) });
  expect(regions.some((region) => shows(region, place.box))).toBe(true);
});

test('new motion goes first, but whoever waits long enough has a turn', () => {
  const fresh = moving(at(0.02, 0.02), at(0.45, 0.02), at(0.9, 0.02));
  const old = at(0.5, 0.9);
  const shown = (waitedMs: number): boolean =>
    plan({ motion: fresh, tracks: [hint(old, { kind: 'resting', waitedMs })] }).some((r) => shows(r, old));
  expect(shown(0)).toBe(false);
  expect(shown(10_000)).toBe(true);
});

test('detail is wanted for what is small, urgently where it is new or undecided', () => {
  const picture = { width: 640, height: 360 };
  const wanted = (o: Partial<RegionRequest>): string => {
    const request = { picture, modelInput: MODEL, motion: [], tracks: [], maxRegions: 3, full: false, ...o };
    return detailWanted(request, planRegions(request));
  };
  const [small, medium, large] = [at(0.5, 0.5, 0.05), at(0.5, 0.3, 0.15), at(0.3, 0.3, 0.5)];
  expect(wanted({ motion: moving(small) })).toBe('urgent');
  expect(wanted({ motion: moving(medium) })).toBe('urgent');
  expect(wanted({ motion: moving(large) })).toBe('none');
  expect(wanted({ tracks: [hint(small, { kind: 'unconfirmed' })] })).toBe('urgent');
  expect(wanted({ tracks: [hint(small)] })).toBe('some');
  expect(wanted({ tracks: [hint(medium)] })).toBe('none');
  expect(wanted({ tracks: [hint(small, { kind: 'resting' })] })).toBe('none');
  expect(wanted({ tracks: [hint(small, { due: false })] })).toBe('none');
  // Motion of something that is followed is nothing new.
  expect(wanted({ motion: moving(small), tracks: [hint(small)] })).toBe('some');
  expect(wanted({ full: true })).toBe('none');
});

test('more pixels never make detail wanted that was not', () => {
  const wish = { none: 0, some: 1, urgent: 2 };
  fc.assert(
    fc.property(request, (small) => {
      const { width, height } = small.picture;
      const large = { ...small, picture: { width: 2 * width, height: 2 * height } };
      // The same squares of a picture twice as large show everything twice as large, or as large as before.
      const regions = planRegions(small);
      const enlarged = regions.map((r) => ({
        x: 2 * r.x,
        y: 2 * r.y,
        width: 2 * r.width,
        height: 2 * r.height,
      }));
      expect(wish[detailWanted(large, enlarged)]).toBeLessThanOrEqual(wish[detailWanted(small, regions)]);
    }),
  );
});
