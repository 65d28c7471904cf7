import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Box } from '../../../device/contract/geometry.ts';
import { boxPolygon } from '../../../device/contract/settings.ts';
import { associate } from '../../../device/track/associate.ts';
import { assign } from '../../../device/track/assignment.ts';
import { Belief, evidence } from '../../../device/track/belief.ts';
import { displacement } from '../../../device/track/displacement.ts';
import { BoxFilter } from '../../../device/track/kalman.ts';
import { sightingsOf, wouldShow, type Sighting } from '../../../device/track/sightings.ts';
import { Track } from '../../../device/track/track.ts';
import { ZonePresence } from '../../../device/track/zones.ts';

/** Cheapest total by trying everything. */
function cheapest(
  cost: readonly (readonly number[])[],
  alone: number,
  row = 0,
  used = new Set<number>(),
): number {
  if (row === cost.length) return 0;
  let best = alone + cheapest(cost, alone, row + 1, used);
  for (const [column, price] of cost[row]!.entries()) {
    if (used.has(column) || price === Infinity) continue;
    best = Math.min(best, price + cheapest(cost, alone, row + 1, new Set([...used, column])));
  }
  return best;
}

test('an assignment is the cheapest there is, and uses no column twice', () => {
  const price = fc.oneof(fc.double({ min: 0, max: 2, noNaN: true }), fc.constant(Infinity));
  const matrix = fc
    .integer({ min: 0, max: 5 })
    .chain((columns) =>
      fc.array(fc.array(price, { minLength: columns, maxLength: columns }), { maxLength: 5 }),
    );
  fc.assert(
    fc.property(matrix, (cost) => {
      const columns = assign(cost, 0.95);
      const taken = columns.filter((column) => column >= 0);
      expect(new Set(taken).size).toBe(taken.length);
      const total = columns.reduce((sum, column, row) => sum + (column < 0 ? 0.95 : cost[row]![column]!), 0);
      expect(total).toBeCloseTo(cheapest(cost, 0.95), 9);
    }),
  );
});

test('evidence grows with the score; belief stays a probability and never runs away', () => {
  const sightings = fc.array(
    fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.constantFrom('moving', 'still', 'miss')),
    { maxLength: 200 },
  );
  fc.assert(
    fc.property(fc.double({ min: 0, max: 0.99, noNaN: true }), (s) => evidence(s) <= evidence(s + 0.01)),
  );
  fc.assert(
    fc.property(sightings, (all) => {
      const belief = new Belief();
      let best = 0;
      for (const [score, how] of all) {
        if (how === 'miss') belief.miss();
        else belief.see(score, how === 'moving');
        best = Math.max(best, belief.logOdds);
        expect(belief.score > 0 && belief.score < 1).toBe(true);
      }
      expect(best).toBeLessThanOrEqual(8);
    }),
  );
});

test('no number of sightings of a thing that never moves is enough', () => {
  const belief = new Belief();
  for (let k = 0; k < 10_000; k++) belief.see(0.95, false);
  expect(belief.accepted).toBe(false);
});

test('an occluder does not displace, a shift does, a thing that comes nearer does', () => {
  const anchor: Box = [0.4, 0.4, 0.6, 0.5];
  expect(displacement(anchor, [0.5, 0.4, 0.6, 0.5])).toBe(0);
  expect(displacement(anchor, [0.4, 0.4, 0.45, 0.5])).toBe(0);
  expect(displacement(anchor, [0.45, 0.4, 0.55, 0.5])).toBe(0);
  expect(displacement(anchor, [0.45, 0.4, 0.65, 0.5])).toBeCloseTo(0.25);
  expect(displacement(anchor, [0.35, 0.375, 0.65, 0.525])).toBeCloseTo(Math.log(1.5));
});

test('a filter learns the pace of what passes and expects it where it will be', () => {
  fc.assert(
    fc.property(
      fc.double({ min: -0.1, max: 0.1, noNaN: true }),
      fc.integer({ min: 100, max: 700 }),
      (speed, stepMs) => {
        const boxAt = (ms: number): Box => [0.4 + (speed * ms) / 1000, 0.3, 0.45 + (speed * ms) / 1000, 0.5];
        const filter = new BoxFilter(boxAt(0), 16 / 9, true);
        let ms = 0;
        for (let k = 0; k < 12; k++) {
          ms += stepMs;
          filter.predict(stepMs / 1000, false);
          filter.correct(boxAt(ms), false);
        }
        expect(filter.box(0.5)[0]).toBeCloseTo(boxAt(ms + 500)[0], 1.5);
        expect(filter.distance(boxAt(ms), false)).toBeLessThan(1);
        expect(filter.box()[3] - filter.box()[1]).toBeCloseTo(0.2, 6);
      },
    ),
  );
});

