import type { Point, Polygon, Size } from '../contract/geometry.ts';

/** Pixels `from` ≤ x < `to` of one row. */
export type Span = readonly [from: number, to: number];

/**
 * Per row of the picture, from left to right: every pixel that shares area with a polygon, were it a sliver of it.
 * Where the border of a polygon crosses itself, what it winds around is inside (more than by the even-odd rule).
 */
export function spansOf(polygons: readonly Polygon[], { width, height }: Size): Span[][] {
  const outlines = polygons.map((polygon) => edgesOf(polygon, width, height));
  return Array.from({ length: height }, (_, row) =>
    merged(
      // A pixel that the border does not touch is inside as a whole or not at all; its centre tells.
      outlines.flatMap((edges) => borderSpans(edges, row).concat(innerSpans(edges, row + 0.5))),
      width,
    ),
  );
}

/** The same where one sample stands for 2^shiftX × 2^shiftY pixels: a sample with any covered pixel is covered. */
export function subsampled(rows: readonly (readonly Span[])[], shiftX: number, shiftY: number): Span[][] {
  const tall = 1 << shiftY;
  const wide = 1 << shiftX;
  return Array.from({ length: Math.ceil(rows.length / tall) }, (_, row) =>
    merged(
      rows
        .slice(row * tall, (row + 1) * tall)
        .flat()
        .map(([from, to]): Span => [Math.floor(from / wide), Math.ceil(to / wide)]),
      Infinity,
    ),
  );
}

/** In pixels; `down` says which way the polygon's border runs there. */
interface Edge {
  readonly top: Point;
  readonly bottom: Point;
  readonly down: boolean;
}

function edgesOf(polygon: Polygon, width: number, height: number): Edge[] {
  const corners = polygon.map(([x, y]): Point => [x * width, y * height]);
  return corners.map((corner, index): Edge => {
    const next = corners[(index + 1) % corners.length]!;
    const down = next[1] >= corner[1];
    return { top: down ? corner : next, bottom: down ? next : corner, down };
  });
}

const xAt = ({ top, bottom }: Edge, y: number): number =>
  top[0] + ((bottom[0] - top[0]) * (y - top[1])) / (bottom[1] - top[1]);

/** What the border touches between `row` and `row + 1`. */
function borderSpans(edges: readonly Edge[], row: number): Span[] {
  return edges.flatMap((edge): Span[] => {
    const { top, bottom } = edge;
    // Along the line between two rows it touches neither.
    if (bottom[1] <= row || top[1] >= row + 1) return [];
    const a = top[1] < row ? xAt(edge, row) : top[0];
    const b = bottom[1] > row + 1 ? xAt(edge, row + 1) : bottom[0];
    return [[Math.floor(Math.min(a, b)), Math.ceil(Math.max(a, b))]];
  });
}

/** What lies inside on the line at `y`. */
function innerSpans(edges: readonly Edge[], y: number): Span[] {
  const crossings = edges
    .filter(({ top, bottom }) => top[1] <= y && y < bottom[1])
    .map((edge) => ({ x: xAt(edge, y), turn: edge.down ? 1 : -1 }))
    .sort((a, b) => a.x - b.x);
  const spans: Span[] = [];
  let winding = 0;
  for (const [index, { x, turn }] of crossings.entries()) {
    winding += turn;
    const next = crossings[index + 1];
    if (winding !== 0 && next) spans.push([Math.floor(x), Math.ceil(next.x)]);
  }
  return spans;
}

/** In order, apart from each other, between 0 and `width`. */
function merged(spans: readonly Span[], width: number): Span[] {
  const out: [number, number][] = [];
  for (const [from, to] of spans.toSorted(([a], [b]) => a - b)) {
    const start = Math.max(0, from);
    const end = Math.min(width, to);
    const last = out.at(-1);
    if (end <= start) continue;
    if (last && start <= last[1]) last[1] = Math.max(last[1], end);
    else out.push([start, end]);
  }
  return out;
}
