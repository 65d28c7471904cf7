import { Codec, CodecContext, Dictionary, Packet, Rational, type Frame } from 'node-av/lib';
import {
  type FFEncoderCodec,
  AV_CODEC_FLAG_GLOBAL_HEADER,
  AV_PICTURE_TYPE_I,
  AV_PICTURE_TYPE_NONE,
  AV_PIX_FMT_YUV420P,
  AV_PIX_FMT_YUVJ420P,
  AVCOL_RANGE_JPEG,
  AVCOL_RANGE_MPEG,
  AVCOL_SPC_RGB,
  AVERROR_EOF,
  type AVPixelFormat,
} from 'node-av/constants';
import type { Size } from '../contract/geometry.ts';
import { AVERROR_EAGAIN, check, FfmpegFailure } from './ffmpeg.ts';
import { Packetizer, type Sample } from './packetizer.ts';
import { pixelFormatOf, type Scaling } from './scaling.ts';
import { VIDEO_TIMESCALE } from './timeline.ts';

export interface EncoderChoice {
  readonly name: string;
  readonly options: Readonly<Record<string, string>>;
}

/** Hardware first. A board without it fails to open it, and software takes over. */
export const ENCODERS: readonly EncoderChoice[] = [
  { name: 'h264_v4l2m2m', options: {} },
  {
    name: 'libx264',
    options: {
      preset: 'veryfast',
      tune: 'zerolatency',
      crf: '23',
      'x264-params': 'scenecut=0',
      'forced-idr': '1',
    },
  },
];
/** Only hardware encoders, which know no constant quality, are told one. */
const BITS_PER_PIXEL = 0.1;
/** Of any second: at night noise would ask for many times as much. */
const MOST_BITS_PER_PIXEL = 0.2;
const KEY_EVERY_TICKS = VIDEO_TIMESCALE;

export interface EncodedSample extends Sample {
  readonly pts: number;
}

/** Pictures → H.264 without B-frames, a key frame a second. */
export class Encoder implements Disposable {
  /** As FFmpeg names it. */
  readonly name: string;
  readonly #context: CodecContext;
  readonly #packetizer: Packetizer;
  readonly #packet = new Packet();
  readonly #scaling: Scaling;
  readonly #shape: Shape;
  readonly #frameTicks: number;
  /** Of the newest key frame, wanted or given. */
  #keyPts = 0;

  private constructor(name: string, context: CodecContext, shape: Shape, fps: number, scaling: Scaling) {
    this.name = name;
    this.#context = context;
    this.#shape = shape;
    this.#frameTicks = VIDEO_TIMESCALE / fps;
    this.#scaling = scaling;
    this.#packetizer = new Packetizer('h264', context.extraData ?? Buffer.alloc(0));
    this.#packet.alloc();
  }

  /** For pictures like this one. */
  static async open(picture: Frame, fps: number, scaling: Scaling): Promise<Encoder> {
    const shape = shapeFor(picture);
    const { choice, opened } = await firstThatOpens(ENCODERS, (each) =>
      openContext(each, picture, shape, fps),
    );
    return new Encoder(choice.name, opened, shape, fps, scaling);
  }

