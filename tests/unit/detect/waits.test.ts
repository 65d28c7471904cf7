import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Waits } from '../../../device/detect/waits.ts';

test('a lane that is answered again and again is not starved, however many of its requests make way', () => {
  const waits = new Waits();
  for (let ms = 0; ms < 10_000; ms += 100) {
    waits.asked('fast', ms);
    if (ms % 500 === 400) waits.answered('fast', ms, true);
  }
  expect(waits.takeLongest(10_000)).toBe(500);
});

test('whoever waits and gets nothing is seen while it waits, and once more when it was answered', () => {
  const waits = new Waits();
  waits.asked('lucky', 0);
  waits.asked('starved', 1000);
  waits.answered('lucky', 1200, false);
  expect(waits.takeLongest(4000)).toBe(3000);
  waits.answered('starved', 6000, false);
  expect(waits.takeLongest(20_000)).toBe(5000);
  expect(waits.takeLongest(30_000)).toBe(0);
});

test('who left waits no more', () => {
  const waits = new Waits();
  waits.asked('gone', 0);
  waits.left('gone');
  expect(waits.takeLongest(9000)).toBe(0);
});

test('the longest wait is that of the lane that waited longest', () => {
  const step = fc.record({ lane: fc.constantFrom('a', 'b', 'c'), answered: fc.boolean() });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const waits = new Waits();
      const since = new Map<string, number>();
      let longest = 0;
      for (const [ms, { lane, answered }] of steps.entries()) {
        const from = since.get(lane);
        if (!answered) {
          waits.asked(lane, ms);
          since.set(lane, from ?? ms);
        } else {
          waits.answered(lane, ms, false);
          if (from !== undefined) longest = Math.max(longest, ms - from);
          since.delete(lane);
        }
      }
      for (const from of since.values()) longest = Math.max(longest, steps.length - from);
      expect(waits.takeLongest(steps.length)).toBe(longest);
    }),
  );
});
