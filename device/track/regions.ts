import { boxArea, boxIntersection, type Box, type PixelRect, type Size } from '../contract/geometry.ts';
import { coveredShare } from './displacement.ts';

/** What the tracker wants looked at. */
export interface TrackHint {
  /** Where the object should be now. */
  readonly box: Box;
  /**
   * `motion`: something moved here and was cut last time; `unconfirmed`: not yet believed;
   * `followed`: has an event; `resting`: a remembered place.
   */
  readonly kind: 'motion' | 'unconfirmed' | 'followed' | 'resting';
  /** Wants a look now. The others get one only if something moves there. */
  readonly due: boolean;
  /** Since the last look at it. */
  readonly waitedMs: number;
}

export interface RegionRequest {
  readonly picture: Size;
  readonly modelInput: Size;
  readonly motion: readonly { readonly box: Box; readonly score: number }[];
  readonly tracks: readonly TrackHint[];
  readonly maxRegions: number;
  /** Look at the whole picture, whatever moves. */
  readonly full: boolean;
}

/** A square that is wanted, centred on what it is for. */
interface Wish {
  readonly x1: number;
  readonly y1: number;
  readonly x2: number;
  readonly y2: number;
  /** Larger is more urgent. */
  readonly urgency: number;
}

/** What a square is wanted for. */
interface Want extends Wish {
  readonly kind: TrackHint['kind'];
  /** The longer side of the box itself, in pixels of the picture. */
  readonly sizePx: number;
}

/** Room around an object, so that it is whole and has context: models are trained on things in scenes. */
const OBJECT_ROOM = 1.6;
const MOTION_ROOM = 1.35;
/** Squares join if the common one is at most so much larger than the larger of them: as sharp, but one look. */
const JOIN_GROWTH = 1.3;
/** One look at everything beats several at parts if it shows objects at least 1/1.6 as large. */
const WHOLE_GROWTH = 1.6;
/** Motion that a tracked object explains. */
const EXPLAINED = 0.6;
/** So much of a place must move before a place that is not due gets a look. */
const STIRRED = 0.15;
const URGENCY = { motion: 3, unconfirmed: 3, followed: 2, resting: 1 } as const;
/** Waiting this long outweighs one step of urgency, so whatever was cut has its turn. */
const PATIENCE_MS = 1_500;
/**
 * With fewer real pixels than this along its longer side, more of them help: what is undecided to be believed,
 * what is followed not to be lost. Remembered places are large enough to have been remembered.
 */
const DETAIL_PX = { motion: 128, unconfirmed: 128, followed: 64, resting: 0 } as const;

/**
 * Squares of the picture, in its pixels, most urgent first; none when nothing deserves a look. They stay
 * inside the picture where it is large enough, and never show less than one pixel per model pixel unless the
 * picture itself is smaller.
 */
export function planRegions(request: RegionRequest): PixelRect[] {
  const { picture, modelInput, maxRegions, full } = request;
  const whole = Math.max(picture.width, picture.height);
  if (whole <= 0 || maxRegions <= 0) return [];
  const least = Math.min(whole, modelInput.width, modelInput.height);
  const everything: PixelRect = {
    x: (picture.width - whole) / 2,
    y: (picture.height - whole) / 2,
    width: whole,
    height: whole,
  };
  if (full && (maxRegions === 1 || whole <= WHOLE_GROWTH * least)) return [everything];

  const wishes = join(wantsOf(request), least, whole);
  if (!full && wishes.length > 1 && whole <= WHOLE_GROWTH * least) return [everything];
  wishes.sort((a, b) => b.urgency - a.urgency || a.x1 - b.x1 || a.y1 - b.y1);
  const squares = wishes.map((wish) => square(wish, least, whole, picture));
  return (full ? [everything, ...squares] : squares).slice(0, maxRegions);
}

/**
 * Whether a picture of the same moment with more pixels would tell more than `regions`, planned for this one:
 * `urgent` where something new or undecided is small, `some` where only what is known already is.
 */
