import type { AudioTrack, MediaPacket, StreamInfo, VideoTrack } from '../../../device/contract/media.ts';

export const START_UTC_MS = Date.UTC(2026, 10, 23, 10, 15, 30, 123);

export const VIDEO: VideoTrack = {
  codec: 'h264',
  codecString: 'avc1.64001f',
  config: Uint8Array.of(1, 0x64, 0, 0x1f, 0xff, 0xe0, 0),
  width: 1280,
  height: 720,
  timescale: 90_000,
  fps: 10,
};

export const AUDIO: AudioTrack = {
  codec: 'aac',
  config: Uint8Array.of(0x15, 0x88),
  sampleRate: 8000,
  channels: 1,
  timescale: 8000,
};

export interface StreamPlan {
  readonly generation?: number;
  readonly startUtcMs?: number;
  /** Pictures per GOP. */
  readonly gops: readonly number[];
  /** B-frames between reference frames. */
  readonly bFrames?: number;
  readonly frameTicks?: number;
  readonly audio?: boolean;
  /** How much later audio comes than the picture of its time; negative: earlier. */
  readonly audioDelayMs?: number;
  readonly video?: VideoTrack;
  /** Where stream time begins. */
  readonly firstDts?: number;
  readonly bytes?: number;
}

const AUDIO_FRAME_TICKS = 1024;

/** A stream and its packets, in the order in which they arrive. Every packet's data is unlike any other's. */
export function syntheticStream(plan: StreamPlan): { info: StreamInfo; packets: readonly MediaPacket[] } {
  const {
    generation = 1,
    bFrames = 0,
    frameTicks = 9000,
    firstDts = 0,
    audioDelayMs = 0,
    bytes = 200,
  } = plan;
  const { startUtcMs = START_UTC_MS, video = VIDEO } = plan;
  const leadFrames = bFrames > 0 ? 1 : 0;
  const startSeconds = (firstDts + leadFrames * frameTicks) / video.timescale;
  const utcMs = (seconds: number): number => startUtcMs + (seconds - startSeconds) * 1000;
  const arrivals: { seconds: number; packet: MediaPacket }[] = [];
  let dts = firstDts;
  for (const length of plan.gops) {
    for (const [decoded, shown] of decodeOrder(length, bFrames).entries()) {
      const pts = dts + (shown + leadFrames - decoded) * frameTicks;
      const packet: MediaPacket = {
        track: 'video',
        generation,
        pts,
        dts,
        duration: frameTicks,
        utcMs: utcMs(pts / video.timescale),
        key: decoded === 0,
        data: nal(`v${generation}.${arrivals.length}`, bytes),
      };
      arrivals.push({ seconds: dts / video.timescale, packet });
      dts += frameTicks;
    }
  }
  if (!plan.audio)
    return { info: { role: 'main', generation, video }, packets: arrivals.map((a) => a.packet) };
  const endSeconds = dts / video.timescale;
  const firstAudio = Math.round((firstDts / video.timescale) * AUDIO.timescale);
  for (let pts = firstAudio; pts / AUDIO.timescale < endSeconds; pts += AUDIO_FRAME_TICKS) {
    const packet: MediaPacket = {
      track: 'audio',
      generation,
      pts,
      dts: pts,
      duration: AUDIO_FRAME_TICKS,
      utcMs: utcMs(pts / AUDIO.timescale),
      key: true,
      data: Buffer.from(`a${generation}.${pts}`),
    };
    arrivals.push({ seconds: pts / AUDIO.timescale + audioDelayMs / 1000, packet });
  }
  return {
    info: { role: 'main', generation, video, audio: AUDIO },
    packets: arrivals.toSorted((a, b) => a.seconds - b.seconds).map(({ packet }) => packet),
  };
}

/** Places in showing order, listed in decode order: I0 P3 B1 B2 P6 B4 B5 … */
function decodeOrder(length: number, bFrames: number): readonly number[] {
  const order = [0];
  for (let at = 1; at < length; at += bFrames + 1) {
    const reference = Math.min(at + bFrames, length - 1);
    order.push(reference);
    for (let b = at; b < reference; b++) order.push(b);
  }
  return order;
}

/** One NAL unit of `bytes` bytes with its length in front. */
export function nal(text: string, bytes: number): Buffer {
  const data = Buffer.alloc(4 + Math.max(bytes, text.length), text);
  data.writeUInt32BE(data.byteLength - 4);
  return data;
}