  /** `pts` in ticks of VIDEO_TIMESCALE, rising. `picture` stays the caller's. */
  async encode(picture: Frame, pts: number): Promise<EncodedSample[]> {
    using frame = this.#fit(picture);
    const keyDue = pts + this.#frameTicks / 2 >= this.#keyPts + KEY_EVERY_TICKS;
    if (keyDue) this.#keyPts = pts;
    frame.pts = BigInt(pts);
    frame.pictType = keyDue ? AV_PICTURE_TYPE_I : AV_PICTURE_TYPE_NONE;
    check(await this.#context.sendFrame(frame), 'encoding');
    const samples: EncodedSample[] = [];
    for (;;) {
      const code = this.#context.receivePacketSync(this.#packet);
      if (code === AVERROR_EAGAIN || code === AVERROR_EOF) return samples;
      check(code, 'encoding');
      const { data } = this.#packet;
      const sample = data && this.#packetizer.sample(data);
      const samplePts = Number(this.#packet.pts);
      if (sample) samples.push({ ...sample, pts: samplePts });
      if (sample?.key) this.#keyPts = Math.max(this.#keyPts, samplePts);
      this.#packet.unref();
    }
  }

  [Symbol.dispose](): void {
    this.#packet.free();
    this.#context.freeContext();
  }

  /** The picture as the encoder takes it; shares its memory where it fits as it is. */
  #fit(picture: Frame): Frame {
    const { width, height, format } = this.#shape;
    const fits = picture.width === width && picture.height === height && pixelFormatOf(picture) === format;
    const frame = fits ? picture.clone() : this.#scaling.convert(picture, this.#shape, format);
    if (!frame) throw new Error('no memory for a picture');
    // Encoders know full range by the range alone, not by a format of its own.
    frame.format = AV_PIX_FMT_YUV420P;
    frame.colorRange = rangeOf(format);
    return frame;
  }
}

interface Shape extends Size {
  /** yuv420p, or yuvj420p for full range. */
  readonly format: AVPixelFormat;
}

const shapeFor = (picture: Frame): Shape => ({
  // Chroma has half the resolution, so sizes are even.
  width: picture.width & ~1,
  height: picture.height & ~1,
  format: pixelFormatOf(picture) === AV_PIX_FMT_YUVJ420P ? AV_PIX_FMT_YUVJ420P : AV_PIX_FMT_YUV420P,
});

const rangeOf = (format: AVPixelFormat) =>
  format === AV_PIX_FMT_YUVJ420P ? AVCOL_RANGE_JPEG : AVCOL_RANGE_MPEG;

/** Throws FfmpegFailure when this machine cannot run it. null: this FFmpeg does not have it. */
async function openContext(
  { name, options }: EncoderChoice,
  picture: Frame,
  { width, height, format }: Shape,
  fps: number,
): Promise<CodecContext | null> {
  const codec = Codec.findEncoderByName(name as FFEncoderCodec);
  if (!codec) return null;
  const context = new CodecContext();
  try {
    context.allocContext3(codec);
    context.width = width;
    context.height = height;
    context.pixelFormat = AV_PIX_FMT_YUV420P;
    context.colorRange = rangeOf(format);
    if (picture.colorSpace !== AVCOL_SPC_RGB) {
      context.colorSpace = picture.colorSpace;
      context.colorPrimaries = picture.colorPrimaries;
      context.colorTrc = picture.colorTrc;
    }
    context.timeBase = new Rational(1, VIDEO_TIMESCALE);
    context.framerate = new Rational(Math.max(1, Math.round(fps)), 1);
    context.gopSize = Math.max(1, Math.round(fps));
    context.maxBFrames = 0;
    context.threadCount = 1;
    const pixelRate = width * height * fps;
    context.bitRate = BigInt(Math.round(pixelRate * BITS_PER_PIXEL));
    context.rcMaxRate = BigInt(Math.round(pixelRate * MOST_BITS_PER_PIXEL));
    context.rcBufferSize = Math.round(pixelRate * MOST_BITS_PER_PIXEL);
    context.setFlags(AV_CODEC_FLAG_GLOBAL_HEADER);
    using dictionary = Dictionary.fromObject(options);
    check(await context.open2(codec, dictionary), `opening ${name}`);
    return context;
  } catch (error) {
    context.freeContext();
    throw error;
  }
}

/** The first choice that can be opened. Rethrows the last failure when none can. */
export async function firstThatOpens<C extends EncoderChoice, T>(
  choices: readonly C[],
  open: (choice: C) => Promise<T | null>,
): Promise<{ choice: C; opened: T }> {
  let failure: unknown = new Error('this FFmpeg has no H.264 encoder');
  for (const choice of choices) {
    try {
      const opened = await open(choice);
      if (opened !== null) return { choice, opened };
    } catch (error) {
      if (!(error instanceof FfmpegFailure)) throw error;
      failure = error;
    }
  }
  throw failure;
}
