import fc from 'fast-check';
import { expect, test } from 'vitest';
import { FairSchedule, type Turn } from '../../../device/detect/schedule.ts';

interface TestJob {
  readonly name: string;
  readonly lane: string;
  readonly units: number;
}

const job = (lane: string, name: string, units = 1): TestJob => ({ lane, name, units });
const names = (turns: readonly (Turn<TestJob> | null)[]) =>
  turns.map((turn) => turn && `${turn.job.name}.${turn.unit}`);
const takeAll = (schedule: FairSchedule<TestJob>) => {
  const turns: Turn<TestJob>[] = [];
  for (let turn = schedule.take(); turn; turn = schedule.take()) turns.push(turn);
  return names(turns);
};

test('cameras take turns, one crop a turn', () => {
  const schedule = new FairSchedule<TestJob>();
  schedule.offer('a', job('a', 'a1', 3));
  schedule.offer('b', job('b', 'b1', 1));
  schedule.offer('c', job('c', 'c1', 2));
  expect(takeAll(schedule)).toEqual(['a1.0', 'b1.0', 'c1.0', 'a1.1', 'c1.1', 'a1.2']);
});

test('a newer request takes the place of the one that waits, not of the one that has begun', () => {
  const schedule = new FairSchedule<TestJob>();
  const [first, second, third] = [job('a', 'a1', 2), job('a', 'a2'), job('a', 'a3')];
  expect(schedule.offer('a', first)).toBeNull();
  expect(names([schedule.take()])).toEqual(['a1.0']);
  expect(schedule.offer('a', second)).toBeNull();
  expect(schedule.offer('a', third)).toBe(second);
  expect(takeAll(schedule)).toEqual(['a1.1']);
  schedule.finish('a', first);
  expect(takeAll(schedule)).toEqual(['a3.0']);
});

test('a request that is given up is not worked on any more', () => {
  const schedule = new FairSchedule<TestJob>();
  const broken = job('a', 'a1', 3);
  schedule.offer('a', broken);
  schedule.take();
  schedule.finish('a', broken);
  expect(takeAll(schedule)).toEqual([]);
});

test('a camera that leaves takes its requests along', () => {
  const schedule = new FairSchedule<TestJob>();
  const [begun, waiting] = [job('a', 'a1', 2), job('a', 'a2')];
  schedule.offer('a', begun);
  schedule.take();
  schedule.offer('a', waiting);
  expect(schedule.leave('a')).toEqual([begun, waiting]);
  expect(takeAll(schedule)).toEqual([]);
});

/** What may happen to a schedule, with cameras 0..4. */
const happening = fc.oneof(
  fc.record({
    type: fc.constant('offer'),
    lane: fc.integer({ min: 0, max: 4 }),
    units: fc.integer({ min: 1, max: 3 }),
  }),
  fc.record({ type: fc.constant('take') }),
  fc.record({ type: fc.constant('finish'), pick: fc.nat() }),
  fc.record({ type: fc.constant('leave'), lane: fc.integer({ min: 0, max: 4 }) }),
) as fc.Arbitrary<
  | { type: 'offer'; lane: number; units: number }
  | { type: 'take' }
  | { type: 'finish'; pick: number }
  | { type: 'leave'; lane: number }
>;

test('every request ends exactly once, every crop is taken at most once, and little is held', () => {
  fc.assert(
    fc.property(fc.array(happening, { maxLength: 120 }), (happenings) => {
      const schedule = new FairSchedule<TestJob>();
      const offered = new Set<TestJob>();
      const ended: TestJob[] = [];
      const taken = new Map<TestJob, number[]>();
      for (const [index, it] of happenings.entries()) {
        if (it.type === 'offer') {
          const lane = String(it.lane);
          const made = job(lane, `${lane}-${index}`, it.units);
          offered.add(made);
          const superseded = schedule.offer(lane, made);
          if (superseded) {
            expect(taken.has(superseded), 'nothing that has begun is superseded').toBe(false);
            ended.push(superseded);
          }
        } else if (it.type === 'take') {
          const turn = schedule.take();
          if (turn) taken.set(turn.job, [...(taken.get(turn.job) ?? []), turn.unit]);
        } else if (it.type === 'leave') ended.push(...schedule.leave(String(it.lane)));
        else {
          const done = [...taken].filter(
            ([one, units]) => units.length === one.units && !ended.includes(one),
          );
          const [chosen] = done[it.pick % Math.max(1, done.length)] ?? [];
          if (chosen) {
            schedule.finish(chosen.lane, chosen);
            ended.push(chosen);
          }
        }
        expect(offered.size - ended.length, 'one begun and one waiting per camera').toBeLessThanOrEqual(
          5 * 2,
        );
      }
      ended.push(...schedule.clear());
      expect(new Set(ended).size).toBe(ended.length);
      expect(new Set(ended)).toEqual(offered);
      for (const [one, units] of taken) expect(units).toEqual(units.map((_, i) => i).slice(0, one.units));
    }),
  );
});

test('no camera starves: whoever has work is served after each other camera was served at most once', () => {
  fc.assert(
    fc.property(
      fc.array(fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 6 }), {
        minLength: 2,
        maxLength: 8,
      }),
      (cameras) => {
        const schedule = new FairSchedule<TestJob>();
        const left = new Map(cameras.map((units, i) => [String(i), [...units]]));
        const next = (lane: string): void => {
          const units = left.get(lane)?.shift();
          if (units !== undefined) schedule.offer(lane, job(lane, lane, units));
        };
        for (const lane of left.keys()) next(lane);
        const waitedFor = new Map<string, string[]>([...left.keys()].map((lane) => [lane, []]));
        for (let turn = schedule.take(); turn; turn = schedule.take()) {
          const { lane, units } = turn.job;
          for (const others of waitedFor.values()) others.push(lane);
          const others = waitedFor.get(lane)!.slice(0, -1);
          expect(new Set(others).size, `${lane} waited for ${others.join()}`).toBe(others.length);
          waitedFor.set(lane, []);
          if (turn.unit === units - 1) {
            schedule.finish(lane, turn.job);
            if (left.get(lane)!.length === 0) waitedFor.delete(lane);
            next(lane);
          }
        }
        expect([...left.values()].flat()).toEqual([]);
      },
    ),
  );
});
