/** Real streams for tests of the recorder: FFmpeg encodes a moving pattern, our test reader takes it apart. */
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { AudioTrack, MediaPacket, StreamInfo, VideoTrack } from '../../device/contract/media.ts';
import { requirePackages } from '../harness/packages.ts';
import { readMp4, type Mp4Track } from '../unit/record/mp4.ts';

requirePackages(['ffmpeg']);

const run = promisify(execFile);

export interface EncodePlan {
  readonly video: readonly string[];
  readonly audio?: readonly string[];
  readonly seconds?: number;
  readonly fps?: number;
  readonly size?: string;
}

export const X264 = ['-c:v', 'libx264', '-preset', 'ultrafast', '-g', '20', '-bf', '0'] as const;

export interface EncodedStream {
  readonly video: VideoTrack;
  readonly audio?: AudioTrack;
  readonly videoSamples: readonly RawSample[];
  readonly audioSamples: readonly RawSample[];
}

interface RawSample {
  readonly dts: number;
  readonly pts: number;
  readonly duration: number;
  readonly key: boolean;
  readonly data: Uint8Array;
}

const AUDIO_CODECS: Readonly<Record<string, AudioTrack['codec']>> = {
  mp4a: 'aac',
  Opus: 'opus',
  alaw: 'pcm_alaw',
  ulaw: 'pcm_mulaw',
};

export async function encode({
  video,
  audio,
  seconds = 10,
  fps = 10,
  size = '320x240',
}: EncodePlan): Promise<EncodedStream> {
  const folder = await mkdtemp(join(tmpdir(), 'spyoncino-encode-'));
  try {
    const file = join(folder, 'stream.mp4');
    await run('ffmpeg', [
      ...['-v', 'error', '-f', 'lavfi', '-i', `testsrc2=size=${size}:rate=${fps}`],
      ...(audio ? ['-f', 'lavfi', '-i', 'sine=frequency=440:sample_rate=48000'] : []),
      ...['-t', String(seconds), '-pix_fmt', 'yuv420p', '-threads', '1', ...video, ...(audio ?? [])],
      ...['-movflags', 'frag_keyframe+empty_moov+default_base_moof', '-f', 'mp4', file],
    ]);
    const { tracks } = readMp4(await readFile(file));
    const picture = tracks.find(({ handler }) => handler === 'vide')!;
    const sound = tracks.find(({ handler }) => handler === 'soun');
    const hevc = picture.sampleEntry.startsWith('h');
    return {
      video: {
        codec: hevc ? 'hevc' : 'h264',
        codecString: hevc ? 'hvc1.1.6.L60.90' : 'avc1.42c00d',
        config: picture.configs.get(hevc ? 'hvcC' : 'avcC')!,
        width: picture.width,
        height: picture.height,
        timescale: picture.timescale,
        fps,
      },
      ...(sound && { audio: audioTrack(sound) }),
      videoSamples: picture.samples,
      // What the encoder needs to warm up is not played.
      audioSamples: (sound?.samples ?? []).filter(({ pts }) => pts >= sound!.mediaTime),
    };
  } finally {
    await rm(folder, { recursive: true });
  }
}

function audioTrack(track: Mp4Track): AudioTrack {
  const codec = AUDIO_CODECS[track.sampleEntry]!;
  return {
    codec,
    config:
      codec === 'aac'
        ? audioSpecificConfig(track.configs.get('esds')!)
        : (track.configs.get('dOps') ?? Buffer.alloc(0)),
    sampleRate: 48_000,
    channels: 1,
    timescale: track.timescale,
  };
}

/** The body of the DecoderSpecificInfo (tag 5), found by its place behind the DecoderConfigDescriptor. */
function audioSpecificConfig(esds: Buffer): Buffer {
  let at = 4;
  const descriptor = (): { tag: number; size: number } => {
    const tag = esds.readUInt8(at++);
    let size = 0;
    for (let more = true; more;) {
      const byte = esds.readUInt8(at++);
      size = size * 128 + (byte & 0x7f);
      more = byte >= 0x80;
    }
    return { tag, size };
  };
  descriptor();
  at += 3;
  descriptor();
  at += 13;
  const { size } = descriptor();
  return esds.subarray(at, at + size);
}

export interface PlayOptions {
  readonly generation?: number;
  readonly startUtcMs: number;
  /** How often the stream is played, back to back. */
  readonly rounds?: number;
}

