import { CodecParameters, Packet, Rational } from 'node-av/lib';
import { AVMEDIA_TYPE_VIDEO } from 'node-av/constants';
import type { MediaPacket, PixelFrame, VideoTrack } from '../contract/media.ts';
import { Decoder } from './decoder.ts';
import { Picture } from './picture.ts';
import { Scaling } from './scaling.ts';
import { CODEC_IDS } from './stream-config.ts';

/** Contexts for stills come and go with their sizes; there are few, so they are kept for the process. */
const scaling = new Scaling();

/**
 * The picture shown at `utcMs` (the last one that begins by then), out of packets of video in decode order that
 * begin with a key frame. null when none of them is that early. The caller releases it.
 */
export async function decodeAt(
  video: VideoTrack,
  packets: readonly MediaPacket[],
  utcMs: number,
): Promise<PixelFrame | null> {
  using reader = new GopReader();
  return await reader.at(video, packets, utcMs);
}

/**
 * As `decodeAt`, time after time, one call at a time: while later and later pictures of one GOP are asked for,
 * each of its packets is decoded once.
 */
export class GopReader implements Disposable {
  #decoder: Decoder | null = null;
  #video: VideoTrack | null = null;
  /** The decoder has taken this key frame and what follows it, `#taken` packets in all; null: it must begin anew. */
  #key: MediaPacket | null = null;
  #taken = 0;
  #packets: ReadonlyMap<number, MediaPacket> = new Map();
  #wantedPts = -Infinity;
  #shownPts = -Infinity;
  #found: Picture | null = null;

  /** How many pictures `at` would decode. */
  pictures(packets: readonly MediaPacket[]): number {
    return packets.length - (this.#goesOn(packets) ? this.#taken : 0);
  }

  async at(video: VideoTrack, packets: readonly MediaPacket[], utcMs: number): Promise<PixelFrame | null> {
    this.#wantedPts = Math.max(...packets.filter((packet) => packet.utcMs <= utcMs).map(({ pts }) => pts));
    const key = packets[0];
    if (!key || this.#wantedPts === -Infinity) return null;
    const goesOn = this.#goesOn(packets) && video === this.#video && this.#wantedPts > this.#shownPts;
    // Until all went well.
    this.#key = null;
    this.#packets = new Map(packets.map((packet) => [packet.pts, packet]));
    const decoder = goesOn && this.#decoder ? this.#decoder : this.#begin(video);
    try {
      await feed(decoder, video, packets.slice(goesOn ? this.#taken : 0));
      if (this.#shownPts >= this.#wantedPts) {
        this.#key = key;
        this.#taken = packets.length;
      } else {
        // It holds pictures back to put them in order; what is squeezed out cannot be gone on from.
        await decoder.flush();
      }
      return this.#found;
    } catch (error) {
      this.#found?.release();
      throw error;
    } finally {
      this.#found = null;
    }
  }

  [Symbol.dispose](): void {
    this.#decoder?.[Symbol.dispose]();
    this.#decoder = null;
    this.#key = null;
  }

  #goesOn(packets: readonly MediaPacket[]): boolean {
    return this.#key !== null && this.#key === packets[0] && packets.length >= this.#taken;
  }

  #begin(video: VideoTrack): Decoder {
    this.#shownPts = -Infinity;
    if (this.#decoder && video === this.#video) {
      this.#decoder.reset();
      return this.#decoder;
    }
    this.#decoder?.[Symbol.dispose]();
    this.#decoder = null;
    this.#video = video;
    const parameters = new CodecParameters();
    parameters.alloc();
    parameters.codecType = AVMEDIA_TYPE_VIDEO;
    parameters.codecId = CODEC_IDS[video.codec];
    parameters.extradata = Buffer.from(video.config);
    parameters.width = video.width;
    parameters.height = video.height;
    this.#decoder = Decoder.open(parameters, 0, (frame, pts) => {
      this.#shownPts = Math.max(this.#shownPts, pts);
      const packet = this.#packets.get(pts);
      if (!packet || pts > this.#wantedPts) return;
      this.#found?.release();
      const mediaMs = (pts * 1000) / video.timescale;
      this.#found = Picture.lend(
        frame,
        { generation: packet.generation, mediaMs, utcMs: packet.utcMs },
        scaling,
      );
    });
    return this.#decoder;
  }
}

async function feed(decoder: Decoder, video: VideoTrack, packets: readonly MediaPacket[]): Promise<void> {
  using packet = new Packet();
  packet.alloc();
  for (const { data, pts, dts } of packets) {
    packet.data = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
    packet.pts = BigInt(pts);
    packet.dts = BigInt(dts);
    packet.timeBase = new Rational(1, video.timescale);
    await decoder.decode(packet);
    packet.unref();
  }
}
