import { Packet, type Frame, type Stream } from 'node-av/lib';
import {
  AV_CODEC_ID_H264,
  AV_CODEC_ID_HEVC,
  AV_CODEC_ID_MJPEG,
  AV_NOPTS_VALUE,
  AVERROR_EOF,
} from 'node-av/constants';
import { CodedError } from '../contract/errors.ts';
import type { Polygon } from '../contract/geometry.ts';
import type { AudioTrack, StreamInfo, VideoTrack } from '../contract/media.ts';
import type { Meter } from '../contract/metrics.ts';
import type { Clock } from '../kernel/clock.ts';
import type { Log } from '../kernel/log.ts';
import { withoutAdts } from './adts.ts';
import { Decoder } from './decoder.ts';
import { faultOf } from './faults.ts';
import { check } from './ffmpeg.ts';
import { Input } from './input.ts';
import type { NalCodec } from './nal.ts';
import { Packetizer } from './packetizer.ts';
import { Picture } from './picture.ts';
import { masked, PrivacyMask } from './privacy-mask.ts';
import { Sampler } from './sampler.ts';
import { Scaling } from './scaling.ts';
import type { CaptureSink } from './sink.ts';
import type { Source } from './sources.ts';
import { StallWatch } from './stall-watch.ts';
import { describeAudio, type VideoConfig } from './stream-config.ts';
import { Tally } from './tally.ts';
import { utcOf, type Generation, type Taker } from './taker.ts';
import { Timeline, VIDEO_TIMESCALE } from './timeline.ts';
import { Transcoder } from './transcoder.ts';

export interface ConnectionOptions {
  readonly source: Source;
  readonly analysisFps: number;
  readonly packets: boolean;
  readonly privacyMasks: readonly Polygon[];
  readonly sink: CaptureSink;
  readonly meter: Meter;
  readonly clock: Clock;
  readonly log: Log;
  nextGeneration(): Pick<Generation, 'number' | 'anchor'>;
  /** Whether pictures are wanted now; it may change at any time. */
  isAnalysed(): boolean;
  /** Pictures arrive: the connection works. */
  onStream(info: StreamInfo): void;
  /** Pictures are being lost because decoding and encoding take too long; null: no more. */
  onStrain(reason: CodedError | null): void;
}

/**
 * One connection to one stream, from opening to its end. Packets go to the sink as they come; pictures are
 * decoded only when somebody looks at them, or must be masked, or because the camera does
 * not compress by itself.
 */
export class Connection {
  readonly #o: ConnectionOptions;
  readonly #scaling = new Scaling();
  readonly #mask: PrivacyMask | null;
  /** The sink works on a picture. */
  #busy = false;
  #failure: unknown = null;

  constructor(options: ConnectionOptions) {
    this.#o = options;
    this.#mask = options.privacyMasks.length > 0 ? new PrivacyMask(options.privacyMasks) : null;
  }

