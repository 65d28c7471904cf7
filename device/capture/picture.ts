import type { Frame } from 'node-av/lib';
import { AV_PIX_FMT_YUV420P } from 'node-av/constants';
import type { PixelRect } from '../contract/geometry.ts';
import type { PixelFrame } from '../contract/media.ts';
import { encodeJpeg } from './jpeg.ts';
import { canCutOut, pixelFormatOf, type Scaling } from './scaling.ts';

/** When a picture was taken. */
export interface PictureTime {
  readonly generation: number;
  readonly mediaMs: number;
  readonly utcMs: number;
}

let lent = 0;

/** Pictures that nobody has given back yet, in this process; what is not zero at the end is a leak. */
export const picturesOnLoan = (): number => lent;

/** A decoded picture on loan. Shares the decoder's memory until it is released. */
export class Picture implements PixelFrame {
  readonly width: number;
  readonly height: number;
  readonly generation: number;
  readonly mediaMs: number;
  readonly utcMs: number;
  readonly #scaling: Scaling;
  #frame: Frame | null;

  private constructor(frame: Frame, time: PictureTime, scaling: Scaling) {
    this.#frame = frame;
    this.#scaling = scaling;
    this.width = frame.width;
    this.height = frame.height;
    this.generation = time.generation;
    this.mediaMs = time.mediaMs;
    this.utcMs = time.utcMs;
  }

  /** `frame` stays the caller's. */
  static lend(frame: Frame, time: PictureTime, scaling: Scaling): Picture {
    // Rare formats are brought into a common one at once, so that crops need not know them.
    const own = canCutOut(pixelFormatOf(frame))
      ? frame.clone()
      : scaling.convert(frame, frame, AV_PIX_FMT_YUV420P);
    if (!own) throw new Error('no memory for a picture');
    lent += 1;
    return new Picture(own, time, scaling);
  }

  luma(width: number, height: number): Uint8Array {
    return this.#scaling.luma(this.#borrowed(), width, height);
  }

  crop(rect: PixelRect, width: number, height: number): Uint8Array {
    return this.#scaling.crop(this.#borrowed(), rect, width, height);
  }

  async jpeg(): Promise<Uint8Array> {
    return encodeJpeg(this.#borrowed(), this.#scaling);
  }

  release(): void {
    this.#borrowed().free();
    this.#frame = null;
    lent -= 1;
  }

  #borrowed(): Frame {
    if (!this.#frame) throw new Error('this picture was released already');
    return this.#frame;
  }
}
