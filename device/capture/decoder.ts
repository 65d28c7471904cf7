import { Codec, CodecContext, Frame, type CodecParameters, type Packet } from 'node-av/lib';
import { AV_NOPTS_VALUE, AVERROR_EOF, AVERROR_INVALIDDATA } from 'node-av/constants';
import { CodedError } from '../contract/errors.ts';
import { AVERROR_EAGAIN, check } from './ffmpeg.ts';

/** Above this many pixels a picture is decoded off the event loop, which costs a hop but keeps the loop free. */
const INLINE_PIXELS = 640 * 480;

/** Called for each picture, in order of presentation. The frame is only lent for the call, or until its promise settles. */
export type OnPicture = (frame: Frame, ptsTicks: number) => void | Promise<void>;

/**
 * draft: edges of blocks are not smoothed, which saves a seventh of the time. On footage of a street the picture stays
 * within 37–43 dB of the full one, even 10 s after a key frame: enough for looking at, not for keeping.
 */
export type Quality = 'draft' | 'full';

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
  static open(
    parameters: CodecParameters,
    pixels: number,
    onPicture: OnPicture,
    quality: Quality = 'full',
  ): Decoder {
    const codec = Codec.findDecoder(parameters.codecId);
    if (!codec) throw new CodedError('CAMERA_CODEC_UNSUPPORTED', 'no decoder for it');
    const context = new CodecContext();
    context.allocContext3(codec);
    try {
      check(context.parametersToContext(parameters), 'preparing the decoder');
      // More threads save no time at camera rates; they cost memory and wake-ups.
      context.threadCount = 1;
      if (quality === 'draft') check(context.setOption('skip_loop_filter', 'all'), 'preparing the decoder');
      check(context.open2Sync(codec, null), 'opening the decoder');
    } catch (error) {
      context.freeContext();
      throw error;
    }
    return new Decoder(context, pixels > 0 && pixels <= INLINE_PIXELS, onPicture);
  }

  /**
   * Damaged packets are passed over: the next key frame mends the picture. Without a promise it is done already: at
   * a few packets a second no code stays warm, and waiting for nothing is not cheap.
   */
  decode(packet: Packet): void | Promise<void> {
    if (!this.#inline) return this.#context.sendPacket(packet).then((code) => this.#sent(code));
    return this.#sent(this.#context.sendPacketSync(packet));
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

  #sent(code: number): void | Promise<void> {
    if (code !== AVERROR_INVALIDDATA) check(code, 'decoding');
    return this.#receive();
  }

  #receive(): void | Promise<void> {
    for (;;) {
      const code = this.#context.receiveFrameSync(this.#frame);
      if (code === AVERROR_EAGAIN || code === AVERROR_EOF) return;
      if (code === AVERROR_INVALIDDATA) continue;
      check(code, 'decoding');
      const pts = this.#frame.bestEffortTimestamp;
      const looking = pts === AV_NOPTS_VALUE ? undefined : this.#onPicture(this.#frame, Number(pts));
      if (looking) return looking.then(() => this.#receiveNext());
      this.#frame.unref();
    }
  }

  #receiveNext(): void | Promise<void> {
    this.#frame.unref();
    return this.#receive();
  }
}
