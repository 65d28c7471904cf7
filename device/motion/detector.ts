import type { Box, Size } from '../contract/geometry.ts';
import type { MotionSettings } from '../contract/settings.ts';
import { Background } from './background.ts';
import { PatchFinder, type Patch } from './components.ts';
import { LightMeter } from './light.ts';
import { rasterizeMasks } from './mask.ts';
import { mergeNear } from './merge.ts';
import { Persistence } from './persistence.ts';
import { thresholds, type Thresholds } from './sensitivity.ts';

export interface MotionBox {
  readonly box: Box;
  /** 0..1: how large and how clear. */
  readonly score: number;
}

export interface MotionResult {
  /** Strongest first. */
  readonly boxes: readonly MotionBox[];
  /** Strength of the frame, 0..1: that of its strongest box. */
  readonly score: number;
  /** With hysteresis: what starts and ends motion intervals. */
  readonly moving: boolean;
  /** Why there are no boxes although pixels changed: the model is learning, or all the picture changed. */
  readonly global: 'none' | 'calibrating' | 'lighting';
}

export interface MotionDetector {
  /** Size of the luma pictures that `update` takes. */
  readonly size: Size;
  /** `luma`: `width * height` bytes, row-major. `mediaMs` may jump; steps of 50 ms to 1 s are normal. */
  update(luma: Uint8Array, mediaMs: number): MotionResult;
  /** Forgets everything, as after a change of view. */
  reset(): void;
}

const LONG_SIDE = 160;
const MIN_SIDE = 16;
const CALIBRATION_MS = 1_500;
const CALIBRATION_FRAMES = 4;
/** After lightning or an infrared switch the new picture is learnt this long, without boxes. */
const RELEARN_MS = 800;
const RELEARN_FRAMES = 3;
/** An upheaval that goes on longer is no light but something in front of the lens: report it. */
const MAX_UNREST_MS = 4_000;
/** Upheavals with shorter pauses between them are one unrest. */
const UNREST_PAUSE_MS = 1_500;
/** Share of the open picture that must differ at once, and the jump in gain, for a whole-picture change. */
const UPHEAVAL_SHARE = 0.5;
const UPHEAVAL_GAIN = 1.3;
/** Nobody looked for so long that the old background says nothing. */
const GAP_MS = 30_000;
const MAX_STEP_MS = 2_000;
/** Gain changes smaller than this are left to the background's own following. */
const GAIN_DEADBAND = 0.01;
const NOISE_FOLLOW_MS = 1_000;
/** While learning a pixel that differs this much counts towards an upheaval: noise of σ = 12 stays below. */
const UPHEAVAL_LEVELS = 24;
const UPHEAVAL_SIGMAS = 4;
const NOTHING: readonly MotionBox[] = [];

/** `picture` is the size of the pictures that frames are scaled from. */
export function createMotionDetector(settings: MotionSettings, picture: Size): MotionDetector {
  return new Detector(settings, analysisSize(picture));
}

/** Long side 160, aspect kept, never larger than the picture. */
export function analysisSize({ width, height }: Size): Size {
  const scale = Math.min(1, LONG_SIDE / Math.max(width, height));
  const side = (length: number): number => Math.max(Math.min(MIN_SIDE, length), Math.round(length * scale));
  return { width: side(width), height: side(height) };
}

/** The background is being learnt anew, so nothing can be said about motion. */
interface Learning {
  readonly why: 'calibrating' | 'lighting';
  /** When the whole picture last changed. */
  upheavalMs: number;
  /** Pictures averaged since then. */
  frames: number;
}

class Detector implements MotionDetector {
  readonly size: Size;
  readonly #thresholds: Thresholds;
  readonly #open: Uint8Array;
  readonly #openPixels: number;
  readonly #background: Background;
  readonly #light: LightMeter;
  readonly #patches: PatchFinder;
  readonly #persistence = new Persistence();
  #lastMs: number | null = null;
  #noise = 0;
  #learning: Learning | null = null;
  /** Upheavals in quick succession are one. */
  #unrest = { sinceMs: -Infinity, untilMs: -Infinity };
  /** The unrest outlasted its time: until a quiet picture it counts as motion. */
  #unrestSpent = false;

  constructor(settings: MotionSettings, size: Size) {
    const pixels = size.width * size.height;
    this.size = size;
    this.#thresholds = thresholds(settings.sensitivity);
    this.#open = rasterizeMasks(settings.masks, size);
    this.#openPixels = this.#open.reduce((sum, open) => sum + open, 0);
    this.#background = new Background(pixels);
    this.#light = new LightMeter(size);
    this.#patches = new PatchFinder(size);
  }

