import type { ClipPartialFact, ClipReadyFact } from '../contract/facts.ts';
import type { Meter } from '../contract/metrics.ts';
import type { RecordingSettings } from '../contract/settings.ts';
import type { Clock } from '../kernel/clock.ts';
import type { Log } from '../kernel/log.ts';
import { TaskSet } from '../kernel/tasks.ts';
import { clipIdOf } from './clip-path.ts';
import { ClipWriter } from './clip-writer.ts';
import { cut, type Cut } from './cut.ts';
import type { Disk } from './disk.ts';
import type { Losses } from './losses.ts';
import { Nap } from './nap.ts';
import type { Gop, PacketRing } from './ring.ts';
import { Take } from './take.ts';

export interface WriteLoopOptions {
  readonly cameraId: string;
  readonly dataDir: string;
  readonly run: string;
  readonly settings: RecordingSettings;
  readonly meter: Meter;
  readonly log: Log;
  readonly clock: Clock;
  readonly disk: Disk;
  readonly ring: PacketRing;
  readonly losses: Losses;
  emit(fact: ClipPartialFact | ClipReadyFact): void;
}

/**
 * From one batch to the next, each with one fdatasync: what is received is durable within a second, less
 * what the writing itself takes.
 */
const FLUSH_MS = 900;
/** Where a clip ends and only audio is missing. */
const AUDIO_POLL_MS = 100;
const RETRY_MS = 1000;
/** Silence of the stream after which a take that should be over is over. */
const SILENCE_MS = 500;
/** A batch holds this fraction of the buffer at most, so that a stuck write pins no more. */
const BATCH_FRACTION = 1 / 4;

/**
 * Writes takes, one after the other, pulling from the ring.
 *
 * Invariant: one batch is written at a time, beside the end of at most one earlier clip; a take's cursor moves only past what is durable or told as lost.
 */
export class WriteLoop {
  readonly #options: WriteLoopOptions;
  /** In the order they are written; only the last can still be joined. */
  readonly #takes: Take[] = [];
  readonly #tasks: TaskSet;
  readonly #nap: Nap;
  readonly #closing = new AbortController();
  #clips = 0;
  /** Numbers of the first and the last GOP of the batch that is being written. */
  #pinned: { readonly first: number; readonly last: number } | null = null;
  #bytesSinceBatch = 0;
  /** The newest picture: when it is decoded (UTC), and when it came (monotonic). */
  #newest: { readonly utcMs: number; readonly arrivedMs: number };
  #finishing: { readonly promise: Promise<void> } = { promise: Promise.resolve() };

  constructor(options: WriteLoopOptions) {
    const { clock, log } = options;
    this.#options = options;
    this.#nap = new Nap(clock);
    this.#newest = { utcMs: clock.utcMs(), arrivedMs: clock.monotonicMs() };
    this.#tasks = new TaskSet((name, error) => log.error({ err: error, task: name }, 'recording failed'));
  }

