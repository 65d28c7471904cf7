/** A stretch of time, the end not included. */
export type Range = readonly [startMs: number, endMs: number];

/** Ascending and disjoint; ranges that touch, or are `joinMs` apart at most, become one. Pure. */
export function mergeRanges(ranges: Iterable<Range>, joinMs = 0): Range[] {
  const merged: [number, number][] = [];
  for (const [start, end] of [...ranges].toSorted(([a], [b]) => a - b)) {
    if (end <= start) continue;
    const last = merged.at(-1);
    if (last && start <= last[1] + joinMs) last[1] = Math.max(last[1], end);
    else merged.push([start, end]);
  }
  return merged;
}

/** What of `range` none of `holes` covers; `holes` are as `mergeRanges` makes them. Pure. */
export function subtractRanges([start, end]: Range, holes: readonly Range[]): Range[] {
  const left: Range[] = [];
  let from = start;
  for (const [holeStart, holeEnd] of holes) {
    if (holeEnd <= from) continue;
    if (holeStart >= end) break;
    if (holeStart > from) left.push([from, holeStart]);
    from = holeEnd;
  }
  if (from < end) left.push([from, end]);
  return left;
}

/** What of `range` lies within `window`; empty ranges are none. Pure. */
export function clampRange([start, end]: Range, [from, to]: Range): Range | null {
  const clamped: Range = [Math.max(start, from), Math.min(end, to)];
  return clamped[0] < clamped[1] ? clamped : null;
}
