import { expect, test } from 'vitest';
import { WallAnchor } from '../../../device/capture/wall-anchor.ts';

const START = 1_700_000_000_000;

/** A camera of 10 pictures a second; `lateMs` says how late each arrives, in stream time. */
function play(anchor: WallAnchor, seconds: number, lateMs: (streamMs: number) => number): number[] {
  const utc: number[] = [];
  for (let streamMs = 0; streamMs <= seconds * 1000; streamMs += 100) {
    anchor.arrive(streamMs, START + streamMs + lateMs(streamMs));
    utc.push(anchor.utcMs(streamMs));
  }
  return utc;
}

test('jitter of the network does not reach wall time', () => {
  const utc = play(new WallAnchor({ slews: true }), 60, (ms) => (ms * 7919) % 400);
  expect(utc).toEqual(utc.map((_, index) => START + index * 100));
});

test('a camera whose clock is slow is followed gently, and time never runs back', () => {
  // 10 ms more each second, far worse than any real camera.
  const utc = play(new WallAnchor({ slews: true }), 600, (ms) => ms / 100);
  const steps = utc.slice(1).map((ms, index) => ms - utc[index]!);
  expect(Math.min(...steps)).toBeGreaterThanOrEqual(99);
  expect(Math.max(...steps)).toBeLessThanOrEqual(101.001);
  expect(Math.abs(utc.at(-1)! - (START + 600_000 + 6000))).toBeLessThan(700);
});

test('a clock that is set is noticed, drift is not mistaken for it', () => {
  const drifting = new WallAnchor({ slews: true });
  play(drifting, 60, (ms) => ms / 100);
  expect(drifting.broken).toBe(false);
  const set = new WallAnchor({ slews: true });
  play(set, 60, (ms) => (ms > 20_000 ? 3_600_000 : 0));
  expect(set.broken).toBe(true);
});

test('footage keeps its first anchor however it arrives', () => {
  const utc = play(new WallAnchor({ slews: false }), 60, (ms) => ms * 3);
  expect(utc.at(-1)).toBe(START + 60_000);
});

test('after a burst that ran ahead of the clock, the next generation begins where it ended', () => {
  const first = new WallAnchor({ slews: true });
  for (const streamMs of [0, 100, 200, 300]) first.arrive(streamMs, 1000);
  const next = (nowUtcMs: number): number => {
    const anchor = new WallAnchor({ slews: true, after: first });
    anchor.arrive(7, nowUtcMs);
    return anchor.utcMs(7);
  };
  expect(next(1200)).toBe(1400);
  expect(next(1500)).toBe(1500);
  // Our clock was set back: it is believed.
  expect(next(1400 - 3_600_000)).toBe(1400 - 3_600_000);
});
