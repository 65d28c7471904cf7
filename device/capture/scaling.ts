import { Frame, SoftwareScaleContext } from 'node-av/lib';
import {
  AV_PIX_FMT_GRAY8,
  AV_PIX_FMT_NV12,
  AV_PIX_FMT_NV21,
  AV_PIX_FMT_RGB24,
  AV_PIX_FMT_YUV420P,
  AV_PIX_FMT_YUV422P,
  AV_PIX_FMT_YUV444P,
  AV_PIX_FMT_YUVJ420P,
  AV_PIX_FMT_YUVJ422P,
  AV_PIX_FMT_YUVJ444P,
  AVCOL_RANGE_JPEG,
  SWS_AREA,
  SWS_BILINEAR,
  type AVPixelFormat,
  type SwsFlags,
} from 'node-av/constants';
import { letterbox, type PixelRect, type Size } from '../contract/geometry.ts';
import { check } from './ffmpeg.ts';

/** Crops have varied sizes; each context holds a few hundred kilobytes of tables. */
const MAX_CONTEXTS = 8;
const GREY = 114;
/** libswscale may write a few pixels beyond the width it was asked for, if the row has room. */
const ROW_ALIGN = 64;

/** Formats that say "full range" by their name, as libswscale wants it, for those that say it beside. */
const FULL_RANGE: ReadonlyMap<number, AVPixelFormat> = new Map([
  [AV_PIX_FMT_YUV420P, AV_PIX_FMT_YUVJ420P],
  [AV_PIX_FMT_YUV422P, AV_PIX_FMT_YUVJ422P],
  [AV_PIX_FMT_YUV444P, AV_PIX_FMT_YUVJ444P],
]);

const FULL_RANGE_FORMATS: ReadonlySet<AVPixelFormat> = new Set(FULL_RANGE.values());

/** A picture, or a part of one, where it lies in memory. */
interface Planes {
  readonly format: AVPixelFormat;
  readonly planes: Buffer[];
  readonly strides: number[];
}

/** Scales pictures with contexts that are kept for the next picture of the same shape. */
export class Scaling implements Disposable {
  readonly #contexts = new Map<string, SoftwareScaleContext>();
  readonly #outputs = new Map<string, Frame>();
  #scratch = Buffer.alloc(0);

  /** 8-bit luma, `width * height` bytes, each the average of what it covers. */
  luma(picture: Frame, width: number, height: number): Uint8Array {
    using plane = new Frame();
    plane.alloc();
    check(plane.ref(picture), 'sharing a picture');
    // The same memory, taken for a grey picture: chroma is not even looked at.
    if (LAYOUTS.has(picture.format)) plane.format = AV_PIX_FMT_GRAY8;
    return this.#scaleFrame(plane, { width, height }, AV_PIX_FMT_GRAY8, SWS_AREA);
  }

  /** The whole picture in another size or format; a new frame that the caller frees. */
  convert(picture: Frame, { width, height }: Size, format: AVPixelFormat): Frame {
    const context = this.#context(picture, { width, height }, pixelFormatOf(picture), format, SWS_BILINEAR);
    const out = blank(width, height, format);
    try {
      check(context.scaleFrameSync(out, picture), 'converting a picture');
      out.pts = picture.pts;
      return out;
    } catch (error) {
      out.free();
      throw error;
    }
  }

  /** See PixelFrame.crop. */
  crop(picture: Frame, rect: PixelRect, width: number, height: number): Uint8Array {
    const out = new Uint8Array(width * height * 3).fill(GREY);
    const from = visible(rect, picture);
    if (!from) return out;
    const { scale, offsetX, offsetY } = letterbox(rect, { width, height });
    const left = Math.round(offsetX + (from.x - rect.x) * scale);
    const top = Math.round(offsetY + (from.y - rect.y) * scale);
    const fitted = {
      width: Math.min(width - left, Math.max(1, Math.round(from.width * scale))),
      height: Math.min(height - top, Math.max(1, Math.round(from.height * scale))),
    };
    if (fitted.width <= 0 || fitted.height <= 0) return out;
    const stride = this.#scaleRegion(picture, from, fitted);
    for (let row = 0; row < fitted.height; row++) {
      const pixels = this.#scratch.subarray(row * stride, row * stride + fitted.width * 3);
      out.set(pixels, ((top + row) * width + left) * 3);
    }
    return out;
  }

