import type { CodecParameters, Packet } from 'node-av/lib';
import { AV_NOPTS_VALUE } from 'node-av/constants';
import type { AudioTrack } from '../contract/media.ts';
import type { SourceStamp, TimeBase } from './timeline.ts';

/** One picture, or piece of sound, as it comes out of a source. Valid until the next one is asked for. */
export interface Unit extends SourceStamp {
  readonly track: 'video' | 'audio';
  readonly byteLength: number;
  /** The caller may keep and rewrite the bytes; called once at most. Video of RTSP is Annex B. */
  takeData(): Buffer | null;
  /** For FFmpeg; stays the feed's. */
  packet(): Packet;
}

export interface VideoFeed {
  readonly parameters: CodecParameters;
  readonly base: TimeBase;
  /** As announced; null: it is not. */
  readonly fps: number | null;
}

export interface AudioFeed {
  readonly track: AudioTrack;
  readonly base: TimeBase;
}

/** An open source of compressed media. */
export interface Feed extends AsyncDisposable {
  readonly video: VideoFeed;
  readonly audio: AudioFeed | null;
  /** null: its end. Without a promise it is there already. Fails when interrupted. One call at a time. */
  next(): Unit | null | Promise<Unit | null>;
  /** The pending `next`, and all later ones, fail soon. */
  interrupt(): void;
  /** To the first unit again; files only. */
  rewind(): Promise<void>;
}

/** What FFmpeg read. */
export class PacketUnit implements Unit {
  readonly track: Unit['track'];
  readonly byteLength: number;
  readonly pts: number | null;
  readonly dts: number | null;
  readonly duration: number;
  readonly #packet: Packet;

  constructor(packet: Packet, track: Unit['track']) {
    this.#packet = packet;
    this.track = track;
    this.byteLength = packet.size;
    this.pts = known(packet.pts);
    this.dts = known(packet.dts);
    this.duration = Number(packet.duration);
  }

  /** node-av copies the bytes out of FFmpeg's memory. */
  takeData(): Buffer | null {
    return this.#packet.data;
  }

  packet(): Packet {
    return this.#packet;
  }
}

const known = (value: bigint): number | null => (value === AV_NOPTS_VALUE ? null : Number(value));
