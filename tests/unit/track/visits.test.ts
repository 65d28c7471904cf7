import { expect, test } from 'vitest';
import type { EventFact } from '../../../device/contract/facts.ts';
import { live, phase, standing, UTC0, walker, type Thing } from './world.ts';

const CAR = [0.2, 0.18] as const;
const parkedAt = (x: number, y: number, score = 0.7): Thing => ({
  label: 'car',
  score,
  at: () => standing(x, y, CAR),
});
const stroll = walker({ from: [-0.03, 0.7], to: [1.03, 0.75], startMs: 3_000, endMs: 18_000 });

test('one walker is one event, from entering to leaving', () => {
  const { facts } = live({ things: [stroll], durationMs: 30_000 });
  expect(phase(facts, 'new')).toHaveLength(1);
  const [end] = phase(facts, 'end');
  expect(end?.event).toMatchObject({ label: 'person', endReason: 'gone', trackId: 1 });
  expect(end!.event.startUtcMs - UTC0).toBeLessThan(4_500);
  expect(end!.event.endUtcMs! - UTC0).toBeGreaterThan(16_500);
  expect(end!.event.endUtcMs).toBe(end!.event.lastSeenUtcMs);
});

test.each([1, 2, 3, 4, 5, 6, 7, 8])('30 %% missed looks do not split a visit (seed %i)', (seed) => {
  const { facts } = live({ things: [stroll], durationMs: 30_000, seed, missRate: 0.3, jitter: true });
  expect(phase(facts, 'new')).toHaveLength(1);
});

test.each([1, 2, 3, 4])('two looks a second are enough (seed %i)', (seed) => {
  const { facts } = live({
    things: [stroll],
    durationMs: 30_000,
    seed,
    stepMs: 500,
    jitter: true,
    missRate: 0.1,
  });
  expect(phase(facts, 'new')).toHaveLength(1);
});

test.each([1, 2, 3, 4, 5, 6])('walkers who cross keep their tracks (seed %i)', (seed) => {
  const right = walker({ from: [0.1, 0.7], to: [0.9, 0.7], startMs: 0, endMs: 12_000 });
  const left = walker({ from: [0.9, 0.74], to: [0.1, 0.74], startMs: 0, endMs: 12_000 });
  const { facts, tracker, endMs } = live({ things: [right, left], durationMs: 12_000, seed, missRate: 0.1 });
  expect(phase(facts, 'new')).toHaveLength(2);
  const ends = tracker.interrupt(UTC0 + endMs);
  const [first, second] = ends.map(({ event }) => [firstBox(facts, event.eventId), event.box[0]] as const);
  // Who began on the left ends on the right, and the other way round.
  expect(first![0] < 0.5).toBe(first![1] > 0.5);
  expect(second![0] < 0.5).toBe(second![1] > 0.5);
});

const firstBox = (facts: readonly EventFact[], id: string): number =>
  facts.find(({ event }) => event.eventId === id)!.event.box[0];

test('a walk behind a van of two and a half seconds is one visit', () => {
  const behind: Thing = { ...stroll, hidden: (ms) => ms > 9_000 && ms < 11_500 };
  expect(phase(live({ things: [behind], durationMs: 30_000 }).facts, 'new')).toHaveLength(1);
});

test('someone who stands for a minute, hardly stirring, stays one event and is called stationary', () => {
  const visitor: Thing = {
    label: 'person',
    score: 0.7,
    at(ms) {
      const x = ms < 5_000 ? ms / 10_000 : ms < 65_000 ? 0.5 : 0.5 + (ms - 65_000) / 10_000;
      return x < 1.05 ? standing(x, 0.8, [0.06, 0.3]) : null;
    },
    stirs: (ms) => ms % 4_000 < 400,
  };
  const { facts } = live({ things: [visitor], durationMs: 80_000, missRate: 0.2 });
  expect(facts.filter(({ phase }) => phase !== 'update').map(({ phase }) => phase)).toEqual(['new', 'end']);
  expect(facts.map(({ event }) => event.stationary)).toContain(true);
  expect(facts.at(-1)!.event.stationary).toBe(false);
});

