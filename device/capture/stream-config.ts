import { Codec, CodecContext, CodecParameters, type Stream } from 'node-av/lib';
import {
  AV_CODEC_ID_AAC,
  AV_CODEC_ID_H264,
  AV_CODEC_ID_HEVC,
  AV_CODEC_ID_OPUS,
  AV_CODEC_ID_PCM_ALAW,
  AV_CODEC_ID_PCM_MULAW,
  AVMEDIA_TYPE_VIDEO,
  type AVProfile,
} from 'node-av/constants';
import { CodedError } from '../contract/errors.ts';
import type { Size } from '../contract/geometry.ts';
import type { AudioTrack, VideoTrack } from '../contract/media.ts';
import { audioSpecificConfig } from './adts.ts';
import { check } from './ffmpeg.ts';
import { h264ReorderDepth } from './h264-sps.ts';
import { hevcPictureSize } from './hevc-sps.ts';
import { isSps, joinAnnexB, nalType, type NalCodec } from './nal.ts';
import { VIDEO_TIMESCALE } from './timeline.ts';

export const CODEC_IDS = { h264: AV_CODEC_ID_H264, hevc: AV_CODEC_ID_HEVC } as const;

/** What parameter sets say about a stream. */
export interface VideoConfig {
  readonly track: VideoTrack;
  /** Pictures are shown at most so many positions after they are decoded; 0 = no B-frames. */
  readonly reorderDepth: number;
}

/**
 * Reads parameter sets (NAL units without start codes: SPS and PPS, for HEVC also VPS).
 * Throws CAMERA_INPUT_INVALID where they make no sense.
 */
export function describeVideo(codec: NalCodec, parameterSets: readonly Uint8Array[]): VideoConfig {
  const spsList = parameterSets.filter((nal) => isSps(codec, nalType(codec, nal[0]!)));
  const { width, height, fps, profile, level } = announced(codec, spsList);
  const all = parametersOf(codec, joinAnnexB(parameterSets));
  all.width = width;
  all.height = height;
  if (profile !== null) all.profile = profile;
  if (level !== null) all.level = level;
  const config = all.getDecoderConfigurationRecord();
  const codecString = codec === 'h264' && config ? avcString(config) : all.getCodecString();
  if (!config || !codecString || width <= 0 || height <= 0)
    throw new CodedError('CAMERA_INPUT_INVALID', `${codec} parameter sets cannot be read`);
  return {
    track: {
      codec,
      codecString,
      config: Uint8Array.from(config),
      width,
      height,
      timescale: VIDEO_TIMESCALE,
      // Cameras announce 0.1 or 1000 too; such a value helps nobody.
      ...(fps !== null && fps >= 1 && fps <= 240 ? { fps: Math.round(fps * 1000) / 1000 } : {}),
    },
    reorderDepth: codec === 'h264' ? h264Depth(spsList[0]) : hevcDepth(all),
  };
}

interface Announced extends Size {
  readonly fps: number | null;
  readonly profile: AVProfile | null;
  readonly level: number | null;
}

/** What the sequence parameter set says; a size of 0 when it cannot be read. */
function announced(codec: NalCodec, spsList: readonly Uint8Array[]): Announced {
  const unreadable = { width: 0, height: 0, fps: null, profile: null, level: null };
  const plain = spsList.map(unescape);
  if (codec === 'hevc') {
    try {
      return plain[0] ? { ...unreadable, ...hevcPictureSize(plain[0]) } : unreadable;
    } catch (error) {
      if (error instanceof RangeError) return unreadable;
      throw error;
    }
  }
  const parameters = parametersOf(codec, joinAnnexB(plain));
  parameters.parseExtradata();
  const { width, height, profile, level, frameRate } = parameters;
  const fps = frameRate.num > 0 && frameRate.den > 0 ? frameRate.num / frameRate.den : null;
  return { width, height, profile, level, fps };
}

/**
 * Without emulation prevention bytes (ITU-T H.264 §7.4.1). FFmpeg's reader of SPS expects them to be gone, and
 * `parseExtradata` does not see to it: a time scale of 90000 is enough for it to fail.
 */
