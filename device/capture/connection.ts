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
import { Backlog } from './backlog.ts';
import { Decoder, type OnPicture } from './decoder.ts';
import { copyOf, Encoder } from './encoder.ts';
import { faultOf } from './faults.ts';
import { check } from './ffmpeg.ts';
import { Input } from './input.ts';
import type { NalCodec } from './nal.ts';
import { Packetizer } from './packetizer.ts';
import { Picture } from './picture.ts';
import { PrivacyMask } from './privacy-mask.ts';
import { Sampler } from './sampler.ts';
import { Scaling } from './scaling.ts';
import type { CaptureSink } from './sink.ts';
import { SILENCE_MS, type Source } from './sources.ts';
import { describeAudio, type VideoConfig } from './stream-config.ts';
import { Timeline, VIDEO_TIMESCALE } from './timeline.ts';
import { WallAnchor } from './wall-anchor.ts';

export interface ConnectionOptions {
  readonly source: Source;
  readonly analysed: boolean;
  readonly analysisFps: number;
  readonly packets: boolean;
  readonly privacyMasks: readonly Polygon[];
  readonly sink: CaptureSink;
  readonly meter: Meter;
  readonly clock: Clock;
  readonly log: Log;
  nextGeneration(): number;
  /** Pictures arrive: the connection works. */
  onStream(info: StreamInfo): void;
  /** Pictures are being lost because decoding and encoding take too long; null: no more. */
  onStrain(reason: CodedError | null): void;
}

/** Named so that a new one always starts with all of its state. */
interface Generation {
  readonly number: number;
  readonly timeline: Timeline;
  readonly anchor: WallAnchor;
  readonly sampler: Sampler;
  /** null until the first key frame has said what the stream is. */
  info: StreamInfo | null;
}

const FALLBACK_FPS = 25;

