/**
 * Boxes and polygons on a picture. Unless a name says `px`, coordinates are fractions of the picture's
 * width and height (0..1, origin top left), so they survive a change of stream or resolution.
 */

/** `[x1, y1, x2, y2]`, with `x1 <= x2` and `y1 <= y2`. */
export type Box = readonly [x1: number, y1: number, x2: number, y2: number];

export type Point = readonly [x: number, y: number];

/** At least three corners; closed implicitly. */
export type Polygon = readonly Point[];

/** A rectangle in pixels of a stated picture. May reach outside of it. */
export interface PixelRect {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

export interface Size {
  readonly width: number;
  readonly height: number;
}

export const boxArea = ([x1, y1, x2, y2]: Box): number => Math.max(0, x2 - x1) * Math.max(0, y2 - y1);

export const boxIntersection = (a: Box, b: Box): number =>
  Math.max(0, Math.min(a[2], b[2]) - Math.max(a[0], b[0])) *
  Math.max(0, Math.min(a[3], b[3]) - Math.max(a[1], b[1]));

/** Intersection over union, 0..1; 0 for two empty boxes. */
export function iou(a: Box, b: Box): number {
  const intersection = boxIntersection(a, b);
  const union = boxArea(a) + boxArea(b) - intersection;
  return union > 0 ? intersection / union : 0;
}

/** Where an object stands on the ground, as far as a box can tell. */
export const bottomCentre = ([x1, , x2, y2]: Box): Point => [(x1 + x2) / 2, y2];

/** Even-odd rule; points on an edge may count either way. */
export function pointInPolygon([x, y]: Point, polygon: Polygon): boolean {
  let inside = false;
  for (let i = 0, j = polygon.length - 1; i < polygon.length; j = i++) {
    const [xi, yi] = polygon[i]!;
    const [xj, yj] = polygon[j]!;
    if (yi > y !== yj > y && x < ((xj - xi) * (y - yi)) / (yj - yi) + xi) inside = !inside;
  }
  return inside;
}

/** How `rect` sits inside a `size` crop: scaled by `scale` (crop px per picture px), then shifted. */
export function letterbox(rect: PixelRect, size: Size): { scale: number; offsetX: number; offsetY: number } {
  const scale = Math.min(size.width / rect.width, size.height / rect.height);
  return {
    scale,
    offsetX: (size.width - rect.width * scale) / 2,
    offsetY: (size.height - rect.height * scale) / 2,
  };
}

/** A box in fractions of a letterboxed crop, as fractions of the picture it was cut from, clipped to it. */
export function cropToPicture([x1, y1, x2, y2]: Box, rect: PixelRect, crop: Size, picture: Size): Box {
  const { scale, offsetX, offsetY } = letterbox(rect, crop);
  const x = (v: number): number => clamp01((rect.x + (v * crop.width - offsetX) / scale) / picture.width);
  const y = (v: number): number => clamp01((rect.y + (v * crop.height - offsetY) / scale) / picture.height);
  return [x(x1), y(y1), x(x2), y(y2)];
}

const clamp01 = (v: number): number => Math.min(1, Math.max(0, v));
