import fc from 'fast-check';
import { expect, test } from 'vitest';
import { DecodeOrder } from '../../../device/capture/decode-order.ts';
import { Sampler } from '../../../device/capture/sampler.ts';
import { Timeline, VIDEO_TIMESCALE, type SourceStamp } from '../../../device/capture/timeline.ts';

const base = { num: 1, den: VIDEO_TIMESCALE };
const timelineOf = (frameMs: number): Timeline => new Timeline({ base, frameMs, depth: 0 }, null);

test('whatever timestamps a source has, dts rises, pts ≥ dts ≥ 0 and each picture lasts', () => {
  const ticks = fc.option(fc.integer({ min: -1e9, max: 1e9 }));
  const stamp = fc.record({ pts: ticks, dts: ticks, duration: fc.integer({ min: 0, max: 1e6 }) });
  fc.assert(
    fc.property(fc.array(fc.oneof(stamp, fc.constant(null)), { maxLength: 50 }), (stamps) => {
      const timeline = timelineOf(40);
      let last = -1;
      for (const source of stamps) {
        if (source === null) {
          timeline.restart();
          continue;
        }
        const { pts, dts, duration } = timeline.video(source);
        expect(dts).toBeGreaterThan(last);
        expect(pts).toBeGreaterThanOrEqual(dts);
        expect(duration).toBeGreaterThan(0);
        last = dts;
      }
    }),
  );
});

test('a stream that starts anywhere begins at 0 and keeps its own rhythm', () => {
  const timeline = timelineOf(100);
  const at = (pts: number): number => timeline.video({ pts, dts: pts, duration: 0 }).dts;
  expect([5_000_000, 5_009_000, 5_018_000, 5_045_000].map(at)).toEqual([0, 9000, 18_000, 45_000]);
});

test('pictures without any timestamp follow each other at the announced rate', () => {
  const timeline = timelineOf(100);
  const none: SourceStamp = { pts: null, dts: null, duration: 0 };
  expect([none, none, none].map((stamp) => timeline.video(stamp).dts)).toEqual([0, 9000, 18_000]);
});

test('one picture without a timestamp among others takes the next place', () => {
  const timeline = timelineOf(100);
  const pts = [700_000, null, 718_000];
  expect(pts.map((each) => timeline.video({ pts: each, dts: null, duration: 0 }).dts)).toEqual([
    0, 9000, 18_000,
  ]);
});

test('a loop goes on one picture after the last, sound with it', () => {
  const timeline = new Timeline(
    { base, frameMs: 100, depth: 0 },
    { base: { num: 1, den: 8000 }, timescale: 8000 },
  );
  const video = (dts: number): number => timeline.video({ pts: dts, dts, duration: 9000 }).dts;
  const audio = (dts: number): number | undefined => timeline.audio({ pts: dts, dts, duration: 800 })?.dts;
  expect([video(0), audio(0), video(9000), audio(800)]).toEqual([0, 0, 9000, 800]);
  timeline.restart();
  expect([video(0), audio(0), video(9000), audio(800)]).toEqual([18_000, 1600, 27_000, 2400]);
});

test('sound before the first picture has no place', () => {
  const timeline = new Timeline({ base, depth: 0 }, { base: { num: 1, den: 8000 }, timescale: 8000 });
  expect(timeline.audio({ pts: 0, dts: 0, duration: 160 })).toBeNull();
});

test('decode times rise and never pass presentation, for any order within the depth', () => {
  const groups = fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 8 });
  fc.assert(
    fc.property(groups, fc.integer({ min: 1, max: 4 }), (betweens, depth) => {
      // A key frame, then groups that decode their last picture first and the B-frames before it afterwards.
      const shown = [0];
      for (const between of betweens) {
        const first = shown.length;
        shown.push(first + between, ...Array.from({ length: between }, (_, n) => first + n));
      }
      const decode = new DecodeOrder(depth);
      let last = -Infinity;
      for (const place of shown) {
        const dts = decode.dts(place * 100, 100);
        expect(dts).toBeGreaterThan(last);
        expect(dts).toBeLessThanOrEqual(place * 100);
        last = dts;
      }
    }),
  );
});

test('one picture per slot, the first in it, and never more than asked for', () => {
  fc.assert(
    fc.property(
      fc.double({ min: 0.5, max: 30, noNaN: true }),
      fc.array(fc.double({ min: 1, max: 400, noNaN: true }), { minLength: 1, maxLength: 100 }),
      (fps, gapsMs) => {
        const sampler = new Sampler(fps);
        let atMs = 0;
        const taken = gapsMs.filter((gapMs) => sampler.take((atMs += gapMs) - gapsMs[0]!)).length;
        expect(taken).toBeGreaterThanOrEqual(1);
        expect(taken).toBeLessThanOrEqual(Math.floor(((atMs - gapsMs[0]!) * fps) / 1000 + 0.001) + 1);
      },
    ),
  );
  const sampler = new Sampler(5);
  const tenPerSecond = Array.from({ length: 11 }, (_, n) => n * 100).filter((ms) => sampler.take(ms));
  expect(tenPerSecond).toEqual([0, 200, 400, 600, 800, 1000]);
});
