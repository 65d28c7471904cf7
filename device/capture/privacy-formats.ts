import {
  AV_PIX_FMT_BGR0,
  AV_PIX_FMT_BGR24,
  AV_PIX_FMT_GBRP,
  AV_PIX_FMT_GRAY10LE,
  AV_PIX_FMT_GRAY12LE,
  AV_PIX_FMT_GRAY8,
  AV_PIX_FMT_NV12,
  AV_PIX_FMT_NV16,
  AV_PIX_FMT_NV21,
  AV_PIX_FMT_P010LE,
  AV_PIX_FMT_RGB0,
  AV_PIX_FMT_RGB24,
  AV_PIX_FMT_UYVY422,
  AV_PIX_FMT_YUV411P,
  AV_PIX_FMT_YUV420P,
  AV_PIX_FMT_YUV420P10LE,
  AV_PIX_FMT_YUV420P12LE,
  AV_PIX_FMT_YUV422P,
  AV_PIX_FMT_YUV422P10LE,
  AV_PIX_FMT_YUV422P12LE,
  AV_PIX_FMT_YUV440P,
  AV_PIX_FMT_YUV444P,
  AV_PIX_FMT_YUV444P10LE,
  AV_PIX_FMT_YUV444P12LE,
  AV_PIX_FMT_YUVJ411P,
  AV_PIX_FMT_YUVJ420P,
  AV_PIX_FMT_YUVJ422P,
  AV_PIX_FMT_YUVJ440P,
  AV_PIX_FMT_YUVJ444P,
  AV_PIX_FMT_YUYV422,
  AV_PIX_FMT_YVYU422,
} from 'node-av/constants';

/** A plane of a picture: the bytes of a black sample, which stands for 2^shiftX × 2^shiftY pixels. */
export interface BlackPlane {
  readonly shiftX: number;
  readonly shiftY: number;
  readonly black: readonly number[];
}

type Format = (fullRange: boolean) => readonly BlackPlane[];

const plane = (black: readonly number[], shiftX = 0, shiftY = 0): BlackPlane => ({ black, shiftX, shiftY });

/** Black is 16 of 255 in limited range and 0 in full range; no colour is the middle (ITU-T H.273 §8.3). */
const luma = (fullRange: boolean, bits: number): number => (fullRange ? 0 : 16 << (bits - 8));
const neutral = (bits: number): number => 128 << (bits - 8);
const bytesOf = (value: number, bits: number): number[] =>
  bits === 8 ? [value] : [value & 0xff, value >> 8];

const grey =
  (bits = 8): Format =>
  (fullRange) => [plane(bytesOf(luma(fullRange, bits), bits))];

const planar =
  (shiftX: number, shiftY: number, bits = 8): Format =>
  (fullRange) => {
    const chroma = plane(bytesOf(neutral(bits), bits), shiftX, shiftY);
    return [...grey(bits)(fullRange), chroma, chroma];
  };

/** Both chroma samples side by side in one plane. */
const paired =
  (shiftX: number, shiftY: number): Format =>
  (fullRange) => [...grey()(fullRange), plane([128, 128], shiftX, shiftY)];

/** P010 keeps its ten bits at the top of sixteen. */
const p010: Format = (fullRange) => [plane([0, fullRange ? 0 : 0x10]), plane([0, 0x80, 0, 0x80], 1, 1)];

/** Two pixels in four bytes, luma at even or at odd places. */
const packed =
  (lumaFirst: boolean): Format =>
  (fullRange) => {
    const y = luma(fullRange, 8);
    return [plane(lumaFirst ? [y, 128, y, 128] : [128, y, 128, y], 1, 0)];
  };

const rgb =
  (bytes: number, planes = 1): Format =>
  () =>
    Array.from({ length: planes }, () => plane(Array.from({ length: bytes }, () => 0)));

const FORMATS: ReadonlyMap<number, Format> = new Map<number, Format>([
  [AV_PIX_FMT_YUV420P, planar(1, 1)],
  [AV_PIX_FMT_YUV422P, planar(1, 0)],
  [AV_PIX_FMT_YUV440P, planar(0, 1)],
  [AV_PIX_FMT_YUV444P, planar(0, 0)],
  [AV_PIX_FMT_YUV411P, planar(2, 0)],
  [AV_PIX_FMT_YUV420P10LE, planar(1, 1, 10)],
  [AV_PIX_FMT_YUV422P10LE, planar(1, 0, 10)],
  [AV_PIX_FMT_YUV444P10LE, planar(0, 0, 10)],
  [AV_PIX_FMT_YUV420P12LE, planar(1, 1, 12)],
  [AV_PIX_FMT_YUV422P12LE, planar(1, 0, 12)],
  [AV_PIX_FMT_YUV444P12LE, planar(0, 0, 12)],
  [AV_PIX_FMT_NV12, paired(1, 1)],
  [AV_PIX_FMT_NV21, paired(1, 1)],
  [AV_PIX_FMT_NV16, paired(1, 0)],
  [AV_PIX_FMT_P010LE, p010],
  [AV_PIX_FMT_GRAY8, grey()],
  [AV_PIX_FMT_GRAY10LE, grey(10)],
  [AV_PIX_FMT_GRAY12LE, grey(12)],
  [AV_PIX_FMT_YUYV422, packed(true)],
  [AV_PIX_FMT_YVYU422, packed(true)],
  [AV_PIX_FMT_UYVY422, packed(false)],
  [AV_PIX_FMT_RGB24, rgb(3)],
  [AV_PIX_FMT_BGR24, rgb(3)],
  [AV_PIX_FMT_RGB0, rgb(4)],
  [AV_PIX_FMT_BGR0, rgb(4)],
  [AV_PIX_FMT_GBRP, rgb(1, 3)],
]);

/** Formats that are full range by their name. */
const FULL_RANGE: ReadonlyMap<number, Format> = new Map<number, Format>([
  [AV_PIX_FMT_YUVJ420P, planar(1, 1)],
  [AV_PIX_FMT_YUVJ422P, planar(1, 0)],
  [AV_PIX_FMT_YUVJ440P, planar(0, 1)],
  [AV_PIX_FMT_YUVJ444P, planar(0, 0)],
  [AV_PIX_FMT_YUVJ411P, planar(2, 0)],
]);

/** How black lies in memory; null where we do not know. `fullRange`: as said beside the format. */
export function blackPlanes(format: number, fullRange: boolean): readonly BlackPlane[] | null {
  return FULL_RANGE.get(format)?.(true) ?? FORMATS.get(format)?.(fullRange) ?? null;
}
