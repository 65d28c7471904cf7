import type { Frame } from 'node-av/lib';
import { AV_CODEC_ID_H264, AV_CODEC_ID_HEVC, AV_CODEC_ID_MJPEG, AVERROR_EOF } from 'node-av/constants';
import { CodedError } from '../contract/errors.ts';
import type { Polygon } from '../contract/geometry.ts';
import type { StreamInfo, VideoTrack } from '../contract/media.ts';
import type { Meter } from '../contract/metrics.ts';
import type { Clock } from '../kernel/clock.ts';
import type { Log } from '../kernel/log.ts';
import { withoutAdts } from './adts.ts';
import { faultOf } from './faults.ts';
import type { AudioFeed, Feed, Unit, VideoFeed } from './feed.ts';
import { FfmpegFailure } from './ffmpeg.ts';
import { openFeed } from './open-feed.ts';
import type { NalCodec } from './nal.ts';
import { Packetizer, type Sample } from './packetizer.ts';
import { Picture } from './picture.ts';
import { masked, PrivacyMask } from './privacy-mask.ts';
import { SampleDecoder } from './sample-decoder.ts';
import { Sampler } from './sampler.ts';
import { Scaling } from './scaling.ts';
import type { CaptureSink } from './sink.ts';
import type { Source } from './sources.ts';
import { StallWatch } from './stall-watch.ts';
import type { VideoConfig } from './stream-config.ts';
import { Tally } from './tally.ts';
import { utcOf, type Generation, type Taker } from './taker.ts';
import { Timeline, VIDEO_TIMESCALE, type Stamp } from './timeline.ts';
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
      await using feed = await openFeed(this.#o, opening, signal);
      phase = 'read';
      const watch = new StallWatch(this.#o.clock, () => {
        timedOut = true;
        feed.interrupt();
      });
      const stop = (): void => feed.interrupt();
      signal.addEventListener('abort', stop, { once: true });
      try {
        if (this.#o.source.live) watch.start();
        if (signal.aborted) feed.interrupt();
        await this.#serve(feed, watch, signal);
      } finally {
        signal.removeEventListener('abort', stop);
        await watch.stop();
      }
      return null;
    } catch (error) {
      return faultOf(error, { kind, phase, timedOut });
    }
  }

  async #serve(feed: Feed, watch: StallWatch, signal: AbortSignal): Promise<void> {
    const { meter, source } = this.#o;
    const { parameters } = feed.video;
    const codec = COPIED.get(parameters.codecId);
    if (!codec && source.kind === 'rtsp' && parameters.codecId !== AV_CODEC_ID_MJPEG) {
      throw new CodedError('CAMERA_CODEC_UNSUPPORTED', parameters.getCodecString() ?? 'unknown codec');
    }
    const audio = this.#o.packets ? feed.audio : null;
    // Of a masked camera only what is recorded is encoded anew; the sub stream is just looked at.
    const recoded = !codec || (this.#mask !== null && this.#o.packets && source.role === 'main');
    await using taker = recoded
      ? this.#transcoder(feed.video, audio)
      : this.#copier(feed.video, codec, audio);
    using videoTally = new Tally(meter, source.role, 'video');
    using audioTally = new Tally(meter, source.role, 'audio');
    while (!signal.aborted) {
      // At a few packets a second no code stays warm, and waiting for what is there already is not cheap.
      const next = feed.next();
      const unit = next instanceof Promise ? await next : next;
      if (signal.aborted) return;
      if (!unit) {
        if (source.live) throw new FfmpegFailure(AVERROR_EOF, 'reading');
        await taker.flush();
        if (!source.loop) return;
        taker.restart();
        await feed.rewind();
      } else if (unit.track === 'video') {
        watch.progress();
        videoTally.add(unit.byteLength);
        const taking = taker.video(unit, signal);
        if (taking) await taking;
      } else if (audio) {
        audioTally.add(unit.byteLength);
        taker.audio(unit);
      }
      if (this.#failure !== null) throw this.#failure;
    }
  }

  /** H.264 and HEVC: packets as they come; a decoder beside them where somebody looks. */
  #copier(video: VideoFeed, codec: NalCodec, audio: AudioFeed | null): Taker {
    const { analysisFps, sink, source } = this.#o;
    const packets = this.#o.packets && !this.#mask;
    const packetizer = new Packetizer(codec, video.parameters.extradata ?? Buffer.alloc(0));
    /** null until the first key frame. */
    let generation: Generation | null = null;
    let decoder: SampleDecoder | null = null;
    const begin = async ({ track, reorderDepth }: VideoConfig): Promise<void> => {
      await decoder?.flush();
      decoder?.[Symbol.dispose]();
      decoder = null;
      generation = this.#begin(video, audio, reorderDepth);
      this.#announce(generation, track, audio);
    };
    /** From the first key frame on at which somebody looks, for as long as somebody does. */
    const decoderFor = (begun: Generation, isKey: boolean): SampleDecoder | null => {
      if (!this.#o.isAnalysed() || analysisFps <= 0) {
        decoder?.[Symbol.dispose]();
        return (decoder = null);
      }
      if (decoder || !isKey || !begun.info) return decoder;
      return (decoder = new SampleDecoder(
        begun.info.video,
        masked(this.#mask, (frame, pts) => this.#show(begun, frame, pts)),
        source.live ? 'draft' : 'full',
      ));
    };
    const pass = (sample: Sample, stamp: Stamp, begun: Generation): void | Promise<void> => {
      begun.anchor.arrive(millisecondsOf(stamp), this.#o.clock.utcMs());
      if (packets) {
        sink.packet(source.role, {
          track: 'video',
          generation: begun.number,
          ...stamp,
          utcMs: utcOf(begun, stamp.pts, VIDEO_TIMESCALE),
          key: sample.key,
          data: sample.data,
        });
      }
      if (begun.anchor.broken) throw new CodedError('CAMERA_STALLED', 'the clock of this machine was set');
      const looker = decoderFor(begun, sample.key);
      if (!looker) return;
      const startedMs = this.#o.clock.monotonicMs();
      const observe = (): void =>
        this.#o.meter.observe('spyoncino_decode_ms', this.#o.clock.monotonicMs() - startedMs);
      const decoding = looker.decode(sample.data, stamp);
      return decoding ? decoding.then(observe) : observe();
    };
    const take = (sample: Sample, unit: Unit, signal: AbortSignal): void | Promise<void> => {
      if (!generation) return;
      const begun = generation;
      const stamp = begun.timeline.video(unit);
      if (!source.paced) return pass(sample, stamp, begun);
      return this.#pace(begun, millisecondsOf(stamp), signal).then(() => pass(sample, stamp, begun));
    };
    return {
      video: (unit, signal) => {
        const data = unit.takeData();
        const sample = data && packetizer.sample(data);
        if (!sample) return;
        const { config } = sample;
        const isNew = config && !(generation?.info && sameTrack(generation.info.video, config.track));
        return isNew ? begin(config).then(() => take(sample, unit, signal)) : take(sample, unit, signal);
      },
      audio: (unit) => generation && this.#passAudio(generation, unit, audio),
      flush: async () => decoder?.flush(),
      restart: () => generation?.timeline.restart(),
      [Symbol.asyncDispose]: async () => decoder?.[Symbol.dispose](),
    };
  }

  /** Everything else, and what is masked and recorded. */
  #transcoder(video: VideoFeed, audio: AudioFeed | null): Taker {
    const generation = this.#begin(video, audio, 0);
    return new Transcoder({
      ...this.#o,
      parameters: video.parameters,
      fps: video.fps,
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
      passAudio: (unit) => this.#passAudio(generation, unit, audio),
      onFailure: (error) => (this.#failure = error),
    });
  }

  #begin({ base, fps }: VideoFeed, audio: AudioFeed | null, depth: number): Generation {
    return {
      ...this.#o.nextGeneration(),
      timeline: new Timeline(
        { base, depth, ...(fps === null ? {} : { frameMs: 1000 / fps }) },
        audio && { base: audio.base, timescale: audio.track.timescale },
      ),
      sampler: new Sampler(this.#o.analysisFps),
      info: null,
    };
  }

  #announce(generation: Generation, video: VideoTrack, audio: AudioFeed | null, encoder?: string): void {
    const { role } = this.#o.source;
    generation.info = {
      role,
      generation: generation.number,
      video,
      ...(audio && { audio: audio.track }),
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

  #passAudio(generation: Generation, unit: Unit, audio: AudioFeed | null): void {
    if (!audio || !generation.info) return;
    const stamp = generation.timeline.audio(unit);
    const data = stamp && unit.takeData();
    if (!stamp || !data) return;
    const { codec, timescale } = audio.track;
    this.#o.sink.packet(this.#o.source.role, {
      track: 'audio',
      generation: generation.number,
      ...stamp,
      utcMs: utcOf(generation, stamp.pts, timescale),
      key: true,
      data: codec === 'aac' ? withoutAdts(data) : data,
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

const millisecondsOf = ({ dts }: Stamp): number => (dts * 1000) / VIDEO_TIMESCALE;

const sameTrack = (a: VideoTrack, b: VideoTrack): boolean => Buffer.from(a.config).equals(b.config);
