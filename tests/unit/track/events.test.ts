import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { EventFact } from '../../../device/contract/facts.ts';
import type { Box } from '../../../device/contract/geometry.ts';
import { boxPolygon, type ZoneSettings } from '../../../device/contract/settings.ts';
import { createTracker } from '../../../device/track/index.ts';
import { DETECTION, live, phase, UTC0, walker, type World } from './world.ts';

const stroll = walker({ from: [-0.03, 0.7], to: [1.03, 0.75], startMs: 1_000, endMs: 16_000 });
const zone = (action: ZoneSettings['action'], area: Box, labels: string[] = []): ZoneSettings => ({
  id: `${action}-zone`,
  name: action,
  area: boxPolygon(area),
  labels,
  action,
});

const fraction = fc.double({ min: 0, max: 1, noNaN: true });
const anyWorld: fc.Arbitrary<World> = fc.record({
  things: fc.array(
    fc
      .record({
        from: fc.tuple(fraction, fraction),
        to: fc.tuple(fraction, fraction),
        startMs: fc.integer({ min: 0, max: 8_000 }),
        lasts: fc.integer({ min: 500, max: 20_000 }),
        score: fc.double({ min: 0.2, max: 0.95, noNaN: true }),
        label: fc.constantFrom('person', 'car', 'truck', 'dog', 'kite'),
      })
      .map(({ lasts, ...path }) => walker({ ...path, endMs: path.startMs + lasts })),
    { maxLength: 5 },
  ),
  durationMs: fc.constant(25_000),
  stepMs: fc.integer({ min: 100, max: 900 }),
  seed: fc.integer(),
  jitter: fc.boolean(),
  missRate: fc.double({ min: 0, max: 0.6, noNaN: true }),
  falseRate: fc.double({ min: 0, max: 0.5, noNaN: true }),
  picture: fc.constantFrom({ width: 768, height: 576 }, { width: 1920, height: 1080 }),
  zones: fc.constantFrom(
    [],
    [zone('exclude', [0, 0, 0.5, 1])],
    [zone('include', [0.3, 0, 0.8, 1], ['person'])],
  ),
});

function grammar(facts: readonly EventFact[]): void {
  const open = new Map<string, EventFact>();
  const ended = new Set<string>();
  for (const fact of facts) {
    const { eventId, box, startUtcMs, lastSeenUtcMs, endUtcMs, score, enteredZones, zones } = fact.event;
    if (fact.phase === 'new') {
      expect(open.has(eventId) || ended.has(eventId)).toBe(false);
      expect(DETECTION.labels).toContain(fact.event.label);
    } else expect(open.has(eventId)).toBe(true);
    open.set(eventId, fact);
    if (fact.phase === 'end') {
      open.delete(eventId);
      ended.add(eventId);
      expect(endUtcMs).toBeGreaterThanOrEqual(lastSeenUtcMs);
    } else expect(endUtcMs).toBeNull();
    expect(startUtcMs).toBeLessThanOrEqual(lastSeenUtcMs);
    expect(score > 0 && score < 1).toBe(true);
    expect(Math.min(...box) >= 0 && Math.max(...box) <= 1).toBe(true);
    for (const id of zones) expect(enteredZones).toContain(id);
  }
  expect(open.size).toBe(0);
}

test('whatever happens: new, then updates, then exactly one end; and the same again with the same input', () => {
  fc.assert(
    fc.property(anyWorld, (world) => {
      const story = live(world);
      grammar([...story.facts, ...story.tracker.interrupt(UTC0 + story.endMs)]);
      expect(story.tracker.interrupt(UTC0 + story.endMs)).toEqual([]);
      expect(live(world).facts).toEqual(story.facts);
    }),
    { numRuns: 60 },
  );
});

test('updates of one event come at most once a second', () => {
  const corridor = [0, 1, 2, 3, 4].map((k): ZoneSettings => {
    const area = boxPolygon([k / 5, 0, k / 5 + 0.1, 1]);
    return { id: `z${k}`, name: `${k}`, area, labels: [], action: 'observe' };
  });
  const { facts } = live({ things: [stroll], durationMs: 25_000, zones: corridor, stepMs: 100 });
  const times = facts.filter(({ phase }) => phase !== 'end').map(({ event }) => event.lastSeenMediaMs);
  expect(times.length).toBeGreaterThan(4);
  for (let k = 1; k < times.length; k++) expect(times[k]! - times[k - 1]!).toBeGreaterThanOrEqual(1_000);
  expect(facts.at(-1)!.event.enteredZones).toEqual(['z0', 'z1', 'z2', 'z3', 'z4']);
});

test('an exclude zone is silent; who leaves it becomes an event there', () => {
  const everywhere = live({ things: [stroll], durationMs: 25_000, zones: [zone('exclude', [0, 0, 1, 1])] });
  expect(everywhere.facts).toEqual([]);
  const { facts } = live({ things: [stroll], durationMs: 25_000, zones: [zone('exclude', [0, 0, 0.5, 1])] });
  expect(phase(facts, 'new')).toHaveLength(1);
  expect(facts[0]!.event.startUtcMs - UTC0).toBeGreaterThan(7_500);
  expect(facts[0]!.event.box[0]).toBeGreaterThan(0.4);
});

test('include zones count for their labels only', () => {
  const zones = [zone('include', [0, 0, 0.3, 0.3], ['person'])];
  expect(live({ things: [stroll], durationMs: 25_000, zones }).facts).toEqual([]);
  const dog = { ...stroll, label: 'dog' };
  expect(phase(live({ things: [dog], durationMs: 25_000, zones }).facts, 'new')).toHaveLength(1);
});

