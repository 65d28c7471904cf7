/** What flows from a camera: streams, packets, pictures. Codecs are named as in FFmpeg. */
import type { PixelRect } from './geometry.ts';

/** `main` is recorded; `sub`, when a camera has one, is analysed (while it is down, `main` is). */
export type StreamRole = 'main' | 'sub';

export interface VideoTrack {
  readonly codec: 'h264' | 'hevc';
  /** RFC 6381, e.g. `avc1.64001f`. */
  readonly codecString: string;
  /** Decoder configuration record: body of `avcC` / `hvcC` (ISO/IEC 14496-15). */
  readonly config: Uint8Array;
  readonly width: number;
  readonly height: number;
  /** Ticks per second of `pts`, `dts`, `duration`. */
  readonly timescale: number;
  /** As announced by the camera; absent when it does not say. */
  readonly fps?: number;
}

export interface AudioTrack {
  readonly codec: 'aac' | 'opus' | 'pcm_alaw' | 'pcm_mulaw';
  /** AAC: AudioSpecificConfig (ISO/IEC 14496-3). Opus: body of `dOps`. PCM: empty. */
  readonly config: Uint8Array;
  readonly sampleRate: number;
  readonly channels: number;
  readonly timescale: number;
}

/** One connection to one stream of a camera. A reconnect is a new `generation` with its own tracks and clock. */
export interface StreamInfo {
  readonly role: StreamRole;
  readonly generation: number;
  readonly video: VideoTrack;
  readonly audio?: AudioTrack;
  /** What makes its packets, as FFmpeg names it; absent when the camera does. */
  readonly encoder?: string;
}

/** One access unit, already in the form an MP4 sample has (NAL units length-prefixed with 4 bytes). */
export interface MediaPacket {
  readonly track: 'video' | 'audio';
  readonly generation: number;
  /** In ticks of the track's timescale, from the start of the generation. */
  readonly pts: number;
  readonly dts: number;
  readonly duration: number;
  /** Wall clock (UTC, ms) of `pts`: the generation's start plus stream time, so it is as smooth as the stream. */
  readonly utcMs: number;
  readonly key: boolean;
  readonly data: Uint8Array;
}

/**
 * A decoded picture on loan. The receiver calls `release()` exactly once; afterwards every method throws.
 * Nothing converts the whole picture: luma is scaled from the Y plane, colour is made for crops only.
 */
export interface PixelFrame {
  readonly width: number;
  readonly height: number;
  readonly generation: number;
  /** Stream time in ms from the start of the generation (files: from the start of the file). */
  readonly mediaMs: number;
  readonly utcMs: number;
  /** 8-bit luma scaled (area average) to `width`×`height`, row-major, `width * height` bytes. */
  luma(width: number, height: number): Uint8Array;
  /**
   * `rect` of the picture scaled into `width`×`height` RGB, row-major, 3 bytes a pixel. Aspect is kept
   * (letterbox, centred); what lies outside the picture or the fitted area is grey 114.
   */
  crop(rect: PixelRect, width: number, height: number): Uint8Array;
  /** The whole picture as JPEG. */
  jpeg(): Promise<Uint8Array>;
  release(): void;
}