  /** Why it ended; null when the source was at its end. Never rejects. */
  async run(signal: AbortSignal): Promise<CodedError | null> {
    const { kind } = this.#o.source;
    let phase: 'open' | 'read' = 'open';
    let timedOut = false;
    using _scaling = this.#scaling;
    try {
      const opening = await this.#o.source.prepare();
      await using input = await Input.open(this.#o.source, opening, this.#o.clock, signal);
      phase = 'read';
      const watch = new StallWatch(this.#o.clock, () => {
        timedOut = true;
        input.interrupt();
      });
      const stop = (): void => input.interrupt();
      signal.addEventListener('abort', stop, { once: true });
      try {
        if (this.#o.source.live) watch.start();
        if (signal.aborted) input.interrupt();
        await this.#serve(input, watch, signal);
      } finally {
        signal.removeEventListener('abort', stop);
        await watch.stop();
      }
      return null;
    } catch (error) {
      return faultOf(error, { kind, phase, timedOut });
    }
  }

  async #serve(input: Input, watch: StallWatch, signal: AbortSignal): Promise<void> {
    const { video } = input;
    const codec = COPIED.get(video.codecpar.codecId);
    if (!codec && this.#o.source.kind === 'rtsp' && video.codecpar.codecId !== AV_CODEC_ID_MJPEG) {
      throw new CodedError('CAMERA_CODEC_UNSUPPORTED', video.codecpar.getCodecString() ?? 'unknown codec');
    }
    const audio = input.audio && this.#o.packets ? describeAudio(input.audio) : null;
    // Of a masked camera only what is recorded is encoded anew; the sub stream is just looked at.
    const recoded = !codec || (this.#mask !== null && this.#o.packets && this.#o.source.role === 'main');
    await using taker = recoded
      ? this.#transcoder(video, input, audio)
      : this.#copier(video, codec, input, audio);
    const { meter, source } = this.#o;
    using videoTally = new Tally(meter, source.role, 'video');
    using audioTally = new Tally(meter, source.role, 'audio');
    using packet = new Packet();
    packet.alloc();
    const videoIndex = video.index;
    const audioIndex = audio ? input.audio?.index : undefined;
    while (!signal.aborted) {
      const code = await input.read(packet);
      if (code === AVERROR_EOF && this.#o.source.loop) {
        await taker.flush();
        taker.restart();
        await input.rewind();
        continue;
      }
      if (code === AVERROR_EOF && !this.#o.source.live) {
        await taker.flush();
        return;
      }
      if (signal.aborted) return;
      check(code, 'reading');
      try {
        const { streamIndex } = packet;
        if (streamIndex === videoIndex) {
          watch.progress();
          videoTally.add(packet.size);
          await taker.video(packet, signal);
        } else if (streamIndex === audioIndex) {
          audioTally.add(packet.size);
          taker.audio(packet);
        }
      } finally {
        packet.unref();
      }
      if (this.#failure !== null) throw this.#failure;
    }
  }

  /** H.264 and HEVC: packets as they come; a decoder beside them where somebody looks. */
  #copier(video: Stream, codec: NalCodec, input: Input, audio: AudioTrack | null): Taker {
    const { analysisFps, sink, source } = this.#o;
    const packets = this.#o.packets && !this.#mask;
    const packetizer = new Packetizer(codec, video.codecpar.extradata ?? Buffer.alloc(0));
    /** null until the first key frame. */
    let generation: Generation | null = null;
    let decoder: Decoder | null = null;
    const begin = async ({ track, reorderDepth }: VideoConfig): Promise<Generation> => {
      await decoder?.flush();
      decoder?.[Symbol.dispose]();
      decoder = null;
      const begun = this.#begin(video, input.audio, audio, reorderDepth);
      this.#announce(begun, track, audio);
      return begun;
    };
    /** From the first key frame on at which somebody looks, for as long as somebody does. */
    const decoderFor = (begun: Generation, isKey: boolean): Decoder | null => {
      if (!this.#o.isAnalysed() || analysisFps <= 0) {
        decoder?.[Symbol.dispose]();
        return (decoder = null);
      }
      if (decoder || !isKey) return decoder;
      const { width, height } = begun.info?.video ?? { width: 0, height: 0 };
      return (decoder = Decoder.open(
        video.codecpar,
        width * height,
        masked(this.#mask, (frame, pts) => this.#show(begun, frame, pts)),
        source.live ? 'draft' : 'full',
      ));
    };
    return {
      video: async (packet, signal) => {
        // node-av copies the bytes out of FFmpeg's memory: they are ours to keep and to rewrite.
        const { data } = packet;
        const sample = data && packetizer.sample(data);
        if (!sample) return;
        const { config } = sample;
        if (config && !(generation?.info && sameTrack(generation.info.video, config.track))) {
          generation = await begin(config);
        }
        if (!generation) return;
        const stamp = generation.timeline.video(stampOf(packet));
        const streamMs = (stamp.dts * 1000) / VIDEO_TIMESCALE;
        if (source.paced) await this.#pace(generation, streamMs, signal);
        generation.anchor.arrive(streamMs, this.#o.clock.utcMs());
        if (packets) {
          sink.packet(source.role, {
            track: 'video',
            generation: generation.number,
            ...stamp,
            utcMs: utcOf(generation, stamp.pts, VIDEO_TIMESCALE),
            key: sample.key,
            data: sample.data,
          });
        }
        if (generation.anchor.broken)
          throw new CodedError('CAMERA_STALLED', 'the clock of this machine was set');
        const looker = decoderFor(generation, sample.key);
        if (!looker) return;
        packet.pts = BigInt(stamp.pts);
        packet.dts = BigInt(stamp.dts);
        const startedMs = this.#o.clock.monotonicMs();
        const decoding = looker.decode(packet);
        if (decoding) await decoding;
        this.#o.meter.observe('spyoncino_decode_ms', this.#o.clock.monotonicMs() - startedMs);
      },
      audio: (packet) => generation && this.#passAudio(generation, packet, audio),
      flush: async () => decoder?.flush(),
      restart: () => generation?.timeline.restart(),
      [Symbol.asyncDispose]: async () => decoder?.[Symbol.dispose](),
    };
  }

  /** Everything else, and what is masked and recorded. */
  #transcoder(video: Stream, input: Input, audio: AudioTrack | null): Taker {
    const generation = this.#begin(video, input.audio, audio, 0);
    return new Transcoder({
      ...this.#o,
      parameters: video.codecpar,
      fps: frameRate(video),
      generation,
      scaling: this.#scaling,
      mask: this.#mask,
      pace: async (streamMs, signal) => {
        if (this.#o.source.paced) await this.#pace(generation, streamMs, signal);
      },
      show: async (frame, pts) => {
        if (this.#o.isAnalysed() && this.#o.analysisFps > 0) await this.#show(generation, frame, pts);
      },
      announce: (track, encoder) => this.#announce(generation, track, audio, encoder),
      passAudio: (packet) => this.#passAudio(generation, packet, audio),
      onFailure: (error) => (this.#failure = error),
    });
  }

  #begin(video: Stream, audioStream: Stream | null, audio: AudioTrack | null, depth: number): Generation {
    const fps = frameRate(video);
    return {
      ...this.#o.nextGeneration(),
      timeline: new Timeline(
        { base: video.timeBase, depth, ...(fps === null ? {} : { frameMs: 1000 / fps }) },
        audio && audioStream ? { base: audioStream.timeBase, timescale: audio.timescale } : null,
      ),
      sampler: new Sampler(this.#o.analysisFps),
      info: null,
    };
  }

  #announce(generation: Generation, video: VideoTrack, audio: AudioTrack | null, encoder?: string): void {
    const { role } = this.#o.source;
    generation.info = {
      role,
      generation: generation.number,
      video,
      ...(audio && { audio }),
      ...(encoder && { encoder }),
    };
    this.#o.sink.stream(generation.info);
    this.#o.onStream(generation.info);
  }

  /** Holds footage back to its own speed. Time starts with the first picture. */
  async #pace({ anchor }: Generation, streamMs: number, signal: AbortSignal | null): Promise<void> {
    const waitMs = anchor.utcMs(streamMs) - this.#o.clock.utcMs();
    if (waitMs > 1) await this.#o.clock.sleep(waitMs, signal ?? undefined).catch(() => {});
  }

  #passAudio(generation: Generation, packet: Packet, audio: AudioTrack | null): void {
    const { data } = packet;
    const stamp = audio && generation.info ? generation.timeline.audio(stampOf(packet)) : null;
    if (!audio || !stamp || !data || !this.#o.packets) return;
    this.#o.sink.packet(this.#o.source.role, {
      track: 'audio',
      generation: generation.number,
      ...stamp,
      utcMs: utcOf(generation, stamp.pts, audio.timescale),
      key: true,
      data: audio.codec === 'aac' ? withoutAdts(data) : data,
    });
  }

  #show(generation: Generation, frame: Frame, pts: number): void | Promise<void> {
    const mediaMs = (pts * 1000) / VIDEO_TIMESCALE;
    if (!generation.sampler.take(mediaMs)) return;
    const patient = !this.#o.source.live && !this.#o.source.paced;
    if (this.#busy) {
      this.#o.meter.count('spyoncino_drops_total', { stage: 'analysis', reason: 'busy' });
      return;
    }
    const utcMs = utcOf(generation, pts, VIDEO_TIMESCALE);
    const time = { generation: generation.number, mediaMs, utcMs };
    const digesting = this.#o.sink.frame(Picture.lend(frame, time, this.#scaling), this.#o.source.role);
    if (!digesting) return;
    if (patient) return digesting;
    this.#busy = true;
    digesting.then(
      () => (this.#busy = false),
      (error: unknown) => (this.#failure = error),
    );
  }
}

const COPIED: ReadonlyMap<number, NalCodec> = new Map([
  [AV_CODEC_ID_H264, 'h264'],
  [AV_CODEC_ID_HEVC, 'hevc'],
]);

function stampOf({ pts, dts, duration }: Packet) {
  const known = (value: bigint): number | null => (value === AV_NOPTS_VALUE ? null : Number(value));
  return { pts: known(pts), dts: known(dts), duration: Number(duration) };
}

const sameTrack = (a: VideoTrack, b: VideoTrack): boolean => Buffer.from(a.config).equals(b.config);

function frameRate({ avgFrameRate, rFrameRate }: Stream): number | null {
  for (const { num, den } of [avgFrameRate, rFrameRate]) {
    const fps = den > 0 ? num / den : 0;
    if (fps >= 1 && fps <= 240) return fps;
  }
  return null;
}