test('labels, sizes and scores that are not wanted make no event', () => {
  const none = (detection: World['detection']): number =>
    live({ things: [stroll], durationMs: 25_000, detection: { ...detection } }).facts.length;
  expect(none({ labels: ['car'] })).toBe(0);
  expect(none({ filters: { person: { minScore: 0.35, minArea: 0.02, maxArea: 1 } } })).toBe(0);
  expect(none({ filters: { person: { minScore: 0.35, minArea: 0, maxArea: 0.005 } } })).toBe(0);
  expect(none({ filters: { person: { minScore: 0.95, minArea: 0, maxArea: 1 } } })).toBe(0);
  expect(none({ filters: { car: { minScore: 0.99, minArea: 0, maxArea: 0 } } })).toBeGreaterThan(0);
});

test('event ids begin with the start in UTC and sort by it', () => {
  const again = walker({ from: [1.03, 0.6], to: [-0.03, 0.6], startMs: 25_000, endMs: 40_000 });
  const { facts } = live({ things: [stroll, again], durationMs: 50_000 });
  const ids = phase(facts, 'new').map(({ event }) => event.eventId);
  expect(ids[0]).toMatch(/^20260301T12000\d{4}Z-r1-1$/);
  expect(ids).toHaveLength(2);
  expect([...ids].sort()).toEqual(ids);
});

/** A tracker, and someone who walks from left to right, seen at the given times. */
function stroller() {
  const picture = { width: 640, height: 480 };
  const tracker = createTracker({ cameraId: 'yard', run: 'r1', detection: DETECTION, zones: [] });
  const see = (ms: number, score: number): readonly EventFact[] => {
    const x = 0.1 + ms / 20_000;
    const box: Box = [x, 0.3, x + 0.1, 0.6];
    return tracker.update({
      mediaMs: ms,
      utcMs: UTC0 + ms,
      arrivedUtcMs: UTC0 + ms + 50,
      picture,
      modelInput: { width: 640, height: 640 },
      regions: [{ x: 0, y: -80, width: 640, height: 640 }],
      detections: [[{ label: 'person', score, box: [x, 0.3 * 0.75 + 0.125, x + 0.1, 0.6 * 0.75 + 0.125] }]],
      motion: [{ box, score: 0.8 }],
    });
  };
  return { tracker, see };
}

test('stills: one at once, better ones sparingly; written ones are told while the event is open', () => {
  const { tracker, see } = stroller();
  const [begin] = [...see(0, 0.6), ...see(200, 0.62), ...see(400, 0.6)];
  const id = begin!.event.eventId;
  expect(begin!.frameArrivedUtcMs).toBe(begin!.event.lastSeenUtcMs + 50);
  expect(tracker.takeBest().map(({ eventId }) => eventId)).toEqual([id]);
  see(600, 0.63);
  see(1_500, 0.64);
  expect(tracker.takeBest()).toEqual([]);
  see(1_800, 0.9);
  const [shot] = tracker.takeBest();
  expect(shot).toMatchObject({ eventId: id, utcMs: UTC0 + 1_800 });
  expect(tracker.setStill(id, 'media/stills/a.jpg')).toMatchObject({
    phase: 'update',
    event: { eventId: id, stillPath: 'media/stills/a.jpg', best: { mediaMs: 1_800, score: 0.9 } },
  });
  const [end] = tracker.interrupt(UTC0 + 2_000);
  expect(end?.event).toMatchObject({
    endReason: 'interrupted',
    endUtcMs: UTC0 + 2_000,
    stillPath: 'media/stills/a.jpg',
  });
  expect(tracker.setStill(id, 'media/stills/b.jpg')).toBeNull();
});

test('a best moment without a picture gives way to the next sighting, until there is a still', () => {
  const { tracker, see } = stroller();
  const [begin] = [...see(0, 0.9), ...see(200, 0.9)];
  const id = begin!.event.eventId;
  expect(tracker.takeBest()).toMatchObject([{ eventId: id, utcMs: UTC0 }]);
  tracker.loseShot(id);
  tracker.tick({ mediaMs: 300, utcMs: UTC0 + 300 });
  expect(tracker.takeBest()).toEqual([]);
  see(400, 0.7);
  expect(tracker.takeBest()).toMatchObject([{ eventId: id, utcMs: UTC0 + 400 }]);
  expect(tracker.setStill(id, 'media/stills/a.jpg')!.event.best).toMatchObject({ mediaMs: 400, score: 0.7 });
  tracker.loseShot(id);
  see(600, 0.7);
  expect(tracker.takeBest()).toEqual([]);
  tracker.loseShot('unknown');
});

test('time alone ends what nobody could look at', () => {
  const { tracker, endMs } = live({ things: [{ ...stroll, at: (ms) => stroll.at(ms) }], durationMs: 8_000 });
  expect(tracker.tick({ mediaMs: endMs + 10_000, utcMs: UTC0 + endMs + 10_000 })).toEqual([]);
  const facts = tracker.tick({ mediaMs: endMs + 40_000, utcMs: UTC0 + endMs + 40_000 });
  expect(facts.map(({ phase, event }) => [phase, event.endReason])).toEqual([['end', 'gone']]);
  expect(facts[0]!.event.endUtcMs! - UTC0).toBeLessThan(8_000);
});