  reset(): void {
    this.#lastMs = null;
    this.#learning = null;
    this.#unrest = { sinceMs: -Infinity, untilMs: -Infinity };
    this.#unrestSpent = false;
    this.#noise = 0;
    this.#persistence.reset();
  }

  update(luma: Uint8Array, mediaMs: number): MotionResult {
    const sinceLastMs = this.#lastMs === null ? Infinity : mediaMs - this.#lastMs;
    this.#lastMs = mediaMs;
    if (sinceLastMs < 0 || sinceLastMs > GAP_MS) return this.#startLearning('calibrating', luma, mediaMs);
    const background = this.#background;
    const light = this.#light.measure(luma, background.previous, background.mean, this.#open);
    if (this.#learning) return this.#learn(this.#learning, luma, mediaMs, light.noise);

    const elapsedMs = Math.min(MAX_STEP_MS, sinceLastMs);
    const jump = light.gain > UPHEAVAL_GAIN || light.gain < 1 / UPHEAVAL_GAIN;
    const differing = background.judge({
      luma,
      open: this.#open,
      elapsedMs,
      gain: jump || Math.abs(light.gain - 1) < GAIN_DEADBAND ? 1 : light.gain,
      noise: this.#noise,
      contrast: this.#thresholds.contrast,
    });
    if (jump || differing > UPHEAVAL_SHARE * this.#openPixels) {
      this.#noteUnrest(mediaMs);
      if (!this.#unrestSpent) return this.#startLearning('lighting', luma, mediaMs);
    } else {
      this.#unrestSpent = false;
      this.#noise += (light.noise - this.#noise) * (1 - Math.exp(-elapsedMs / NOISE_FOLLOW_MS));
    }
    return this.#answer(differing === 0 ? NOTHING : this.#boxes(luma, differing), 'none', mediaMs);
  }

  #startLearning(why: Learning['why'], luma: Uint8Array, mediaMs: number): MotionResult {
    this.#learning = { why, upheavalMs: mediaMs, frames: 1 };
    this.#background.forget();
    this.#background.learn(luma);
    return this.#answer(NOTHING, why, mediaMs);
  }

  /** Averages pictures from the last upheaval on, until they have been alike for long enough. */
  #learn(learning: Learning, luma: Uint8Array, mediaMs: number, noise: number): MotionResult {
    const levels = UPHEAVAL_LEVELS + UPHEAVAL_SIGMAS * this.#noise;
    const differing = this.#background.countDiffering(luma, this.#open, levels);
    if (differing > UPHEAVAL_SHARE * this.#openPixels) {
      this.#noteUnrest(mediaMs);
      learning.upheavalMs = mediaMs;
      learning.frames = 0;
      this.#background.forget();
    } else {
      this.#noise += (noise - this.#noise) / Math.max(1, learning.frames);
    }
    learning.frames++;
    this.#background.learn(luma);
    const [ms, frames] =
      learning.why === 'calibrating' ? [CALIBRATION_MS, CALIBRATION_FRAMES] : [RELEARN_MS, RELEARN_FRAMES];
    const settled = mediaMs - learning.upheavalMs >= ms && learning.frames >= frames;
    if (settled || this.#unrestSpent) this.#learning = null;
    return this.#answer(NOTHING, learning.why, mediaMs);
  }

  #noteUnrest(mediaMs: number): void {
    if (mediaMs - this.#unrest.untilMs > UNREST_PAUSE_MS) this.#unrest.sinceMs = mediaMs;
    this.#unrest.untilMs = mediaMs;
    this.#unrestSpent = mediaMs - this.#unrest.sinceMs >= MAX_UNREST_MS;
  }

  #boxes(luma: Uint8Array, differing: number): MotionBox[] {
    const { width, height } = this.size;
    const minPixels = this.#thresholds.minArea * width * height;
    const found = this.#patches.find({
      luma,
      background: this.#background,
      differing,
      open: this.#open,
      noise: this.#noise,
    });
    return mergeNear(found)
      .filter(({ area }) => area >= minPixels)
      .map((patch) => ({
        box: [patch.x1 / width, patch.y1 / height, patch.x2 / width, patch.y2 / height] as const,
        score: strength(patch, minPixels),
      }))
      .sort((a, b) => b.score - a.score);
  }

  #answer(boxes: readonly MotionBox[], global: MotionResult['global'], mediaMs: number): MotionResult {
    const score = boxes[0]?.score ?? 0;
    return { boxes, score, moving: this.#persistence.update(score, mediaMs), global };
  }
}

/** Saturates at eight times the least area and three times the threshold. */
const strength = ({ area, strength: times }: Patch, minPixels: number): number =>
  Math.min(1, Math.sqrt(area / (8 * minPixels))) * Math.min(1, times / 3);