test('a car that parks ends its event after half a minute and makes no other for six hours', () => {
  const HOUR = 3_600_000;
  const arriving: Thing = {
    label: 'car',
    score: 0.65,
    at: (ms) => standing(Math.min(0.5, ms / 10_000 - 0.1), 0.6, CAR),
    // Dark from the second hour to the fourth.
    hidden: (ms) => ms > 2 * HOUR && ms < 4 * HOUR,
  };
  const passers = Array.from({ length: 40 }, (_, k) =>
    walker({
      from: [-0.05, 0.66],
      to: [1.05, 0.66],
      startMs: (k + 1) * 500_000,
      endMs: (k + 1) * 500_000 + 9_000,
    }),
  );
  const { facts } = live({
    things: [arriving, ...passers],
    durationMs: 6 * HOUR,
    stepMs: 500,
    missRate: 0.2,
    boxNoise: 0.06,
  });
  const cars = facts.filter(({ event }) => event.label === 'car');
  expect(phase(cars, 'new')).toHaveLength(1);
  expect(phase(cars, 'end')[0]?.event.endReason).toBe('stationary');
  expect(phase(facts, 'new')).toHaveLength(1 + passers.length);
});

test('a parked car costs a look now and then, not one per picture', () => {
  const { looks } = live({ things: [parkedAt(0.5, 0.6)], durationMs: 600_000 });
  expect(looks).toBeGreaterThan(60);
  expect(looks).toBeLessThan(220);
});

test('a car that was parked from the start is silent until it drives away', () => {
  const leaving: Thing = {
    label: 'car',
    score: 0.7,
    at(ms) {
      const s = Math.max(0, ms - 120_000) / 1_000;
      const x = 0.3 + 0.04 * s * s;
      return x < 1.15 ? standing(x, 0.6, CAR) : null;
    },
  };
  const { facts } = live({ things: [leaving], durationMs: 140_000, missRate: 0.1 });
  const [begin] = facts;
  expect(phase(facts, 'new')).toHaveLength(1);
  expect(begin?.event.startUtcMs).toBeGreaterThanOrEqual(UTC0 + 120_000);
  expect(facts.at(-1)?.event.endReason).toBe('gone');
});

test.each([1, 2, 3])('a statue that many walk past is no event (seed %i)', (seed) => {
  const statue: Thing = { label: 'person', score: 0.6, at: () => standing(0.4, 0.6, [0.06, 0.25]) };
  const passers = Array.from({ length: 12 }, (_, k) =>
    walker({ from: [-0.03, 0.8], to: [1.03, 0.8], startMs: 20_000 + k * 20_000, endMs: 32_000 + k * 20_000 }),
  );
  const { facts } = live({ things: [statue, ...passers], durationMs: 270_000, seed, missRate: 0.2 });
  const statues = phase(facts, 'end').filter(({ event }) => Math.abs(event.best.box[3] - 0.6) < 0.02);
  expect(statues).toHaveLength(0);
  expect(phase(facts, 'new').length).toBeLessThanOrEqual(passers.length + 1);
});

test('a poster seen now and then is no event', () => {
  const poster: Thing = {
    label: 'person',
    score: 0.45,
    at: () => standing(0.4, 0.6, [0.06, 0.25]),
    stirs: (ms) => ms % 60_000 < 1_000,
  };
  const { facts } = live({ things: [poster], durationMs: 1_800_000, stepMs: 500, missRate: 0.6, seed: 3 });
  expect(phase(facts, 'new').length).toBeLessThanOrEqual(1);
});