const picture = { width: 1000, height: 1000 };
const modelInput = { width: 500, height: 500 };
const left = { x: 0, y: 0, width: 500, height: 500 };
const right = { x: 300, y: 0, width: 500, height: 500 };

test('of two boxes for one object the one that no edge cuts is kept', () => {
  // At 350..600 px: the left square sees it up to 500, the right one whole.
  const detections = [
    [{ label: 'person', score: 0.9, box: [0.7, 0.2, 1, 0.6] as Box }],
    [{ label: 'person', score: 0.7, box: [0.1, 0.2, 0.6, 0.6] as Box }],
  ];
  const seen = sightingsOf({ picture, modelInput, regions: [left, right], detections });
  expect(seen).toHaveLength(1);
  expect(seen[0]).toMatchObject({ clipped: false, score: 0.7 });
  expect(seen[0]!.box[2]).toBeCloseTo(0.6);
});

test('car and truck in one place are one object, a person in front of a car is another', () => {
  const box: Box = [0.2, 0.2, 0.6, 0.6];
  const seen = (labels: string[]): string[] =>
    sightingsOf({
      picture,
      modelInput,
      regions: [left],
      detections: [labels.map((label, k) => ({ label, score: 0.8 - 0.1 * k, box }))],
    }).map(({ label }) => label);
  expect(seen(['car', 'truck'])).toEqual(['car']);
  expect(seen(['person', 'dog'])).toEqual(['person']);
  expect(seen(['person', 'car'])).toEqual(['person', 'car']);
});

test('not seeing something means nothing unless a square would have shown it large enough', () => {
  const look = { picture, modelInput, regions: [left] };
  expect(wouldShow([0.1, 0.1, 0.2, 0.3], look)).toBe(true);
  expect(wouldShow([0.6, 0.1, 0.7, 0.3], look)).toBe(false);
  expect(wouldShow([0.45, 0.1, 0.65, 0.3], look)).toBe(false);
  expect(wouldShow([0.1, 0.1, 0.11, 0.11], look)).toBe(false);
});

test('a zone is entered at once where the object is first seen, later with the second sighting', () => {
  const zones = new ZonePresence([
    { id: 'gate', name: 'Gate', area: boxPolygon([0.5, 0, 1, 1]), labels: ['person'], action: 'observe' },
  ]);
  const feetAt = (x: number): Box => [x - 0.05, 0.3, x + 0.05, 0.6];
  expect(zones.see(feetAt(0.6), 'person')).toBe(true);
  expect(zones.see(feetAt(0.4), 'person')).toBe(false);
  expect(zones.see(feetAt(0.6), 'person')).toBe(false);
  expect(zones.see(feetAt(0.4), 'person')).toBe(false);
  expect(zones.inside).toEqual(['gate']);
  expect(zones.see(feetAt(0.4), 'person')).toBe(true);
  expect(zones.inside).toEqual([]);
  expect(zones.entered).toEqual(['gate']);
  expect(new ZonePresence([]).allows('person')).toBe(true);
});

test('a sighting beside a place where a car rests is not that car; one that overlaps it is', () => {
  const sighting = (x: number): Sighting => ({
    label: 'car',
    score: 0.8,
    box: [x, 0.4, x + 0.2, 0.6],
    clipped: false,
    region: 0,
  });
  const resting = (): Track => {
    const moment = { mediaMs: 0, utcMs: 0 };
    const track = new Track({
      trackId: 1,
      sighting: sighting(0.3),
      moment,
      aspect: 1,
      zones: [],
      suspect: false,
    });
    track.rest();
    track.predict(8_000);
    return track;
  };
  expect(associate([resting()], [sighting(0.5)], [], 8_000).strangers).toHaveLength(1);
  expect(associate([resting()], [sighting(0.36)], [], 8_000).strangers).toEqual([]);
});

test('weak sightings continue a track where it is expected, and begin none', () => {
  const seen: Sighting = {
    label: 'person',
    score: 0.8,
    box: [0.3, 0.3, 0.4, 0.6],
    clipped: false,
    region: 0,
  };
  const moment = { mediaMs: 0, utcMs: 0 };
  const track = new Track({ trackId: 1, sighting: seen, moment, aspect: 1, zones: [], suspect: false });
  const weak = { ...seen, score: 0.2 };
  const { pairs, strangers } = associate([track], [], [weak, { ...weak, box: [0.7, 0.3, 0.8, 0.6] }], 200);
  expect(pairs.get(track)).toBe(weak);
  expect(strangers).toEqual([]);
});
