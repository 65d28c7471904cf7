import { pointInPolygon, type Polygon, type Size } from '../contract/geometry.ts';

/** One byte per cell: 0 where a mask covers the cell's centre or a corner, 1 where the picture counts. */
export function rasterizeMasks(masks: readonly Polygon[], { width, height }: Size): Uint8Array {
  const open = new Uint8Array(width * height).fill(1);
  if (masks.length === 0) return open;
  const covered = (x: number, y: number): boolean =>
    masks.some((mask) => pointInPolygon([x / width, y / height], mask));
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const masked =
        covered(x + 0.5, y + 0.5) ||
        covered(x, y) ||
        covered(x + 1, y) ||
        covered(x, y + 1) ||
        covered(x + 1, y + 1);
      if (masked) open[y * width + x] = 0;
    }
  }
  return open;
}