export function detailWanted(
  request: RegionRequest,
  regions: readonly PixelRect[],
): 'none' | 'some' | 'urgent' {
  const { width } = request.modelInput;
  const small = wantsOf(request).filter(({ x1, y1, x2, y2, kind, sizePx }) => {
    const [x, y] = [(x1 + x2) / 2, (y1 + y2) / 2];
    const shown = regions.filter(
      (rect) => x >= rect.x && x <= rect.x + rect.width && y >= rect.y && y <= rect.y + rect.height,
    );
    // Enlarging makes no detail. What no square shows has its turn another time.
    const scale = Math.max(...shown.map((rect) => Math.min(1, width / rect.width)));
    return shown.length > 0 && sizePx * scale < DETAIL_PX[kind];
  });
  if (small.length === 0) return 'none';
  return small.some(({ kind }) => kind !== 'followed') ? 'urgent' : 'some';
}

function wantsOf({ picture, motion, tracks }: RegionRequest): Want[] {
  const moving = motion.map(({ box }) => box);
  const wants: Want[] = [];
  const explained: Box[] = [];
  for (const { box, kind, due, waitedMs } of tracks) {
    if (!due && coveredShare(box, moving) < STIRRED) continue;
    const want = wantFor(kind, box, OBJECT_ROOM, URGENCY[kind] + waitedMs / PATIENCE_MS, picture);
    wants.push(want);
    // A resting thing explains no motion: someone may be passing in front of it.
    if (kind !== 'resting') {
      const { width, height } = picture;
      explained.push([want.x1 / width, want.y1 / height, want.x2 / width, want.y2 / height]);
    }
  }
  for (const { box, score } of motion) {
    const isExplained = explained.some((known) => boxIntersection(known, box) >= EXPLAINED * boxArea(box));
    if (!isExplained) wants.push(wantFor('motion', box, MOTION_ROOM, URGENCY.motion + score, picture));
  }
  return wants;
}

function wantFor(
  kind: TrackHint['kind'],
  box: Box,
  room: number,
  urgency: number,
  { width, height }: Size,
): Want {
  const [x, y] = [((box[0] + box[2]) / 2) * width, ((box[1] + box[3]) / 2) * height];
  const sizePx = Math.max((box[2] - box[0]) * width, (box[3] - box[1]) * height);
  const half = (room * sizePx) / 2;
  return { x1: x - half, y1: y - half, x2: x + half, y2: y + half, urgency, kind, sizePx };
}

/** Joins wishes whose common square costs no sharpness to speak of, best pair first. */
function join(wants: readonly Wish[], least: number, whole: number): Wish[] {
  let wishes = [...wants];
  for (;;) {
    let best: { i: number; j: number; growth: number } | null = null;
    for (let i = 0; i < wishes.length; i++) {
      for (let j = i + 1; j < wishes.length; j++) {
        const growth =
          side(common(wishes[i]!, wishes[j]!), least, whole) /
          Math.max(side(wishes[i]!, least, whole), side(wishes[j]!, least, whole));
        if (growth <= JOIN_GROWTH && (best === null || growth < best.growth)) best = { i, j, growth };
      }
    }
    if (best === null) return wishes;
    const joined = common(wishes[best.i]!, wishes[best.j]!);
    wishes = wishes.filter((_, k) => k !== best.i && k !== best.j);
    wishes.push(joined);
  }
}

const common = (a: Wish, b: Wish): Wish => ({
  x1: Math.min(a.x1, b.x1),
  y1: Math.min(a.y1, b.y1),
  x2: Math.max(a.x2, b.x2),
  y2: Math.max(a.y2, b.y2),
  urgency: Math.max(a.urgency, b.urgency),
});

const side = ({ x1, y1, x2, y2 }: Wish, least: number, whole: number): number =>
  Math.min(whole, Math.max(least, Math.ceil(Math.max(x2 - x1, y2 - y1))));

function square(wish: Wish, least: number, whole: number, picture: Size): PixelRect {
  const length = side(wish, least, whole);
  const start = (centre: number, available: number): number =>
    length >= available
      ? (available - length) / 2
      : Math.min(available - length, Math.max(0, Math.round(centre - length / 2)));
  return {
    x: start((wish.x1 + wish.x2) / 2, picture.width),
    y: start((wish.y1 + wish.y2) / 2, picture.height),
    width: length,
    height: length,
  };
}
