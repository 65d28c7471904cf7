import type { Patch } from './components.ts';

/** Joins patches whose gap is small against their size: head and legs are one person. Changes `patches`. */
export function mergeNear(patches: Patch[]): Patch[] {
  for (let merged = true; merged;) {
    merged = false;
    for (let i = 0; i < patches.length; i++) {
      const a = patches[i]!;
      for (let j = patches.length - 1; j > i; j--) {
        const b = patches[j]!;
        if (!near(a, b)) continue;
        absorb(a, b);
        patches.splice(j, 1);
        merged = true;
      }
    }
  }
  return patches;
}

const GAP_PIXELS = 2;
const GAP_OF_SIZE = 0.15;

function near(a: Patch, b: Patch): boolean {
  const gapX = Math.max(a.x1, b.x1) - Math.min(a.x2, b.x2);
  const gapY = Math.max(a.y1, b.y1) - Math.min(a.y2, b.y2);
  const size = Math.max(Math.min(a.x2 - a.x1, b.x2 - b.x1), Math.min(a.y2 - a.y1, b.y2 - b.y1));
  const reach = GAP_PIXELS + GAP_OF_SIZE * size;
  return gapX <= reach && gapY <= reach;
}

function absorb(a: Patch, b: Patch): void {
  const area = a.area + b.area;
  a.strength = (a.strength * a.area + b.strength * b.area) / area;
  a.area = area;
  a.x1 = Math.min(a.x1, b.x1);
  a.y1 = Math.min(a.y1, b.y1);
  a.x2 = Math.max(a.x2, b.x2);
  a.y2 = Math.max(a.y2, b.y2);
}