  [Symbol.dispose](): void {
    for (const context of this.#contexts.values()) context.freeContext();
    for (const frame of this.#outputs.values()) frame.free();
    this.#contexts.clear();
    this.#outputs.clear();
  }

  /**
   * RGB into #scratch; returns its stride. First to the size, then to RGB: libswscale has fast code for either, and
   * none for both at once, which takes two to three times as long.
   */
  #scaleRegion(picture: Frame, from: PixelRect, to: Size): number {
    const format = pixelFormatOf(picture);
    const strides = picture.linesize;
    const planes = (picture.data ?? []).map((plane, index) =>
      plane.subarray(regionOffset(format, index, strides[index] ?? 0, from)),
    );
    const isToSize = from.width === to.width && from.height === to.height;
    const sized = isToSize
      ? { format, planes, strides }
      : this.#resize(from, { format, planes, strides }, to);
    const context = this.#context(to, to, sized.format, AV_PIX_FMT_RGB24, SWS_BILINEAR);
    const stride = Math.ceil((to.width * 3) / ROW_ALIGN) * ROW_ALIGN + ROW_ALIGN;
    const size = stride * to.height;
    if (this.#scratch.length < size) this.#scratch = Buffer.alloc(size);
    check(
      context.scaleSync(sized.planes, sized.strides, 0, to.height, [this.#scratch], [stride]),
      'making colours of a region',
    );
    return stride;
  }

  /** Into a frame that is written over by the next one of this size. */
  #resize(from: Size, { format, planes, strides }: Planes, to: Size): Planes {
    const target = FULL_RANGE_FORMATS.has(format) ? AV_PIX_FMT_YUVJ420P : AV_PIX_FMT_YUV420P;
    const out = this.#output(to, target);
    const sized = { format: target, planes: out.data ?? [], strides: out.linesize };
    const context = this.#context(from, to, format, target, SWS_BILINEAR);
    check(
      context.scaleSync(planes, strides, 0, from.height, sized.planes, sized.strides),
      'cutting out a region',
    );
    return sized;
  }

  #scaleFrame(picture: Frame, to: Size, format: AVPixelFormat, flags: SwsFlags): Uint8Array {
    const context = this.#context(picture, to, pixelFormatOf(picture), format, flags);
    const out = this.#output(to, format);
    check(context.scaleFrameSync(out, picture), 'scaling a picture');
    return out.toBuffer();
  }

  #context(
    from: Size,
    to: Size,
    fromFormat: AVPixelFormat,
    toFormat: AVPixelFormat,
    flags: SwsFlags,
  ): SoftwareScaleContext {
    const key = `${from.width}x${from.height}/${fromFormat}>${to.width}x${to.height}/${toFormat}/${flags}`;
    return cached(
      this.#contexts,
      key,
      (old) => old.freeContext(),
      () => {
        const context = new SoftwareScaleContext();
        context.getContext(from.width, from.height, fromFormat, to.width, to.height, toFormat, flags);
        return context;
      },
    );
  }

  #output({ width, height }: Size, format: AVPixelFormat): Frame {
    return cached(
      this.#outputs,
      `${width}x${height}/${format}`,
      (old) => old.free(),
      () => blank(width, height, format),
    );
  }
}

function blank(width: number, height: number, format: AVPixelFormat): Frame {
  const frame = new Frame();
  frame.alloc();
  frame.width = width;
  frame.height = height;
  frame.format = format;
  check(frame.getBuffer(), 'making room for a picture');
  return frame;
}

export function pixelFormatOf(picture: Frame): AVPixelFormat {
  const format = picture.format as AVPixelFormat;
  return picture.colorRange === AVCOL_RANGE_JPEG ? (FULL_RANGE.get(format) ?? format) : format;
}

/** The part of `rect` that lies inside the picture, on even pixels because chroma has half the resolution. */
function visible(rect: PixelRect, picture: Size): PixelRect | null {
  const evenUp = (v: number): number => Math.ceil(v / 2) * 2;
  const evenDown = (v: number): number => Math.floor(v / 2) * 2;
  const x = evenUp(Math.max(0, rect.x));
  const y = evenUp(Math.max(0, rect.y));
  const width = evenDown(Math.min(picture.width, rect.x + rect.width)) - x;
  const height = evenDown(Math.min(picture.height, rect.y + rect.height)) - y;
  return width > 0 && height > 0 ? { x, y, width, height } : null;
}

/**
 * How an 8-bit picture lies in memory, per plane: bytes per sample and subsampling as powers of two. The first
 * plane of each format below is luma.
 */
interface PlaneLayout {
  readonly bytes: number;
  readonly shiftX: number;
  readonly shiftY: number;
}

const FULL: PlaneLayout = { bytes: 1, shiftX: 0, shiftY: 0 };
const QUARTER: PlaneLayout = { bytes: 1, shiftX: 1, shiftY: 1 };
const HALF: PlaneLayout = { bytes: 1, shiftX: 1, shiftY: 0 };
const PAIRS: PlaneLayout = { bytes: 2, shiftX: 1, shiftY: 1 };

const LAYOUTS: ReadonlyMap<number, readonly PlaneLayout[]> = new Map<number, readonly PlaneLayout[]>([
  [AV_PIX_FMT_GRAY8, [FULL]],
  [AV_PIX_FMT_NV12, [FULL, PAIRS]],
  [AV_PIX_FMT_NV21, [FULL, PAIRS]],
  ...[AV_PIX_FMT_YUV420P, AV_PIX_FMT_YUVJ420P].map((format) => [format, [FULL, QUARTER, QUARTER]] as const),
  ...[AV_PIX_FMT_YUV422P, AV_PIX_FMT_YUVJ422P].map((format) => [format, [FULL, HALF, HALF]] as const),
  ...[AV_PIX_FMT_YUV444P, AV_PIX_FMT_YUVJ444P].map((format) => [format, [FULL, FULL, FULL]] as const),
]);

/** Whether regions can be cut out of pictures of this format without touching the rest. */
export const canCutOut = (format: AVPixelFormat): boolean => LAYOUTS.has(format);

function regionOffset(format: AVPixelFormat, plane: number, stride: number, { x, y }: PixelRect): number {
  const { bytes, shiftX, shiftY } = LAYOUTS.get(format)?.[plane] ?? FULL;
  return (y >> shiftY) * stride + (x >> shiftX) * bytes;
}

/** The entry of `key`, made when absent; the one unused for longest is given up for it. */
function cached<T>(map: Map<string, T>, key: string, discard: (old: T) => void, make: () => T): T {
  const known = map.get(key);
  if (known !== undefined) {
    map.delete(key);
    map.set(key, known);
    return known;
  }
  for (const [oldest, value] of map) {
    if (map.size < MAX_CONTEXTS) break;
    map.delete(oldest);
    discard(value);
  }
  const made = make();
  map.set(key, made);
  return made;
}
