/** Named as FFmpeg's v4l2 input names them: `h264`, `mjpeg`, `yuyv422` … */
export interface V4l2Mode {
  readonly format: string;
  readonly width: number;
  readonly height: number;
  /** Slowest and fastest first; empty when the driver does not say. */
  readonly fps: readonly number[];
}

export interface ModeWish {
  readonly width: number | null;
  readonly height: number | null;
  readonly fps: number | null;
}

export interface ChosenMode {
  readonly format: string;
  readonly width: number;
  readonly height: number;
  /** 0: the driver does not say. */
  readonly fps: number;
}

/** Without wishes: what a small board can encode and a small disk can hold. */
const DEFAULT = { width: 1280, height: 720, fps: 30 };

/**
 * The mode nearest to the wish: first by size, then by rate, then by what it costs us (H.264 is only copied,
 * MJPEG must be decoded and encoded, raw pictures also clog the USB bus). null when there is none at all.
 */
export function chooseMode(modes: readonly V4l2Mode[], wish: ModeWish): ChosenMode | null {
  const candidates = modes.map((mode) => {
    const fps = nearestFps(mode.fps, wish.fps ?? DEFAULT.fps);
    return {
      ...mode,
      fps,
      rank: [sizeDistance(mode, wish), fpsDistance(fps, wish), formatCost(mode.format)],
    };
  });
  candidates.sort((a, b) => compare(a.rank, b.rank));
  const [best] = candidates;
  return best ? { format: best.format, width: best.width, height: best.height, fps: best.fps } : null;
}

/** With an explicit wish, both directions count; by default, smaller is better than larger than the limit. */
function sizeDistance(mode: V4l2Mode, wish: ModeWish): number {
  const width = wish.width ?? (wish.height === null ? DEFAULT.width : (wish.height * 16) / 9);
  const height = wish.height ?? (wish.width === null ? DEFAULT.height : (wish.width * 9) / 16);
  const explicit = wish.width !== null || wish.height !== null;
  const fits = mode.width <= width && mode.height <= height;
  const distance = Math.abs(Math.log2(mode.width / width)) + Math.abs(Math.log2(mode.height / height));
  return explicit || fits ? distance : distance + 100;
}

const fpsDistance = (fps: number, wish: ModeWish): number =>
  fps === 0 ? 0 : Math.abs(fps - (wish.fps ?? DEFAULT.fps));

/** A mode's rates are a list or, for a stepwise driver, its two ends. */
const nearestFps = (rates: readonly number[], wanted: number): number =>
  rates.reduce(
    (best, rate) => (Math.abs(rate - wanted) < Math.abs(best - wanted) ? rate : best),
    rates[0] ?? 0,
  );

const formatCost = (format: string): number => (format === 'h264' ? 0 : format === 'mjpeg' ? 1 : 2);

function compare(a: readonly number[], b: readonly number[]): number {
  const at = a.findIndex((value, index) => value !== b[index]);
  return at < 0 ? 0 : a[at]! - b[at]!;
}
