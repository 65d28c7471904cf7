import { Codec, CodecContext, Dictionary, Packet, Rational, type Frame } from 'node-av/lib';
import {
  type FFEncoderCodec,
  AV_CODEC_FLAG_GLOBAL_HEADER,
  AV_PICTURE_TYPE_NONE,
  AV_PIX_FMT_YUV420P,
  AVERROR_EOF,
} from 'node-av/constants';
import type { Size } from '../contract/geometry.ts';
import { AVERROR_EAGAIN, check, FfmpegFailure } from './ffmpeg.ts';
import { Packetizer, type Sample } from './packetizer.ts';
import type { Scaling } from './scaling.ts';
import { VIDEO_TIMESCALE } from './timeline.ts';

/** Hardware first. A board without it fails to open it, and software takes over. */
const ENCODERS: readonly { name: string; options: Readonly<Record<string, string>> }[] = [
  { name: 'h264_v4l2m2m', options: {} },
  {
    name: 'libx264',
    options: { preset: 'veryfast', tune: 'zerolatency', crf: '23', 'x264-params': 'scenecut=0' },
  },
];
/** Only hardware encoders, which know no constant quality, are told one. */
const BITS_PER_PIXEL = 0.1;

export interface EncodedSample extends Sample {
  readonly pts: number;
}

/** Raw pictures → H.264 without B-frames, a key frame a second, for cameras that do not compress themselves. */
export class Encoder implements Disposable {
  readonly #context: CodecContext;
  readonly #packetizer: Packetizer;
  readonly #packet = new Packet();
  readonly #scaling: Scaling;
  readonly #size: Size;

  private constructor(context: CodecContext, size: Size, scaling: Scaling) {
    this.#context = context;
    this.#size = size;
    this.#scaling = scaling;
    this.#packetizer = new Packetizer('h264', context.extraData ?? Buffer.alloc(0));
    this.#packet.alloc();
  }

  static async open(picture: Size, fps: number, scaling: Scaling): Promise<Encoder> {
    // Chroma has half the resolution, so sizes are even.
    const size = { width: picture.width & ~1, height: picture.height & ~1 };
    let failure: unknown;
    for (const { name, options } of ENCODERS) {
      const codec = Codec.findEncoderByName(name as FFEncoderCodec);
      if (!codec) continue;
      const context = new CodecContext();
      try {
        context.allocContext3(codec);
        context.width = size.width;
        context.height = size.height;
        context.pixelFormat = AV_PIX_FMT_YUV420P;
        context.timeBase = new Rational(1, VIDEO_TIMESCALE);
        context.framerate = new Rational(Math.max(1, Math.round(fps)), 1);
        context.gopSize = Math.max(1, Math.round(fps));
        context.maxBFrames = 0;
        context.threadCount = 1;
        context.bitRate = BigInt(Math.round(size.width * size.height * fps * BITS_PER_PIXEL));
        context.setFlags(AV_CODEC_FLAG_GLOBAL_HEADER);
        using dictionary = Dictionary.fromObject(options);
        check(await context.open2(codec, dictionary), `opening ${name}`);
        return new Encoder(context, size, scaling);
      } catch (error) {
        context.freeContext();
        if (!(error instanceof FfmpegFailure)) throw error;
        failure = error;
      }
    }
    throw failure ?? new Error('this FFmpeg has no H.264 encoder');
  }

  /** `pts` in ticks of VIDEO_TIMESCALE, rising. `picture` stays the caller's. */
  async encode(picture: Frame, pts: number): Promise<EncodedSample[]> {
    using frame = this.#scaling.convert(picture, this.#size, AV_PIX_FMT_YUV420P);
    frame.pts = BigInt(pts);
    frame.pictType = AV_PICTURE_TYPE_NONE;
    check(await this.#context.sendFrame(frame), 'encoding');
    const samples: EncodedSample[] = [];
    for (;;) {
      const code = this.#context.receivePacketSync(this.#packet);
      if (code === AVERROR_EAGAIN || code === AVERROR_EOF) return samples;
      check(code, 'encoding');
      const sample = this.#packetizer.sample(copyOf(this.#packet.data));
      if (sample) samples.push({ ...sample, pts: Number(this.#packet.pts) });
      this.#packet.unref();
    }
  }

  [Symbol.dispose](): void {
    this.#packet.free();
    this.#context.freeContext();
  }
}

/** FFmpeg's memory is only lent until the packet is unreferenced. Not from the pool: kept packets would pin it. */
export function copyOf(data: Buffer | null): Buffer {
  const copy = Buffer.allocUnsafeSlow(data?.length ?? 0);
  data?.copy(copy);
  return copy;
}
