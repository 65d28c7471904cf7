import type { CodecParameters, Frame, Packet } from 'node-av/lib';
import { CodedError } from '../contract/errors.ts';
import type { VideoTrack } from '../contract/media.ts';
import type { Meter } from '../contract/metrics.ts';
import type { Clock } from '../kernel/clock.ts';
import { Backlog } from './backlog.ts';
import { Decoder } from './decoder.ts';
import { Encoder, type EncodedSample } from './encoder.ts';
import { PacketUnit, type Unit } from './feed.ts';
import { masked, type PrivacyMask } from './privacy-mask.ts';
import type { Scaling } from './scaling.ts';
import type { CaptureSink } from './sink.ts';
import type { Source } from './sources.ts';
import { utcOf, type Generation, type Taker } from './taker.ts';
import { VIDEO_TIMESCALE } from './timeline.ts';

export interface TranscoderOptions {
  readonly source: Source;
  readonly packets: boolean;
  readonly sink: CaptureSink;
  readonly meter: Meter;
  readonly clock: Clock;
  readonly parameters: CodecParameters;
  /** null: the camera does not say. */
  readonly fps: number | null;
  readonly generation: Generation;
  readonly scaling: Scaling;
  readonly mask: PrivacyMask | null;
  pace(streamMs: number, signal: AbortSignal | null): Promise<void>;
  show(frame: Frame, pts: number): Promise<void>;
  /** Sets `generation.info`. */
  announce(track: VideoTrack, encoder: string): void;
  passAudio(unit: Unit): void;
  onFailure(error: unknown): void;
  onStrain(reason: CodedError | null): void;
}

const FALLBACK_FPS = 25;

/** Pictures are decoded once: for whoever looks, and for the encoder. */
export class Transcoder implements Taker {
  readonly #o: TranscoderOptions;
  readonly #decoder: Decoder;
  #encoder: Encoder | null = null;
  /** A file waits for us, a camera does not. */
  readonly #backlog: Backlog | null;
  #signal: AbortSignal | null = null;
  /** Of the packet in work, which may have waited. */
  #arrivedUtcMs = 0;

  constructor(options: TranscoderOptions) {
    this.#o = options;
    const { clock, mask, meter, parameters, source } = options;
    this.#decoder = Decoder.open(
      parameters,
      0,
      masked(mask, (frame, pts) => this.#take(frame, pts)),
    );
    this.#backlog = source.live
      ? new Backlog({
          clock,
          work: async (packet, track, arrivedUtcMs) =>
            track === 'video'
              ? this.#decode(packet, arrivedUtcMs)
              : options.passAudio(new PacketUnit(packet, 'audio')),
          onFailure: (error) => options.onFailure(error),
          onLoss: (pictures) =>
            meter.count('spyoncino_drops_total', { stage: 'encode', reason: 'late' }, pictures),
          onStrain: (strained) => options.onStrain(strained ? new CodedError('CAMERA_TOO_FAST') : null),
        })
      : null;
  }

  video(unit: Unit, signal: AbortSignal): void | Promise<void> {
    this.#signal = signal;
    if (!this.#backlog) return this.#decode(unit.packet(), this.#o.clock.utcMs());
    this.#backlog.push(unit.packet(), 'video');
  }

  audio(unit: Unit): void {
    if (this.#backlog) this.#backlog.push(unit.packet(), 'audio');
    else this.#o.passAudio(unit);
  }

  async flush(): Promise<void> {
    await this.#decoder.flush();
  }

  restart(): void {
    this.#o.generation.timeline.restart();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#backlog?.finish(() => this.#decoder.flush());
    this.#decoder[Symbol.dispose]();
    this.#encoder?.[Symbol.dispose]();
  }

  async #decode(packet: Packet, arrivedUtcMs: number): Promise<void> {
    const { clock, meter } = this.#o;
    this.#arrivedUtcMs = arrivedUtcMs;
    const startedMs = clock.monotonicMs();
    await this.#decoder.decode(packet);
    meter.observe('spyoncino_decode_ms', clock.monotonicMs() - startedMs);
  }

  async #take(frame: Frame, pts: number): Promise<void> {
    if (this.#backlog?.late) {
      this.#backlog.lose(1);
      return;
    }
    const { clock, fps, generation, packets, scaling, source } = this.#o;
    const stamp = generation.timeline.video({ pts, dts: null, duration: Number(frame.duration) });
    const streamMs = (stamp.dts * 1000) / VIDEO_TIMESCALE;
    await this.#o.pace(streamMs, this.#signal);
    generation.anchor.arrive(streamMs, source.live ? this.#arrivedUtcMs : clock.utcMs());
    if (packets) {
      this.#encoder ??= await Encoder.open(frame, fps ?? FALLBACK_FPS, scaling);
      for (const sample of await this.#encoder.encode(frame, stamp.pts)) {
        this.#pass(sample, stamp.duration, this.#encoder.name);
      }
    }
    if (generation.anchor.broken) throw new CodedError('CAMERA_STALLED', 'the clock of this machine was set');
    await this.#o.show(frame, stamp.pts);
  }

  #pass({ config, pts, key, data }: EncodedSample, duration: number, encoder: string): void {
    const { fps, generation, sink, source } = this.#o;
    if (config && !generation.info) this.#o.announce({ ...config.track, ...(fps && { fps }) }, encoder);
    if (!generation.info) return;
    sink.packet(source.role, {
      track: 'video',
      generation: generation.number,
      pts,
      dts: pts,
      duration,
      utcMs: utcOf(generation, pts, VIDEO_TIMESCALE),
      key,
      data,
    });
  }
}
