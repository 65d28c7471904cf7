import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Waits } from '../../../device/detect/waits.ts';

test('a lane that is answered again and again is not starved, however many of its requests make way', () => {
  const waits = new Waits();
  waits.asked('fast', 0);
  for (let ms = 100; ms < 10_000; ms += 100) {
    waits.asked('fast', ms);
    waits.settled('fast', ms, ms % 500 === 0);
  }
  expect(waits.takeLongest(10_000)).toBe(500);
});

test('whoever waits and gets nothing is seen while it waits, and once more when it was answered', () => {
  const waits = new Waits();
  waits.asked('lucky', 0);
  waits.asked('starved', 1000);
  waits.settled('lucky', 1200, true);
  expect(waits.takeLongest(4000)).toBe(3000);
  waits.settled('starved', 6000, true);
  expect(waits.takeLongest(20_000)).toBe(5000);
  expect(waits.takeLongest(30_000)).toBe(0);
});

test('who left waits no more, whatever is settled later', () => {
  const waits = new Waits();
  waits.asked('gone', 0);
  waits.left('gone');
  waits.settled('gone', 5000, true);
  expect(waits.takeLongest(9000)).toBe(0);
});

test('the longest wait is the longest time without an answer in which something was asked for', () => {
  const step = fc.record({
    lane: fc.constantFrom('a', 'b'),
    what: fc.constantFrom('asked', 'answered', 'superseded'),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      const waits = new Waits();
      const lanes = new Map([
        ['a', [0, 0]],
        ['b', [0, 0]],
      ] as [string, [number, number]][]);
      let longest = 0;
      for (const [ms, { lane, what }] of steps.entries()) {
        const [pending, since] = lanes.get(lane)!;
        if (what === 'asked') {
          waits.asked(lane, ms);
          lanes.set(lane, [pending + 1, pending === 0 ? ms : since]);
        } else if (pending > 0) {
          waits.settled(lane, ms, what === 'answered');
          const isOver = what === 'answered' || pending === 1;
          if (isOver) longest = Math.max(longest, ms - since);
          lanes.set(lane, [pending - 1, isOver ? ms : since]);
        }
      }
      for (const [pending, since] of lanes.values()) {
        if (pending > 0) longest = Math.max(longest, steps.length - since);
      }
      expect(waits.takeLongest(steps.length)).toBe(longest);
    }),
  );
});
