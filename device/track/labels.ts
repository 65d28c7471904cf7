const GROUPS: Readonly<Record<string, readonly string[]>> = {
  person: ['person'],
  animal: ['bird', 'cat', 'dog', 'horse', 'sheep', 'cow', 'elephant', 'bear', 'zebra', 'giraffe'],
  vehicle: ['car', 'truck', 'bus', 'train'],
  cycle: ['bicycle', 'motorcycle'],
};

const GROUP_OF = new Map(Object.entries(GROUPS).flatMap(([group, labels]) => labels.map((l) => [l, group])));

/** Labels of one group are confused by detectors, so they may be the same object. Any other label is its own. */
export const groupOf = (label: string): string => GROUP_OF.get(label) ?? label;

/** Living things may stand for hours and are still visiting; everything else is parked. */
export const isLiving = (label: string): boolean => ['person', 'animal'].includes(groupOf(label));

/** How unlikely it is that one object is called both, 0..1; Infinity where it is not believed at all. */
export function labelMismatch(a: string, b: string): number {
  if (a === b) return 0;
  if (groupOf(a) === groupOf(b)) return 0.1;
  return isLiving(a) && isLiving(b) ? 0.3 : Infinity;
}
