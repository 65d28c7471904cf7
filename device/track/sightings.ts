import type { Detection } from '../contract/detect.ts';
import {
  boxArea,
  boxIntersection,
  cropToPicture,
  iou,
  type Box,
  type PixelRect,
  type Size,
} from '../contract/geometry.ts';
import { groupOf, labelMismatch } from './labels.ts';

/** A detection, placed in the picture. */
export interface Sighting {
  readonly label: string;
  readonly score: number;
  readonly box: Box;
  /** Cut off by an edge of its square that is not an edge of the picture. */
  readonly clipped: boolean;
  readonly region: number;
}

export interface Look {
  readonly picture: Size;
  readonly modelInput: Size;
  readonly regions: readonly PixelRect[];
  /** Per region, in fractions of its crop. */
  readonly detections: readonly (readonly Detection[])[];
}

/** Boxes this close to the edge of their square (as a fraction of it) touch it. */
const EDGE = 0.02;
/** A whole box is preferred to a clipped one with up to this many times its score. */
const CLIPPED_WORTH = 0.6;
const SAME_OBJECT_IOU = 0.6;
/** Two boxes of one label in one square have passed the model's own suppression: people in a crowd. */
const SAME_SQUARE_IOU = 0.75;
const CONTAINED = 0.8;

/** Detections of all squares as one list without duplicates, best first. */
export function sightingsOf(look: Look): Sighting[] {
  const all = look.detections.flatMap((detections, region) => {
    const rect = look.regions[region];
    return rect ? detections.map((detection) => place(detection, rect, region, look)) : [];
  });
  all.sort((a, b) => worth(b) - worth(a));
  const kept: Sighting[] = [];
  for (const sighting of all) if (!kept.some((better) => duplicates(better, sighting))) kept.push(sighting);
  return kept;
}

function place({ label, score, box }: Detection, rect: PixelRect, region: number, look: Look): Sighting {
  const { picture, modelInput } = look;
  const placed = cropToPicture(box, rect, modelInput, picture);
  const [left, top] = [placed[0] * picture.width - rect.x, placed[1] * picture.height - rect.y];
  const right = rect.x + rect.width - placed[2] * picture.width;
  const bottom = rect.y + rect.height - placed[3] * picture.height;
  const clipped =
    (left < EDGE * rect.width && rect.x > 0) ||
    (top < EDGE * rect.height && rect.y > 0) ||
    (right < EDGE * rect.width && rect.x + rect.width < picture.width) ||
    (bottom < EDGE * rect.height && rect.y + rect.height < picture.height);
  return { label, score, box: placed, clipped, region };
}

const worth = ({ score, clipped }: Sighting): number => (clipped ? CLIPPED_WORTH * score : score);

function duplicates(better: Sighting, other: Sighting): boolean {
  if (labelMismatch(better.label, other.label) === Infinity) return false;
  const sameSquare = better.region === other.region;
  const overlap = iou(better.box, other.box);
  const mayDiffer =
    (sameSquare && better.label === other.label) || groupOf(better.label) !== groupOf(other.label);
  if (overlap > (mayDiffer ? SAME_SQUARE_IOU : SAME_OBJECT_IOU)) return true;
  if (sameSquare || !other.clipped) return false;
  const smaller = Math.min(boxArea(better.box), boxArea(other.box));
  return smaller > 0 && boxIntersection(better.box, other.box) > CONTAINED * smaller;
}

/** Smaller things than this (√area in pixels of the model's input) are beyond the model. */
const VISIBLE_PX = 16;
const COVERED = 0.8;

/** Would one of the squares have shown an object at `box`? Only then does not seeing it mean something. */
export function wouldShow(box: Box, { picture, modelInput, regions }: Omit<Look, 'detections'>): boolean {
  const [x1, y1, x2, y2] = [
    box[0] * picture.width,
    box[1] * picture.height,
    box[2] * picture.width,
    box[3] * picture.height,
  ];
  const area = (x2 - x1) * (y2 - y1);
  return regions.some((rect) => {
    const width = Math.min(x2, rect.x + rect.width, picture.width) - Math.max(x1, rect.x, 0);
    const height = Math.min(y2, rect.y + rect.height, picture.height) - Math.max(y1, rect.y, 0);
    if (width <= 0 || height <= 0 || width * height < COVERED * area) return false;
    const scale = Math.min(modelInput.width / rect.width, modelInput.height / rect.height);
    return Math.sqrt(area) * scale >= VISIBLE_PX;
  });
}
