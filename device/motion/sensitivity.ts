/** What the one knob, 0 (blind) .. 1 (nervous), means. */
export interface Thresholds {
  /** Levels (of 255) that a pixel must differ on top of what its own noise explains. */
  readonly contrast: number;
  /** Cells that must differ together, as a fraction of the picture. */
  readonly minArea: number;
}

const DULL: Thresholds = { contrast: 40, minArea: 0.004 };
const NERVOUS: Thresholds = { contrast: 3, minArea: 0.0003 };

/**
 * Geometric between the ends, because what people perceive as "twice as sensitive" is a ratio:
 * 0.5 gives 11 levels and 16 cells of 160×90. At 0 nothing is ever different enough.
 */
export function thresholds(sensitivity: number): Thresholds {
  if (!(sensitivity > 0)) return { contrast: Infinity, minArea: 1 };
  const s = Math.min(1, sensitivity);
  const between = (dull: number, nervous: number): number => dull * (nervous / dull) ** s;
  return {
    contrast: between(DULL.contrast, NERVOUS.contrast),
    minArea: between(DULL.minArea, NERVOUS.minArea),
  };
}
