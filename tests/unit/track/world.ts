import type { Detection } from '../../../device/contract/detect.ts';
import type { EventFact } from '../../../device/contract/facts.ts';
import {
  boxArea,
  boxIntersection,
  type Box,
  type PixelRect,
  type Size,
} from '../../../device/contract/geometry.ts';
import type { CameraDetectionSettings, ZoneSettings } from '../../../device/contract/settings.ts';
import { createTracker, planRegions, type Tracker } from '../../../device/track/index.ts';

/** Something in front of the camera. */
export interface Thing {
  readonly label: string;
  /** How sure the detector is of it on average. */
  readonly score: number;
  /** Where it is; null when not in the picture. */
  at(ms: number): Box | null;
  /** Hidden from the detector although it is there, as at night or behind a van. */
  hidden?(ms: number): boolean;
  /** Stirs at its place without leaving it: a person shifting weight. */
  stirs?(ms: number): boolean;
}

export interface World {
  readonly things: readonly Thing[];
  readonly durationMs: number;
  /** Between pictures; jittered by a third when `jitter` is set. */
  readonly stepMs?: number;
  readonly jitter?: boolean;
  readonly seed?: number;
  readonly missRate?: number;
  readonly scoreNoise?: number;
  /** Of the box, in its sizes. */
  readonly boxNoise?: number;
  /** Chance per look of a detection where nothing is, with a score up to 0.5. */
  readonly falseRate?: number;
  readonly picture?: Size;
  readonly modelInput?: Size;
  readonly detection?: Partial<CameraDetectionSettings>;
  readonly zones?: readonly ZoneSettings[];
}

export interface Story {
  readonly facts: readonly EventFact[];
  /** As JSON-comparable text, for determinism. */
  readonly tracker: Tracker;
  readonly looks: number;
  readonly endMs: number;
}

export const UTC0 = Date.UTC(2026, 2, 1, 12);

export const DETECTION: CameraDetectionSettings = {
  enabled: true,
  fps: 5,
  labels: ['person', 'car', 'dog'],
  filters: {},
  defaultFilter: { minScore: 0.35, minArea: 0, maxArea: 1 },
};

/** Small, seedable, good enough for weather (mulberry32). */
export function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Runs the chain of motion, regions, detector and tracker over the world, up to but without `interrupt`. */
export function live(world: World): Story {
  const { things, durationMs, stepMs = 200, seed = 1, missRate = 0, falseRate = 0 } = world;
  const { picture = { width: 1280, height: 720 }, modelInput = { width: 512, height: 512 } } = world;
  const chance = random(seed);
  const tracker = createTracker({
    cameraId: 'yard',
    run: 'r1',
    detection: { ...DETECTION, ...world.detection },
    zones: world.zones ?? [],
  });
  const facts: EventFact[] = [];
  let looks = 0;
  let lastFullMs = -Infinity;
  let ms = 0;
  for (; ms < durationMs; ms += world.jitter ? Math.round(stepMs * (0.67 + 0.66 * chance())) : stepMs) {
    const moment = { mediaMs: ms, utcMs: UTC0 + ms };
    const motion = things.flatMap((thing) => movingBox(thing, ms, stepMs));
    const full = ms - lastFullMs >= 10_000;
    if (full) lastFullMs = ms;
    const tracks = tracker.hints(ms);
    const regions = planRegions({ picture, modelInput, motion, tracks, maxRegions: 3, full });
    if (regions.length === 0) {
      facts.push(...tracker.tick(moment));
      continue;
    }
    looks++;
    // One throw per thing and picture: whether it is missed does not depend on the square.
    const seen = things.flatMap((thing) => {
      const box = thing.at(ms);
      const missed = chance() < missRate;
      const wobble = [0, 0, 0, 0].map(() => (chance() + chance() - 1) * (world.boxNoise ?? 0.04));
      const score = thing.score + (chance() + chance() - 1) * (world.scoreNoise ?? 0.1);
      if (!box || missed || thing.hidden?.(ms)) return [];
      const [w, h] = [box[2] - box[0], box[3] - box[1]];
      const shaken: Box = [
        box[0] + wobble[0]! * w,
        box[1] + wobble[1]! * h,
        box[2] + wobble[2]! * w,
        box[3] + wobble[3]! * h,
      ];
      return [{ label: thing.label, score: Math.min(0.99, Math.max(0.01, score)), box: shaken }];
    });
    if (chance() < falseRate) {
      const [x, y] = [chance() * 0.9, chance() * 0.8];
      seen.push({ label: 'person', score: 0.3 + 0.2 * chance(), box: [x, y, x + 0.05, y + 0.15] });
    }
    const detections = regions.map((region) => seen.flatMap((object) => inCrop(object, region, picture)));
    facts.push(
      ...tracker.update({
        ...moment,
        arrivedUtcMs: moment.utcMs,
        picture,
        modelInput,
        regions,
        detections,
        motion,
      }),
    );
  }
  return { facts, tracker, looks, endMs: ms };
}

function movingBox(thing: Thing, ms: number, stepMs: number): { box: Box; score: number }[] {
  const now = thing.at(ms);
  const before = thing.at(ms - stepMs);
  if (!now) return [];
  const shift = before ? Math.max(...now.map((edge, k) => Math.abs(edge - before[k]!))) : 1;
  return shift > 0.001 || thing.stirs?.(ms) ? [{ box: clip(now), score: 0.8 }] : [];
}

/** A square of a picture, as the crops of the chain are: no letterbox inside the square itself. */
function inCrop({ label, score, box }: Detection, region: PixelRect, picture: Size): Detection[] {
  const view: Box = [
    region.x / picture.width,
    region.y / picture.height,
    (region.x + region.width) / picture.width,
    (region.y + region.height) / picture.height,
  ];
  const visible = clip(box);
  if (boxArea(visible) === 0 || boxIntersection(visible, view) < 0.4 * boxArea(box)) return [];
  const x = (v: number): number => Math.min(1, Math.max(0, (v * picture.width - region.x) / region.width));
  const y = (v: number): number => Math.min(1, Math.max(0, (v * picture.height - region.y) / region.height));
  return [{ label, score, box: [x(visible[0]), y(visible[1]), x(visible[2]), y(visible[3])] }];
}

const clip = ([x1, y1, x2, y2]: Box): Box => [
  Math.min(1, Math.max(0, x1)),
  Math.min(1, Math.max(0, y1)),
  Math.min(1, Math.max(0, x2)),
  Math.min(1, Math.max(0, y2)),
];

/** Someone who walks in a straight line from `from` at `startMs` to `to` at `endMs`; not there otherwise. */
export function walker(o: {
  from: readonly [x: number, y: number];
  to: readonly [x: number, y: number];
  startMs: number;
  endMs: number;
  score?: number;
  label?: string;
  size?: readonly [width: number, height: number];
}): Thing {
  const { from, to, startMs, endMs, score = 0.75, label = 'person', size = [0.05, 0.22] } = o;
  return {
    label,
    score,
    at(ms) {
      if (ms < startMs || ms > endMs) return null;
      const t = (ms - startMs) / (endMs - startMs);
      return standing(from[0] + (to[0] - from[0]) * t, from[1] + (to[1] - from[1]) * t, size);
    },
  };
}

/** A box that stands with its feet at x, y. */
export const standing = (x: number, y: number, [width, height]: readonly [number, number]): Box => [
  x - width / 2,
  y - height,
  x + width / 2,
  y,
];

export const phase = (facts: readonly EventFact[], wanted: EventFact['phase']): EventFact[] =>
  facts.filter((fact) => fact.phase === wanted);