  /** A take begins with the GOP that `firstGop` numbers, or the last one is joined. */
  open(eventId: string, firstGop: () => number): void {
    const last = this.#takes.at(-1);
    if (last && !last.sealed) {
      last.open(eventId);
      return;
    }
    const take = new Take(firstGop());
    take.open(eventId);
    this.#takes.push(take);
    if (this.#takes.length === 1) this.#tasks.run('write clips', () => this.#writeTakes());
  }

  close(eventId: string, endUtcMs: number): void {
    for (const take of this.#takes) take.close(eventId, endUtcMs);
    if (this.#isEndReached()) this.#nap.wake();
  }

  sawBytes(bytes: number): void {
    this.#bytesSinceBatch += bytes;
    if (this.#bytesSinceBatch > this.#batchBytes) this.#nap.wake();
  }

  sawPicture(decodeUtcMs: number): void {
    this.#newest = { utcMs: decodeUtcMs, arrivedMs: this.#options.clock.monotonicMs() };
    if (this.#isEndReached()) this.#nap.wake();
  }

  get isIdle(): boolean {
    return this.#takes.length === 0;
  }

  isPinned = ({ no }: Gop): boolean =>
    this.#pinned !== null && no >= this.#pinned.first && no <= this.#pinned.last;

  neededFrom = (gop: Gop): number => Math.min(...this.#takes.map((take) => take.neededFrom(gop)));

  /** Ends all takes with what was received. */
  async drain(): Promise<void> {
    this.#closing.abort();
    this.#nap.wake();
    await this.#tasks.settle();
  }

  async #writeTakes(): Promise<void> {
    for (let take; (take = this.#takes[0]);) {
      try {
        await this.#writeTake(take);
      } finally {
        this.#takes.shift();
      }
    }
  }

  async #writeTake(take: Take): Promise<void> {
    let writer: ClipWriter | null = null;
    for (;;) {
      const startMs = this.#options.clock.monotonicMs();
      this.#bytesSinceBatch = 0;
      const next = this.#cut(take, writer);
      take.sealed = next.ends === 'take';
      const first = next.fragments[0]?.video[0];
      if (!writer && first) {
        writer = this.#newClip(first.utcMs);
        take.forgetBefore(first.utcMs);
      }
      if (writer && !(await this.#writeBatch(writer, take, next))) continue;
      take.cursor = next.cursor;
      if (next.ends !== 'nothing') {
        if (writer) await this.#finishBeside(writer);
        if (next.ends === 'take') return;
        writer = null;
      } else if (!next.more) {
        const dueMs = startMs + (next.awaitsAudio ? AUDIO_POLL_MS : FLUSH_MS);
        await this.#nap.until(Math.min(dueMs, this.#overMs(take)));
      }
    }
  }

  #cut(take: Take, writer: ClipWriter | null): Cut {
    const { clock, ring, settings } = this.#options;
    return cut(ring.gops, take.cursor, {
      clip: writer?.begun ?? null,
      maxClipMs: settings.maxClipMs,
      endUtcMs: take.endUtcMs,
      maxBytes: this.#batchBytes,
      isLast: this.#closing.signal.aborted || clock.monotonicMs() >= this.#overMs(take),
    });
  }

  /** False when it is to be tried again. While closing there is no time for that: the batch is given up. */
  async #writeBatch(writer: ClipWriter, take: Take, { cursor, fragments }: Cut): Promise<boolean> {
    const knownAs = writer.eventIds;
    this.#pinned = { first: take.cursor.video.gop, last: cursor.video.gop };
    try {
      await writer.append(fragments, take.eventIds);
    } catch (error) {
      this.#pinned = null;
      this.#failed(error);
      if (!this.#closing.signal.aborted) {
        await this.#untilRetry();
        return false;
      }
      for (const { video, stream } of fragments) this.#options.losses.add(video, stream.video.timescale);
      return true;
    }
    // At once, so that nobody takes for lost what is durable.
    this.#pinned = null;
    take.cursor = cursor;
    this.#worked();
    const { clip } = writer;
    if (clip && writer.eventIds !== knownAs) this.#options.emit({ type: 'clip.partial', clip });
    return true;
  }

  /** Syncing and renaming take their time, and what follows must not wait for them. At most one at once. */
  async #finishBeside(writer: ClipWriter): Promise<void> {
    await this.#finishing.promise;
    const finishing = (this.#finishing = Promise.withResolvers<void>());
    this.#tasks.run('finish clip', () => this.#finish(writer).finally(finishing.resolve));
  }

  async #finish(writer: ClipWriter): Promise<void> {
    for (;;) {
      try {
        const fact = await writer.finish();
        if (fact) this.#options.emit(fact);
        return;
      } catch (error) {
        this.#failed(error);
        // Its whole fragments are durable; recoverClips finds them.
        if (this.#closing.signal.aborted) return;
        await this.#untilRetry();
      }
    }
  }

  #newClip(startUtcMs: number): ClipWriter {
    const { cameraId, clock, dataDir, disk, meter, run } = this.#options;
    const clipId = clipIdOf(startUtcMs, run, ++this.#clips);
    return new ClipWriter({ clipId, cameraId, dataDir, disk, meter, clock });
  }

  #failed(error: unknown): void {
    const { log, losses } = this.#options;
    if (!losses.isDiskFailing) log.error({ err: error }, 'footage cannot be written, trying again');
    losses.isDiskFailing = true;
  }

  #worked(): void {
    const { log, losses } = this.#options;
    if (losses.isDiskFailing) log.info('footage can be written again');
    losses.isDiskFailing = false;
  }

  get #batchBytes(): number {
    return this.#options.settings.bufferBytes * BATCH_FRACTION;
  }

  #isEndReached(): boolean {
    const endUtcMs = this.#takes[0]?.endUtcMs ?? null;
    return endUtcMs !== null && this.#newest.utcMs >= endUtcMs;
  }

  /**
   * When `take` is over even if no further picture says so. Monotonic ms, counted from the newest picture,
   * so that a step of the wall clock neither cuts a clip short nor keeps it open.
   */
  #overMs({ endUtcMs }: Take): number {
    if (endUtcMs === null) return Infinity;
    const { arrivedMs, utcMs } = this.#newest;
    return arrivedMs + Math.max(0, endUtcMs - utcMs) + SILENCE_MS;
  }

  async #untilRetry(): Promise<void> {
    await this.#options.clock.sleep(RETRY_MS, this.#closing.signal).catch(() => {});
  }
}
