import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Background } from '../../../device/motion/background.ts';
import { PatchFinder, type Patch } from '../../../device/motion/components.ts';
import { mergeNear } from '../../../device/motion/merge.ts';

const SIZE = { width: 24, height: 18 };

/** Patches by flood fill over the same vote of neighbours: slow and plain. */
function flood(lit: readonly boolean[], open: Uint8Array): Pick<Patch, 'x1' | 'y1' | 'x2' | 'y2' | 'area'>[] {
  const { width, height } = SIZE;
  const inside = (x: number, y: number): boolean => x >= 0 && y >= 0 && x < width && y < height;
  const around = (x: number, y: number): [number, number][] =>
    [-1, 0, 1]
      .flatMap((dy) => [-1, 0, 1].map((dx): [number, number] => [x + dx, y + dy]))
      .filter(([u, v]) => inside(u, v));
  const voted = lit.map(
    (_, i) =>
      open[i] === 1 &&
      around(i % width, Math.floor(i / width)).filter(([x, y]) => lit[y * width + x]).length >= 4,
  );
  const patches: Pick<Patch, 'x1' | 'y1' | 'x2' | 'y2' | 'area'>[] = [];
  for (let start = 0; start < voted.length; start++) {
    if (!voted[start]) continue;
    const queue: [number, number][] = [[start % width, Math.floor(start / width)]];
    voted[start] = false;
    const patch = { x1: width, y1: height, x2: 0, y2: 0, area: 0 };
    for (const [x, y] of queue) {
      patch.area++;
      patch.x1 = Math.min(patch.x1, x);
      patch.y1 = Math.min(patch.y1, y);
      patch.x2 = Math.max(patch.x2, x + 1);
      patch.y2 = Math.max(patch.y2, y + 1);
      for (const [u, v] of around(x, y)) {
        if (!voted[v * width + u]) continue;
        voted[v * width + u] = false;
        queue.push([u, v]);
      }
    }
    if (patch.area >= 4) patches.push(patch);
  }
  return patches;
}

const byPlace = <T extends Pick<Patch, 'x1' | 'y1' | 'area'>>(patches: T[]): T[] =>
  patches.sort((a, b) => a.y1 - b.y1 || a.x1 - b.x1 || a.area - b.area);

test('patches are those of a flood fill, whatever their shape, also with one finder used again', () => {
  const finder = new PatchFinder(SIZE);
  const pixels = SIZE.width * SIZE.height;
  const picture = fc.array(fc.integer({ min: 0, max: 99 }), { minLength: pixels, maxLength: pixels });
  fc.assert(
    fc.property(picture, fc.integer({ min: 20, max: 60 }), fc.boolean(), (values, share, masked) => {
      const lit = values.map((value) => value < share);
      const open = Uint8Array.from(values, (_, i) => (masked && i % SIZE.width < 5 ? 0 : 1));
      const luma = Uint8Array.from(lit, (on) => (on ? 200 : 0));
      const background = new Background(pixels);
      background.learn(new Uint8Array(pixels));
      const differing = background.judge({ luma, open, elapsedMs: 200, gain: 1, noise: 0, contrast: 10 });
      const found = finder.find({ luma, background, differing, open, noise: 0 });
      const seen = lit.map((on, i) => on && open[i] === 1);
      const plain = found.map(({ x1, y1, x2, y2, area }) => ({ x1, y1, x2, y2, area }));
      expect(byPlace(plain)).toEqual(byPlace(flood(seen, open)));
    }),
    { numRuns: 200 },
  );
});

test('near patches become one that covers both, far ones stay apart', () => {
  const patch = (x1: number, y1: number, area = 20): Patch => ({
    x1,
    y1,
    x2: x1 + 5,
    y2: y1 + 8,
    area,
    strength: 2,
  });
  expect(mergeNear([patch(10, 10), patch(11, 20)])).toEqual([
    { x1: 10, y1: 10, x2: 16, y2: 28, area: 40, strength: 2 },
  ]);
  expect(mergeNear([patch(10, 10), patch(40, 10)])).toHaveLength(2);
  // The first two reach the third only together.
  expect(mergeNear([patch(10, 10), patch(17, 10), patch(24, 10)])).toHaveLength(1);
});
