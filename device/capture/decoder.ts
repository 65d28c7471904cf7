import { Codec, CodecContext, Frame, type CodecParameters, type Packet } from 'node-av/lib';
import { AV_NOPTS_VALUE, AVERROR_EOF, AVERROR_INVALIDDATA } from 'node-av/constants';
import { CodedError } from '../contract/errors.ts';
import { AVERROR_EAGAIN, check } from './ffmpeg.ts';

/** Above this many pixels a picture is decoded off the event loop, which costs a hop but keeps the loop free. */
const INLINE_PIXELS = 640 * 480;

/** Called for each picture, in order of presentation. The frame is only lent for the call. */
export type OnPicture = (frame: Frame, ptsTicks: number) => unknown;

/** A video decoder. Timestamps of packets come back as timestamps of pictures. */
export class Decoder implements Disposable {
  readonly #context: CodecContext;
  readonly #frame: Frame;
  readonly #onPicture: OnPicture;
  readonly #inline: boolean;

  private constructor(context: CodecContext, inline: boolean, onPicture: OnPicture) {
    this.#context = context;
    this.#inline = inline;
    this.#onPicture = onPicture;
    this.#frame = new Frame();
    this.#frame.alloc();
  }

  /** `pixels`: of one picture as far as known; 0 = unknown. Throws CAMERA_CODEC_UNSUPPORTED or FfmpegFailure. */
  static open(parameters: CodecParameters, pixels: number, onPicture: OnPicture): Decoder {
    const codec = Codec.findDecoder(parameters.codecId);
    if (!codec) throw new CodedError('CAMERA_CODEC_UNSUPPORTED', 'no decoder for it');
    const context = new CodecContext();
    context.allocContext3(codec);
    try {
      check(context.parametersToContext(parameters), 'preparing the decoder');
      // More threads save no time at camera rates; they cost memory and wake-ups.
      context.threadCount = 1;
      check(context.open2Sync(codec, null), 'opening the decoder');
    } catch (error) {
      context.freeContext();
      throw error;
    }
    return new Decoder(context, pixels > 0 && pixels <= INLINE_PIXELS, onPicture);
  }

  /** Damaged packets are passed over: the next key frame mends the picture. */
  async decode(packet: Packet): Promise<void> {
    const code = this.#inline ? this.#context.sendPacketSync(packet) : await this.#context.sendPacket(packet);
    if (code !== AVERROR_INVALIDDATA) check(code, 'decoding');
    await this.#receive();
  }

  /** Gives out the pictures still inside, and is ready for packets from elsewhere. */
  async flush(): Promise<void> {
    await this.#context.sendPacket(null);
    await this.#receive();
    this.#context.flushBuffers();
  }

  /** Forgets the pictures still inside. */
  reset(): void {
    this.#context.flushBuffers();
  }

  [Symbol.dispose](): void {
    this.#frame.free();
    this.#context.freeContext();
  }

  async #receive(): Promise<void> {
    for (;;) {
      const code = this.#context.receiveFrameSync(this.#frame);
      if (code === AVERROR_EAGAIN || code === AVERROR_EOF) return;
      if (code === AVERROR_INVALIDDATA) continue;
      check(code, 'decoding');
      const pts = this.#frame.bestEffortTimestamp;
      try {
        if (pts !== AV_NOPTS_VALUE) await this.#onPicture(this.#frame, Number(pts));
      } finally {
        this.#frame.unref();
      }
    }
  }
}