function unescape(nal: Uint8Array): Uint8Array {
  const out: number[] = [];
  let zeros = 0;
  for (const byte of nal) {
    const prevents = zeros >= 2 && byte === 3;
    zeros = byte === 0 ? zeros + 1 : 0;
    if (!prevents) out.push(byte);
  }
  return Uint8Array.from(out);
}

/** RFC 6381 §3.3: profile, constraints and level, as bytes 1 to 3 of `avcC`. */
const avcString = (config: Buffer): string => `avc1.${config.subarray(1, 4).toString('hex')}`;

/** What FFmpeg needs to open a decoder. `extradata`: Annex B, or a configuration record. */
export function parametersOf(codec: NalCodec, extradata: Buffer): CodecParameters {
  const parameters = new CodecParameters();
  parameters.alloc();
  parameters.codecType = AVMEDIA_TYPE_VIDEO;
  parameters.codecId = CODEC_IDS[codec];
  parameters.extradata = extradata;
  return parameters;
}

function h264Depth(sps: Uint8Array | undefined): number {
  try {
    return sps ? h264ReorderDepth(unescape(sps)) : 0;
  } catch (error) {
    if (error instanceof RangeError) return 0;
    throw error;
  }
}

/** `sps_max_num_reorder_pics`, as FFmpeg's decoder reads it when opened. */
function hevcDepth(parameters: CodecParameters): number {
  const codec = Codec.findDecoder(parameters.codecId);
  if (!codec) return 0;
  using context = new CodecContext();
  context.allocContext3(codec);
  check(context.parametersToContext(parameters), 'reading stream parameters');
  context.threadCount = 1;
  return context.open2Sync(codec, null) < 0 ? 0 : context.hasBFrames;
}

/** null: a codec we do not copy. */
export function describeAudio(stream: Stream): AudioTrack | null {
  const { codecpar } = stream;
  const codec = AUDIO_CODECS.get(codecpar.codecId);
  const { sampleRate, channels } = codecpar;
  if (!codec || sampleRate <= 0) return null;
  const extradata = codecpar.extradata ?? Buffer.alloc(0);
  const config =
    codec === 'opus'
      ? opusConfig(extradata, channels, sampleRate)
      : codec !== 'aac'
        ? new Uint8Array()
        : extradata.length > 0
          ? Uint8Array.from(extradata)
          : audioSpecificConfig(codecpar.profile, sampleRate, channels);
  if (!config) return null;
  return { codec, config, sampleRate, channels: Math.max(1, channels), timescale: sampleRate };
}

const AUDIO_CODECS: ReadonlyMap<number, AudioTrack['codec']> = new Map([
  [AV_CODEC_ID_AAC, 'aac'],
  [AV_CODEC_ID_OPUS, 'opus'],
  [AV_CODEC_ID_PCM_ALAW, 'pcm_alaw'],
  [AV_CODEC_ID_PCM_MULAW, 'pcm_mulaw'],
]);

/**
 * Body of `dOps` ("Encapsulation of Opus in ISOBMFF" §4.3.2) from an `OpusHead` (RFC 7845 §5.1), which has the
 * same fields but little endian; RTP carries none, so mono or stereo without skip is assumed (RFC 7587 §4.1).
 */
export function opusConfig(opusHead: Buffer, channels: number, sampleRate: number): Uint8Array {
  const out = Buffer.alloc(11);
  const given = opusHead.length >= 19;
  out.writeUInt8(0, 0);
  out.writeUInt8(given ? opusHead.readUInt8(9) : Math.max(1, channels), 1);
  out.writeUInt16BE(given ? opusHead.readUInt16LE(10) : 0, 2);
  out.writeUInt32BE(given ? opusHead.readUInt32LE(12) : sampleRate, 4);
  out.writeInt16BE(given ? opusHead.readInt16LE(16) : 0, 8);
  out.writeUInt8(0, 10);
  return Uint8Array.from(out);
}
