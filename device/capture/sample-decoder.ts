import { Packet } from 'node-av/lib';
import type { VideoTrack } from '../contract/media.ts';
import { Decoder, type OnPicture, type Quality } from './decoder.ts';
import { parametersOf } from './stream-config.ts';
import type { Stamp } from './timeline.ts';

/** Decodes samples as MP4 stores them. */
export class SampleDecoder implements Disposable {
  readonly #decoder: Decoder;
  readonly #packet: Packet;

  /** Throws as `Decoder.open`. */
  constructor({ codec, config, width, height }: VideoTrack, onPicture: OnPicture, quality: Quality) {
    const parameters = parametersOf(codec, Buffer.from(config));
    parameters.width = width;
    parameters.height = height;
    this.#decoder = Decoder.open(parameters, width * height, onPicture, quality);
    this.#packet = new Packet();
    this.#packet.alloc();
  }

  /** `data` stays the caller's: FFmpeg's copy has the padding its readers need. As `Decoder.decode`. */
  decode(data: Buffer, { pts, dts }: Stamp): void | Promise<void> {
    const packet = this.#packet;
    packet.unref();
    packet.data = data;
    packet.pts = BigInt(pts);
    packet.dts = BigInt(dts);
    return this.#decoder.decode(packet);
  }

  flush(): Promise<void> {
    return this.#decoder.flush();
  }

  [Symbol.dispose](): void {
    this.#decoder[Symbol.dispose]();
    this.#packet.free();
  }
}