/**
 * One connection to one stream, from opening to its end. Packets go to the sink as they come; pictures are
 * decoded only when somebody looks at them, or because the camera does not compress by itself.
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
    using packet = new Packet();
    packet.alloc();
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
        if (packet.streamIndex === video.index) {
          watch.progress();
          this.#meterPacket('video', packet.size);
          await taker.video(packet, signal);
        } else if (packet.streamIndex === input.audio?.index && audio) {
          this.#meterPacket('audio', packet.size);
          taker.audio(packet);
        }
      } finally {
        packet.unref();
      }
      if (this.#failure !== null) throw this.#failure;
    }
  }

  #meterPacket(track: 'video' | 'audio', bytes: number): void {
    const labels = { role: this.#o.source.role, track };
    this.#o.meter.count('spyoncino_packets_total', labels);
    this.#o.meter.count('spyoncino_packet_bytes_total', labels, bytes);
  }

  /** H.264 and HEVC: packets as they come; a decoder beside them where somebody looks. */
  #copier(video: Stream, codec: NalCodec, input: Input, audio: AudioTrack | null): Taker {
    const { analysed, analysisFps, sink, source } = this.#o;
    const packets = this.#o.packets && !this.#mask;
    const packetizer = new Packetizer(codec, video.codecpar.extradata ?? Buffer.alloc(0));
    /** null until the first key frame. */
    let generation: Generation | null = null;
    let decoder: Decoder | null = null;
    const begin = async ({ track, reorderDepth }: VideoConfig): Promise<Generation> => {
      await decoder?.flush();
      decoder?.[Symbol.dispose]();
      const begun = (generation = this.#begin(video, input.audio, audio, reorderDepth));
      decoder =
        analysed && analysisFps > 0
          ? Decoder.open(
              video.codecpar,
              track.width * track.height,
              this.#masked((frame, pts) => this.#show(begun, frame, pts)),
            )
          : null;
      this.#announce(begun, track, audio);
      return begun;
    };
    return {
      video: async (packet, signal) => {
        // Before its bytes are decoded, because the copy is rewritten in place afterwards.
        const sample = packetizer.sample(copyOf(packet.data));
        if (!sample) return;
        const { config } = sample;
        if (config && !(generation?.info && sameTrack(generation.info.video, config.track))) {
          generation = await begin(config);
        }
        if (!generation) return;
        const stamp = generation.timeline.video(stampOf(packet));
        const streamMs = (stamp.dts * 1000) / VIDEO_TIMESCALE;
        await this.#pace(generation, streamMs, signal);
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
        if (!decoder) return;
        packet.pts = BigInt(stamp.pts);
        packet.dts = BigInt(stamp.dts);
        const startedMs = this.#o.clock.monotonicMs();
        await decoder.decode(packet);
        this.#o.meter.observe('spyoncino_decode_ms', this.#o.clock.monotonicMs() - startedMs);
      },
      audio: (packet) => generation && this.#passAudio(generation, packet, audio),
      flush: async () => decoder?.flush(),
      restart: () => generation?.timeline.restart(),
      [Symbol.asyncDispose]: async () => decoder?.[Symbol.dispose](),
    };
  }

  /** Everything else, and what is masked, is decoded once: for whoever looks, and for the encoder. */
  #transcoder(video: Stream, input: Input, audio: AudioTrack | null): Taker {
    const { packets, sink, source } = this.#o;
    const generation = this.#begin(video, input.audio, audio, 0);
    const fps = frameRate(video);
    let encoder: Encoder | null = null;
    let signal: AbortSignal | null = null;
    /** Of the packet in work, which may have waited. */
    let arrivedUtcMs = 0;
    const take: OnPicture = async (frame, pts) => {
      if (backlog?.late) {
        backlog.lose(1);
        return;
      }
      const stamp = generation.timeline.video({ pts, dts: null, duration: Number(frame.duration) });
      const streamMs = (stamp.dts * 1000) / VIDEO_TIMESCALE;
      await this.#pace(generation, streamMs, signal);
      generation.anchor.arrive(streamMs, source.live ? arrivedUtcMs : this.#o.clock.utcMs());
      if (packets) {
        encoder ??= await Encoder.open(frame, fps ?? FALLBACK_FPS, this.#scaling);
        for (const sample of await encoder.encode(frame, stamp.pts)) {
          if (sample.config && !generation.info) {
            const track = { ...sample.config.track, ...(fps && { fps }) };
            this.#announce(generation, track, audio, encoder.name);
          }
          if (!generation.info) continue;
          sink.packet(source.role, {
            track: 'video',
            generation: generation.number,
            pts: sample.pts,
            dts: sample.pts,
            duration: stamp.duration,
            utcMs: utcOf(generation, sample.pts, VIDEO_TIMESCALE),
            key: sample.key,
            data: sample.data,
          });
        }
      }
      if (generation.anchor.broken)
        throw new CodedError('CAMERA_STALLED', 'the clock of this machine was set');
      if (this.#o.analysed && this.#o.analysisFps > 0) await this.#show(generation, frame, stamp.pts);
    };
    const decoder = Decoder.open(video.codecpar, 0, this.#masked(take));
    const decode = async (packet: Packet, utcMs: number): Promise<void> => {
      arrivedUtcMs = utcMs;
      const startedMs = this.#o.clock.monotonicMs();
      await decoder.decode(packet);
      this.#o.meter.observe('spyoncino_decode_ms', this.#o.clock.monotonicMs() - startedMs);
    };
    // A file waits for us, a camera does not.
    const backlog = source.live
      ? new Backlog({
          clock: this.#o.clock,
          work: async (packet, track, utcMs) =>
            track === 'video' ? decode(packet, utcMs) : this.#passAudio(generation, packet, audio),
          onFailure: (error) => (this.#failure = error),
          onLoss: (pictures) =>
            this.#o.meter.count('spyoncino_drops_total', { stage: 'encode', reason: 'late' }, pictures),
          onStrain: (strained) => this.#o.onStrain(strained ? new CodedError('CAMERA_TOO_FAST') : null),
        })
      : null;
    return {
      video: async (packet, stopping) => {
        signal = stopping;
        if (backlog) backlog.push(packet, 'video');
        else await decode(packet, this.#o.clock.utcMs());
      },
      audio: (packet) =>
        backlog ? backlog.push(packet, 'audio') : this.#passAudio(generation, packet, audio),
      flush: () => decoder.flush(),
      restart: () => generation.timeline.restart(),
      [Symbol.asyncDispose]: async () => {
        await backlog?.finish(() => decoder.flush());
        decoder[Symbol.dispose]();
        encoder?.[Symbol.dispose]();
      },
    };
  }

  /** Nobody is shown a picture before it is masked. */
  #masked(show: OnPicture): OnPicture {
    const mask = this.#mask;
    if (!mask) return show;
    return (frame, pts) => {
      mask.apply(frame);
      return show(frame, pts);
    };
  }

  #begin(video: Stream, audioStream: Stream | null, audio: AudioTrack | null, depth: number): Generation {
    const fps = frameRate(video);
    return {
      number: this.#o.nextGeneration(),
      timeline: new Timeline(
        { base: video.timeBase, depth, ...(fps === null ? {} : { frameMs: 1000 / fps }) },
        audio && audioStream ? { base: audioStream.timeBase, timescale: audio.timescale } : null,
      ),
      anchor: new WallAnchor({ slews: this.#o.source.live }),
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
    if (!this.#o.source.paced) return;
    const waitMs = anchor.utcMs(streamMs) - this.#o.clock.utcMs();
    if (waitMs > 1) await this.#o.clock.sleep(waitMs, signal ?? undefined).catch(() => {});
  }

  #passAudio(generation: Generation, packet: Packet, audio: AudioTrack | null): void {
    const stamp = audio && generation.info ? generation.timeline.audio(stampOf(packet)) : null;
    if (!audio || !stamp || !this.#o.packets) return;
    this.#o.sink.packet(this.#o.source.role, {
      track: 'audio',
      generation: generation.number,
      ...stamp,
      utcMs: utcOf(generation, stamp.pts, audio.timescale),
      key: true,
      data: copyOf(packet.data),
    });
  }

  async #show(generation: Generation, frame: Frame, pts: number): Promise<void> {
    const mediaMs = (pts * 1000) / VIDEO_TIMESCALE;
    if (!generation.sampler.take(mediaMs)) return;
    const patient = !this.#o.source.live && !this.#o.source.paced;
    if (this.#busy) {
      this.#o.meter.count('spyoncino_drops_total', { stage: 'analysis', reason: 'busy' });
      return;
    }
    const utcMs = utcOf(generation, pts, VIDEO_TIMESCALE);
    const time = { generation: generation.number, mediaMs, utcMs };
    const digesting = this.#o.sink.frame(Picture.lend(frame, time, this.#scaling));
    if (!digesting) return;
    if (patient) {
      await digesting;
      return;
    }
    this.#busy = true;
    digesting.then(
      () => (this.#busy = false),
      (error: unknown) => (this.#failure = error),
    );
  }
}

/** What becomes of the packets of one connection. */
interface Taker extends AsyncDisposable {
  video(packet: Packet, signal: AbortSignal): Promise<void>;
  audio(packet: Packet): void;
  /** Gives out what is still inside. */
  flush(): Promise<void>;
  /** The source begins again at its start. */
  restart(): void;
}

/** Calls `onStall` when `progress` was not called for SILENCE_MS. */
class StallWatch {
  readonly #clock: Clock;
  readonly #onStall: () => void;
  readonly #done = new AbortController();
  #lastMs: number;
  #watching: Promise<void> = Promise.resolve();

  constructor(clock: Clock, onStall: () => void) {
    this.#clock = clock;
    this.#onStall = onStall;
    this.#lastMs = clock.monotonicMs();
  }

  start(): void {
    this.#watching = this.#watch();
  }

  progress(): void {
    this.#lastMs = this.#clock.monotonicMs();
  }

  async stop(): Promise<void> {
    this.#done.abort();
    await this.#watching;
  }

  async #watch(): Promise<void> {
    const { signal } = this.#done;
    while (!signal.aborted) {
      const leftMs = this.#lastMs + SILENCE_MS - this.#clock.monotonicMs();
      if (leftMs <= 0) this.#onStall();
      // After a stall the interruption is repeated until the read returns.
      await this.#clock.sleep(Math.max(50, leftMs), signal).catch(() => {});
    }
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

const utcOf = (generation: Generation, pts: number, timescale: number): number =>
  generation.anchor.utcMs((pts * 1000) / timescale);

const sameTrack = (a: VideoTrack, b: VideoTrack): boolean => Buffer.from(a.config).equals(b.config);

function frameRate({ avgFrameRate, rFrameRate }: Stream): number | null {
  for (const { num, den } of [avgFrameRate, rFrameRate]) {
    const fps = den > 0 ? num / den : 0;
    if (fps >= 1 && fps <= 240) return fps;
  }
  return null;
}
