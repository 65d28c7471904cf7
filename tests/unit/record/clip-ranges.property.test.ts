import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { ClipPartialFact, ClipReadyFact, Coverage } from '../../../device/contract/facts.ts';
import { noMeter } from '../../../device/contract/metrics.ts';
import { ClipRanges } from '../../../device/record/clip-ranges.ts';
import { START_UTC_MS, syntheticStream } from './synthetic.ts';

const TOLD_LATE_MS = 4000;
const at = (ms: number): number => START_UTC_MS + ms;

/** In tenths of a second, as the pictures are. */
const scenario = fc.record({
  events: fc.array(
    fc.record({
      start: fc.nat(500),
      length: fc.nat(200),
      toldLate: fc.nat(TOLD_LATE_MS / 100),
      closedLate: fc.nat(50),
    }),
    { minLength: 1, maxLength: 8 },
  ),
  pre: fc.nat(60),
  post: fc.nat(60),
  maxClip: fc.constantFrom(50, 200, 6000),
  /** Pictures per batch. */
  batches: fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1, maxLength: 10 }),
  /** Never arrived at the disk. */
  lost: fc.array(fc.record({ from: fc.nat(800), length: fc.integer({ min: 3, max: 100 }) }), {
    maxLength: 3,
  }),
});

test('clips cover pre-roll, event and post-roll of every event exactly, as far as footage is durable', () => {
  fc.assert(
    fc.property(scenario, ({ events, pre, post, maxClip, batches, lost }) => {
      const { info, packets } = syntheticStream({ gops: [1000], bytes: 10 });
      const facts: (ClipPartialFact | ClipReadyFact)[] = [];
      const ranges = new ClipRanges({
        cameraId: 'porch',
        maxClipMs: maxClip * 100,
        keepMs: pre * 100 + TOLD_LATE_MS,
        meter: noMeter,
        idFor: (startUtcMs) => `${startUtcMs}-${facts.length}`,
        emit: (fact) => facts.push(fact),
      });
      const isLost = (i: number): boolean => lost.some(({ from, length }) => i >= from && i < from + length);
      const steps = events.flatMap(({ start, length, toldLate, closedLate }, i) => [
        {
          at: start + toldLate,
          run: () => ranges.open(`e${i}`, at(start * 100), at((start - pre) * 100)),
        },
        {
          at: start + Math.max(toldLate, length + closedLate),
          run: () => ranges.close(`e${i}`, at((start + length + post) * 100)),
        },
      ]);
      let done = 0;
      for (let batch = 0; done < packets.length; batch++) {
        const end = done + batches[batch % batches.length]!;
        for (let now = done; now < end; now++) {
          for (const step of steps) if (step.at === now) step.run();
        }
        const durable = packets.slice(done, end).filter((_, i) => !isLost(done + i));
        ranges.add([{ stream: info, video: durable, following: null, audio: [] }]);
        ranges.settle(at((end - 1) * 100));
        done = end;
      }
      ranges.finish();

      const clips = facts.filter((fact) => fact.type === 'clip.ready');
      for (const [i, { start, length }] of events.entries()) {
        const own = clips.filter(({ clip }) => clip.eventIds.includes(`e${i}`));
        for (let picture = 0; picture < 1000; picture++) {
          const isWanted = picture >= start - pre && picture < start + length + post && !isLost(picture);
          const held = own.filter(({ coverage }) => isIn(coverage, at(picture * 100))).length;
          if (!isWanted) continue;
          expect(held, `picture ${picture} of e${i}`).toBeGreaterThanOrEqual(1);
          // Twice only where another event was told of when the clip of its pre-roll was complete.
          if (events.length === 1) expect(held).toBe(1);
        }
      }
      for (const { clip, coverage } of clips) {
        const last = coverage.at(-1)!;
        expect(clip.durationMs).toBe(last.endUtcMs - clip.startUtcMs);
        expect(clip.durationMs).toBeLessThanOrEqual(maxClip * 100);
        // Nothing that no event asked for; one that goes on asks for all there is.
        for (let ms = coverage[0]!.startUtcMs; ms < last.endUtcMs; ms += 100) {
          const window = events.some(
            ({ start, length, toldLate, closedLate }) =>
              ms >= at((start - pre) * 100) &&
              ms <= at((start + Math.max(toldLate, length + Math.max(post, closedLate))) * 100),
          );
          expect(window).toBe(true);
        }
        expect(clip.eventIds).not.toEqual([]);
        const hasBegun = events.some(
          ({ start }, i) =>
            clip.eventIds.includes(`e${i}`) &&
            at(start * 100) >= clip.startUtcMs &&
            at(start * 100) < last.endUtcMs,
        );
        if (!hasBegun) continue;
        const before = facts.slice(
          0,
          facts.findIndex((fact) => fact.type === 'clip.ready' && fact.clip === clip),
        );
        expect(before.filter((fact) => fact.clip.clipId === clip.clipId).map(({ type }) => type)).toContain(
          'clip.partial',
        );
      }
      expect(new Set(clips.map(({ clip }) => clip.clipId)).size).toBe(clips.length);
    }),
    { numRuns: 100 },
  );
});

const isIn = (coverage: readonly Coverage[], utcMs: number): boolean =>
  coverage.some(({ startUtcMs, endUtcMs }) => utcMs >= startUtcMs && utcMs < endUtcMs);