/** The stream as a camera would send it, in order of decoding. */
export function asCamera(
  stream: EncodedStream,
  { generation = 1, startUtcMs, rounds = 1 }: PlayOptions,
): { info: StreamInfo; packets: readonly MediaPacket[] } {
  const { video, audio, videoSamples, audioSamples } = stream;
  const firstSeconds = videoSamples[0]!.pts / video.timescale;
  const last = videoSamples.at(-1)!;
  const roundSeconds = (last.dts + last.duration - videoSamples[0]!.dts) / video.timescale;
  const arrivals: { seconds: number; packet: MediaPacket }[] = [];
  for (let round = 0; round < rounds; round++) {
    for (const [track, samples, timescale] of [
      ['video', videoSamples, video.timescale],
      ['audio', audioSamples, audio?.timescale ?? 1],
    ] as const) {
      const shift = Math.round(round * roundSeconds * timescale);
      for (const { dts, pts, duration, key, data } of samples) {
        const packet: MediaPacket = {
          track,
          generation,
          dts: dts + shift,
          pts: pts + shift,
          duration,
          key,
          data,
          utcMs: startUtcMs + ((pts + shift) / timescale - firstSeconds) * 1000,
        };
        arrivals.push({ seconds: (dts + shift) / timescale, packet });
      }
    }
  }
  return {
    info: { role: 'main', generation, video, ...(audio && { audio }) },
    packets: arrivals.toSorted((a, b) => a.seconds - b.seconds).map(({ packet }) => packet),
  };
}

export interface Probe {
  readonly durationSeconds: number;
  /** Of every video packet, in presentation order. */
  readonly videoSeconds: readonly number[];
  readonly audioSeconds: readonly number[];
}

export async function probe(path: string): Promise<Probe> {
  const { stdout } = await run(
    'ffprobe',
    ['-v', 'error', '-show_entries', 'packet=codec_type,pts_time:format=duration', '-of', 'json', path],
    { maxBuffer: 2 ** 26 },
  );
  const { packets, format } = JSON.parse(stdout) as {
    packets: readonly { codec_type: string; pts_time: string }[];
    format: { duration: string };
  };
  const times = (type: string): readonly number[] =>
    packets
      .filter(({ codec_type }) => codec_type === type)
      .map(({ pts_time }) => Number(pts_time))
      .toSorted((a, b) => a - b);
  return {
    durationSeconds: Number(format.duration),
    videoSeconds: times('video'),
    audioSeconds: times('audio'),
  };
}

/** Decodes a file from its first to its last frame; returns a digest per picture, and what FFmpeg complains about. */
export async function decode(path: string): Promise<{ pictures: readonly string[]; complaints: string }> {
  const { stdout, stderr } = await run(
    'ffmpeg',
    [
      '-v',
      'warning',
      '-xerror',
      '-threads',
      '1',
      '-i',
      path,
      '-map',
      '0:v',
      '-fps_mode',
      'passthrough',
      '-f',
      'framemd5',
      '-',
    ],
    { maxBuffer: 2 ** 26 },
  );
  const pictures = stdout
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => line.split(',').at(-1)!.trim());
  return { pictures, complaints: stderr };
}

export interface ShownPicture {
  readonly seconds: number;
  readonly md5: string;
}

/** What FFmpeg shows: each picture's time and digest. */
export async function shown(
  path: string,
): Promise<{ pictures: readonly ShownPicture[]; complaints: string }> {
  const { stdout, stderr } = await run(
    'ffmpeg',
    [
      ...['-v', 'warning', '-xerror', '-threads', '1', '-i', path, '-map', '0:v'],
      ...['-fps_mode', 'passthrough', '-enc_time_base', '1/90000', '-f', 'framemd5', '-'],
    ],
    { maxBuffer: 2 ** 26 },
  );
  const timebase = /#tb 0: (\d+)\/(\d+)/.exec(stdout)!;
  const pictures = stdout
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => {
      const [, , pts, , , md5] = line.split(',').map((field) => field.trim());
      return { seconds: (Number(pts) * Number(timebase[1])) / Number(timebase[2]), md5: md5! };
    });
  return { pictures, complaints: stderr };
}

/** Length of the sound that comes out of the decoder. */
export async function decodedSoundSeconds(path: string): Promise<number> {
  const rate = 8000;
  const { stdout } = await run(
    'ffmpeg',
    ['-v', 'error', '-xerror', '-i', path, '-map', '0:a', '-ar', String(rate), '-f', 'u8', '-'],
    { maxBuffer: 2 ** 26, encoding: 'buffer' },
  );
  return stdout.byteLength / rate;
}
