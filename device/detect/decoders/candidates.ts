/** What all decoders share: candidate boxes, and the way from candidates to detections. */
import { iou, type Box } from '../../contract/geometry.ts';
import type { Detection } from '../../contract/detect.ts';

/** One box of a model before suppression, in fractions of the crop; it may still reach outside of it. */
export interface Candidate {
  readonly score: number;
  readonly classIndex: number;
  readonly box: Box;
}

export interface Limits {
  readonly minScore: number;
  /** Of two boxes of one class that overlap by more, the weaker goes. */
  readonly nmsIou: number;
  readonly maxDetections: number;
}

/** Greedy non-maximum suppression within each class; the result is sorted, strongest first. */
export function suppress(candidates: readonly Candidate[], nmsIou: number): readonly Candidate[] {
  const kept = new Map<number, Candidate[]>();
  return candidates
    .toSorted((a, b) => b.score - a.score)
    .filter((candidate) => {
      const rivals = kept.get(candidate.classIndex);
      if (!rivals) kept.set(candidate.classIndex, [candidate]);
      else if (rivals.some((rival) => iou(rival.box, candidate.box) > nmsIou)) return false;
      else rivals.push(candidate);
      return true;
    });
}

/** Clips, drops what is empty, too weak or without a label, suppresses, and names. Strongest first. */
export function toDetections(
  candidates: readonly Candidate[],
  labels: readonly string[],
  limits: Limits,
): readonly Detection[] {
  const usable = candidates
    .filter(({ score, classIndex }) => score >= limits.minScore && labels[classIndex] !== undefined)
    .map(({ score, classIndex, box }) => ({ score: Math.min(1, score), classIndex, box: clip(box) }))
    // Written so that a box with NaN in it is not usable.
    .filter(({ box: [x1, y1, x2, y2] }) => x2 > x1 && y2 > y1);
  return suppress(usable, limits.nmsIou)
    .slice(0, limits.maxDetections)
    .map(({ score, classIndex, box }) => ({ label: labels[classIndex]!, score, box }));
}

const clip = ([x1, y1, x2, y2]: Box): Box => [clamp01(x1), clamp01(y1), clamp01(x2), clamp01(y2)];

const clamp01 = (v: number): number => Math.min(1, Math.max(0, v));