test('strong evidence is published on the second sighting at the latest', () => {
  const { facts } = live({ things: [{ ...stroll, score: 0.75 }], durationMs: 20_000, scoreNoise: 0.04 });
  const [begin] = facts;
  expect(begin!.event.lastSeenMediaMs - begin!.event.startMediaMs).toBeLessThanOrEqual(200);
});

test('weak evidence waits, and is believed in the end', () => {
  const { facts } = live({ things: [{ ...stroll, score: 0.42 }], durationMs: 20_000, scoreNoise: 0.06 });
  const waitedMs = facts[0]!.event.lastSeenMediaMs - facts[0]!.event.startMediaMs;
  expect(waitedMs).toBeGreaterThanOrEqual(600);
  expect(waitedMs).toBeLessThanOrEqual(4_000);
});

test('scattered false alarms make no event', () => {
  const { facts } = live({ things: [], durationMs: 600_000, falseRate: 0.5, seed: 5 });
  expect(facts).toHaveLength(0);
});

test('a parked car does not swallow the one that passes in front of it', () => {
  const passing = walker({
    label: 'car',
    from: [-0.1, 0.64],
    to: [1.1, 0.64],
    startMs: 60_000,
    endMs: 66_000,
    size: [0.22, 0.2],
  });
  const hiddenBehind: Thing = {
    ...parkedAt(0.5, 0.6),
    hidden: (ms) => Math.abs(ms - 63_000) < 700,
  };
  const { facts } = live({ things: [hiddenBehind, passing], durationMs: 120_000 });
  expect(phase(facts, 'new')).toHaveLength(1);
  expect(phase(facts, 'end')[0]?.event.endReason).toBe('gone');
  expect(phase(facts, 'end')[0]!.event.endUtcMs! - UTC0).toBeGreaterThan(65_000);
});

test('a car that drives away after a dark hour is the same object and a new event', () => {
  const HOUR = 3_600_000;
  const visitor: Thing = {
    label: 'car',
    score: 0.7,
    at(ms) {
      const s = Math.max(0, ms - 2 * HOUR) / 1_000;
      const x = Math.min(0.4, ms / 10_000 - 0.1) + 0.03 * s * s;
      return x < 1.15 ? standing(x, 0.6, CAR) : null;
    },
    hidden: (ms) => ms > 0.2 * HOUR && ms < 1.5 * HOUR,
  };
  const { facts } = live({ things: [visitor], durationMs: 2 * HOUR + 20_000 });
  const ends = phase(facts, 'end').map(({ event }) => [event.trackId, event.endReason]);
  expect(ends).toEqual([
    [1, 'stationary'],
    [1, 'gone'],
  ]);
  expect(new Set(facts.map(({ event }) => event.eventId)).size).toBe(2);
});

test('a bin that looks like a person now and then does not become one because someone passes', () => {
  const appears = (ms: number): boolean => ms % 20_000 < 1_600;
  const bin: Thing = {
    label: 'person',
    score: 0.65,
    at: () => standing(0.4, 0.6, [0.06, 0.25]),
    hidden: (ms) => !appears(ms),
    stirs: (ms) => ms > 15_000 && appears(ms),
  };
  expect(live({ things: [bin], durationMs: 300_000 }).facts).toEqual([]);
});

test('three trees that sway all day do not keep the detector from someone at the other end', () => {
  const tree = (x: number): Thing => ({
    label: 'tree',
    score: 0,
    at: () => standing(x, 0.5, [0.04, 0.08]),
    hidden: () => true,
    stirs: () => true,
  });
  const visitor = walker({
    from: [0.75, 0.9],
    to: [0.95, 0.9],
    startMs: 11_000,
    endMs: 19_000,
    size: [0.03, 0.1],
  });
  const { facts } = live({
    things: [tree(0.05), tree(0.3), tree(0.55), visitor],
    durationMs: 19_000,
    picture: { width: 3840, height: 2160 },
  });
  expect(phase(facts, 'new')).toHaveLength(1);
});
