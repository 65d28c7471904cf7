import { Dictionary, FormatContext, InputFormat, Packet, type Stream } from 'node-av/lib';
import {
  AVFMT_FLAG_NONBLOCK,
  AVMEDIA_TYPE_AUDIO,
  AVMEDIA_TYPE_VIDEO,
  AVERROR_EOF,
  AVSEEK_FLAG_BACKWARD,
} from 'node-av/constants';
import { CodedError } from '../contract/errors.ts';
import type { Clock } from '../kernel/clock.ts';
import { PacketUnit, type AudioFeed, type Feed, type Unit, type VideoFeed } from './feed.ts';
import { AVERROR_EAGAIN, check } from './ffmpeg.ts';
import { SILENCE_MS, type Opening, type Source } from './sources.ts';
import { describeAudio } from './stream-config.ts';

/** Connecting takes several answers of the camera, each of which may take SILENCE_MS. */
const OPEN_MS = 2 * SILENCE_MS;
/** How often an interrupted call is reminded. */
const INTERRUPT_EVERY_MS = 50;
/** Between two looks at a device that has no picture yet: a third of a frame at 30 fps. */
const POLL_MS = 10;

/**
 * An open demuxer of FFmpeg.
 *
 * Invariants: at most one native call at a time; the context is closed only when none is pending (freeing it
 * under a running call crashes the process); `interrupt` makes a pending call return soon.
 */
export class Input implements Feed {
  readonly video: VideoFeed;
  readonly audio: AudioFeed | null;
  readonly #videoIndex: number;
  readonly #audioIndex: number | null;
  readonly #packet: Packet;
  readonly #context: FormatContext;
  readonly #clock: Clock;
  readonly #polled: boolean;
  #interrupted = false;
  #pending: Promise<unknown> = Promise.resolve();

  private constructor(
    context: FormatContext,
    streams: { video: Stream; audio: Stream | null },
    clock: Clock,
    polled: boolean,
  ) {
    this.#context = context;
    const { video, audio } = streams;
    this.video = { parameters: video.codecpar, base: video.timeBase, fps: frameRate(video) };
    const track = audio && describeAudio(audio);
    this.audio = audio && track && { track, base: audio.timeBase };
    this.#videoIndex = video.index;
    this.#audioIndex = this.audio && audio ? audio.index : null;
    this.#packet = new Packet();
    this.#packet.alloc();
    this.#clock = clock;
    this.#polled = polled;
  }

  /** Throws FfmpegFailure or CodedError; both when `signal` aborts meanwhile. */
  static async open(source: Source, opening: Opening, clock: Clock, signal: AbortSignal): Promise<Input> {
    const context = new FormatContext();
    context.allocContext();
    // A blocking read of a device cannot be interrupted; so it is asked now and then.
    const polled = source.kind === 'v4l2';
    if (polled) context.setFlags(AVFMT_FLAG_NONBLOCK);
    const format = opening.format === null ? null : InputFormat.findInputFormat(opening.format);
    using options = Dictionary.fromObject({ ...opening.options });
    try {
      await interruptible(context, clock, signal, async () => {
        check(await context.openInput(opening.url, format, options), 'opening the input');
        // RTP and V4L2 announce all that is needed; probing would only delay the first packets.
        if (!source.live) check(await context.findStreamInfo(null), 'reading the input');
      });
      const ofType = (type: number): Stream | null =>
        context.streams.find(({ codecpar }) => codecpar.codecType === type) ?? null;
      const video = ofType(AVMEDIA_TYPE_VIDEO);
      if (!video) throw new CodedError('CAMERA_INPUT_INVALID', 'there is no video in it');
      const audio = source.audio ? ofType(AVMEDIA_TYPE_AUDIO) : null;
      return new Input(context, { video, audio }, clock, polled);
    } catch (error) {
      await context.closeInput();
      throw error;
    }
  }

  /** Rejects with FfmpegFailure. */
  async next(): Promise<Unit | null> {
    for (;;) {
      this.#packet.unref();
      const reading = this.#polled ? this.#poll() : this.#context.readFrame(this.#packet);
      this.#pending = reading;
      const code = await reading;
      if (code === AVERROR_EOF) return null;
      check(code, 'reading');
      const { streamIndex } = this.#packet;
      if (streamIndex === this.#videoIndex) return new PacketUnit(this.#packet, 'video');
      if (streamIndex === this.#audioIndex) return new PacketUnit(this.#packet, 'audio');
    }
  }

  /** Makes the pending read, and all later ones, fail with AVERROR_EXIT soon. */
  interrupt(): void {
    this.#interrupted = true;
    this.#context.interrupt();
  }

  async rewind(): Promise<void> {
    check(await this.#context.seekFrame(-1, 0n, AVSEEK_FLAG_BACKWARD), 'starting again');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.interrupt();
    await this.#pending.catch(() => {});
    await this.#context.closeInput();
    this.#packet.free();
  }

  async #poll(): Promise<number> {
    for (;;) {
      const code = this.#context.readFrameSync(this.#packet);
      if (code !== AVERROR_EAGAIN || this.#interrupted) return code;
      await this.#clock.sleep(POLL_MS);
    }
  }
}

/** Runs `work`; interrupts its native calls when `signal` aborts or it takes longer than OPEN_MS. */
async function interruptible(
  context: FormatContext,
  clock: Clock,
  signal: AbortSignal,
  work: () => Promise<void>,
): Promise<void> {
  const done = new AbortController();
  const guard = async (): Promise<void> => {
    await clock.sleep(OPEN_MS, AbortSignal.any([signal, done.signal])).catch(() => {});
    // Repeated, because each native call forgets an interruption that came before it began to wait.
    while (!done.signal.aborted) {
      context.interrupt();
      await clock.sleep(INTERRUPT_EVERY_MS, done.signal).catch(() => {});
    }
  };
  const guarding = guard();
  try {
    await work();
  } finally {
    done.abort();
    await guarding;
  }
}

function frameRate({ avgFrameRate, rFrameRate }: Stream): number | null {
  for (const { num, den } of [avgFrameRate, rFrameRate]) {
    const fps = den > 0 ? num / den : 0;
    if (fps >= 1 && fps <= 240) return fps;
  }
  return null;
}
