/** What of a camera's offer is read here, and how. */
import type { AudioTrack } from '../../contract/media.ts';
import type { NalCodec } from '../nal.ts';
import { isParameterSet, nalType } from '../nal.ts';
import { opusConfig } from '../stream-config.ts';
import type { MediaDescription, SessionDescription } from './sdp.ts';
import { aacReader, opusReader, pcmReader, type SoundReader } from './sound.ts';

export interface VideoOffer {
  readonly media: MediaDescription;
  readonly codec: NalCodec;
  readonly clockRate: number;
  /** NAL units; empty where the camera sends them with the pictures only. */
  readonly parameterSets: readonly Buffer[];
  readonly don: boolean;
}

export interface AudioOffer {
  readonly media: MediaDescription;
  readonly track: AudioTrack;
  readonly newReader: () => SoundReader;
}

export interface Offer {
  readonly video: VideoOffer;
  readonly audio: AudioOffer | null;
}

/** Not for us, but FFmpeg may read it. */
export interface Foreign {
  /** For the log. */
  readonly foreign: string;
}

export function chooseTracks({ media }: SessionDescription, wantsAudio: boolean): Offer | Foreign {
  const video = media.find(({ type }) => type === 'video');
  if (!video) return { foreign: 'no video' };
  if (!isPlain(video)) return { foreign: video.protocol.slice(0, 40) };
  const described = describe(video);
  if ('foreign' in described) return described;
  const sound = wantsAudio ? media.find(({ type }) => type === 'audio') : undefined;
  if (!sound || !isPlain(sound)) return { video: described, audio: null };
  // FFmpeg reads AAC in this form; of what is left it knows nothing that we record.
  if (sound.encoding === 'mp4a-latm') return { foreign: 'MP4A-LATM' };
  return { video: described, audio: describeSound(sound) };
}

const isPlain = ({ protocol }: MediaDescription): boolean =>
  ['RTP/AVP', 'RTP/AVP/TCP', 'RTP/AVP/UDP'].includes(protocol);

function describe(media: MediaDescription): VideoOffer | Foreign {
  const { encoding, parameters, payloadType } = media;
  const clockRate = media.clockRate ?? 90_000;
  if (encoding === 'h264') {
    if (Number(parameters.get('packetization-mode') ?? 0) > 1) return { foreign: 'interleaved H.264' };
    const sets = setsOf('h264', parameters.get('sprop-parameter-sets'));
    return { media, codec: 'h264', clockRate, parameterSets: sets, don: false };
  }
  if (encoding === 'h265' || encoding === 'hevc') {
    const sets = ['sprop-vps', 'sprop-sps', 'sprop-pps'].flatMap((name) =>
      setsOf('hevc', parameters.get(name)),
    );
    const don = Number(parameters.get('sprop-max-don-diff') ?? 0) > 0;
    return { media, codec: 'hevc', clockRate, parameterSets: sets, don };
  }
  return { foreign: encoding?.slice(0, 40) ?? `payload type ${payloadType}` };
}

const setsOf = (codec: NalCodec, text = ''): Buffer[] =>
  text
    .split(',')
    .map((part) => Buffer.from(part, 'base64'))
    .filter((set) => set.length > 2 && isParameterSet(codec, nalType(codec, set[0]!)));

/** null: nothing we record. */
function describeSound(media: MediaDescription): AudioOffer | null {
  const { encoding, parameters, payloadType } = media;
  const law =
    encoding === 'pcmu' || (encoding === null && payloadType === 0)
      ? 'pcm_mulaw'
      : isAlaw(media)
        ? 'pcm_alaw'
        : null;
  const empty = new Uint8Array();
  if (law) {
    const clockRate = media.clockRate ?? 8000;
    const channels = media.channels ?? 1;
    const track = {
      codec: law,
      config: empty,
      sampleRate: clockRate,
      channels,
      timescale: clockRate,
    } as const;
    return { media, track, newReader: () => pcmReader(channels) };
  }
  if (encoding === 'opus') {
    const channels = media.channels ?? 2;
    const config = opusConfig(Buffer.alloc(0), channels, 48_000);
    const track = { codec: 'opus', config, sampleRate: 48_000, channels, timescale: 48_000 } as const;
    return { media, track, newReader: opusReader };
  }
  if (encoding !== 'mpeg4-generic' || (parameters.get('mode') ?? '').toLowerCase() !== 'aac-hbr') return null;
  const hex = parameters.get('config') ?? '';
  if (!/^(?:[0-9a-f]{2}){2,64}$/i.test(hex) || media.clockRate === null) return null;
  const clockRate = media.clockRate;
  const bits = (name: string, otherwise: number): number => {
    const value = Number(parameters.get(name) ?? otherwise);
    return Number.isInteger(value) && value >= 0 && value <= 16 ? value : otherwise;
  };
  const constant = Number(parameters.get('constantduration'));
  const track = {
    codec: 'aac',
    config: Uint8Array.from(Buffer.from(hex, 'hex')),
    sampleRate: clockRate,
    channels: media.channels ?? 1,
    timescale: clockRate,
  } as const;
  const format = {
    sizeLength: bits('sizelength', 13),
    indexLength: bits('indexlength', 3),
    indexDeltaLength: bits('indexdeltalength', 3),
    frameTicks: constant > 0 && constant <= 4096 ? constant : 1024,
  };
  return { media, track, newReader: () => aacReader(format) };
}

const isAlaw = ({ encoding, payloadType }: MediaDescription): boolean =>
  encoding === 'pcma' || (encoding === null && payloadType === 8);
