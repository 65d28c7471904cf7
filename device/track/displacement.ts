import { boxArea, boxIntersection, type Box } from '../contract/geometry.ts';

/**
 * How far `box` has moved from `anchor`, in sizes of the anchor; what an occluder or a twitching detector does
 * to a box counts as little as possible. A shift counts as far as opposite edges share it (an occluder moves
 * one of them only), a change of size as far as width and height share it.
 */
export function displacement(anchor: Box, box: Box): number {
  const width = Math.max(1e-6, anchor[2] - anchor[0]);
  const height = Math.max(1e-6, anchor[3] - anchor[1]);
  return Math.max(
    shared(box[0] - anchor[0], box[2] - anchor[2]) / width,
    shared(box[1] - anchor[1], box[3] - anchor[3]) / height,
    shared(
      Math.log(Math.max(1e-6, box[2] - box[0]) / width),
      Math.log(Math.max(1e-6, box[3] - box[1]) / height),
    ),
  );
}

/** What two signed changes have in common. */
const shared = (a: number, b: number): number => (a * b > 0 ? Math.min(Math.abs(a), Math.abs(b)) : 0);

/** Share of `box` that `others` cover, 0..1; overlaps among them count once each. */
export function coveredShare(box: Box, others: readonly Box[]): number {
  const area = boxArea(box);
  if (area <= 0) return 0;
  let covered = 0;
  for (const other of others) covered += boxIntersection(box, other);
  return Math.min(1, covered / area);
}
