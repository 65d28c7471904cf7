import type { ClipPartialFact, ClipReadyFact, FootageKind, SegmentReadyFact } from '../contract/facts.ts';
import type { Meter } from '../contract/metrics.ts';
import type { Clock } from '../kernel/clock.ts';
import type { Log } from '../kernel/log.ts';
import { TaskSet } from '../kernel/tasks.ts';
import type { ClipRanges } from './clip-ranges.ts';
import { cut, type Cursor, type Cut } from './cut.ts';
import { FileGone, refusalOf, type Disk } from './disk.ts';
import { FootageWriter } from './footage-writer.ts';
import type { Losses } from './losses.ts';
import { Nap } from './nap.ts';
import { WritePace } from './pace.ts';
import { decodeUtcMs, type Gop, type PacketRing } from './ring.ts';
import type { Rotation } from './rotation.ts';
import { Take } from './take.ts';

export interface WriteLoopOptions {
  readonly cameraId: string;
  readonly dataDir: string;
  /** Of the files that are written. */
  readonly kind: FootageKind;
  readonly rotation: Rotation;
  readonly bufferBytes: number;
  readonly meter: Meter;
  readonly log: Log;
  readonly clock: Clock;
  readonly disk: Disk;
  readonly ring: PacketRing;
  readonly losses: Losses;
  /** Clips over segments; null where clips are files. */
  readonly ranges: ClipRanges | null;
  idFor(startUtcMs: number): string;
  emit(fact: ClipPartialFact | ClipReadyFact | SegmentReadyFact): void;
}

/** Where a file ends and only audio is missing. */
const AUDIO_POLL_MS = 100;
const RETRY_MS = 1000;
/** Silence of the stream after which a take that should be over is over. */
const SILENCE_MS = 500;
/** A batch holds this fraction of the buffer at most, so that a stuck write pins no more. */
const BATCH_FRACTION = 1 / 4;

/**
 * Writes takes, one after the other, pulling from the ring. Clips hold exactly their take. Segments hold
 * whole GOPs and never the same one twice, so that those of a camera can be put one behind the other.
 *
 * Invariant: one batch is written at a time, beside the end of at most one earlier file; a take's cursor moves
 * only past what is durable or told as lost.
 */
export class WriteLoop {
  readonly #options: WriteLoopOptions;
  /** In the order they are written; only the last can still be joined. */
  readonly #takes: Take[] = [];
  readonly #tasks: TaskSet;
  readonly #nap: Nap;
  readonly #pace = new WritePace();
  readonly #closing = new AbortController();
  /** Number of the first GOP of which no segment holds anything. */
  #firstUnheld = 0;
  /** Numbers of the first and the last GOP of the batch that is being written. */
  #pinned: { readonly first: number; readonly last: number } | null = null;
  #bytesSinceBatch = 0;
  /** The newest picture: when it is decoded (UTC), and when it came (monotonic). */
  #newest: { readonly utcMs: number; readonly arrivedMs: number };
  /** When the newest picture is decoded that came before the last batch began (UTC). */
  #batchUtcMs = Infinity;
  #finishing: { readonly promise: Promise<void> } = { promise: Promise.resolve() };

  constructor(options: WriteLoopOptions) {
    const { clock, log } = options;
    this.#options = options;
    this.#nap = new Nap(clock);
    this.#newest = { utcMs: clock.utcMs(), arrivedMs: clock.monotonicMs() };
    this.#tasks = new TaskSet((name, error) => log.error({ err: error, task: name }, 'recording failed'));
  }

  /** A take begins with the GOP that `firstGop` numbers, or the last one is joined. */
  open(id: string, firstGop: () => number): void {
    const last = this.#takes.at(-1);
    if (last && !last.sealed) {
      last.demand.open(id);
      return;
    }
    const take = new Take(Math.max(firstGop(), this.#firstUnheld));
    take.demand.open(id);
    this.#takes.push(take);
    if (this.#takes.length === 1) this.#tasks.run('write footage', () => this.#writeTakes());
  }

  close(id: string, endUtcMs: number): void {
    for (const { demand } of this.#takes) demand.close(id, endUtcMs);
    if (this.#isEndReached()) this.#nap.wake();
  }

  sawBytes(bytes: number): void {
    this.#bytesSinceBatch += bytes;
    if (this.#bytesSinceBatch > this.#batchBytes) this.#nap.wake();
  }

  sawPicture(utcMs: number, isKey: boolean): void {
    const pictureMs = utcMs - this.#newest.utcMs;
    this.#newest = { utcMs, arrivedMs: this.#options.clock.monotonicMs() };
    if (this.isIdle) return;
    const isEnd = (isKey || !this.#wholeGops) && this.#isEndReached();
    if (isEnd || this.#pace.isDue(utcMs - this.#batchUtcMs, pictureMs)) this.#nap.wake();
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
    let writer: FootageWriter | null = null;
    for (;;) {
      const startMs = this.#options.clock.monotonicMs();
      this.#bytesSinceBatch = 0;
      this.#batchUtcMs = this.#newest.utcMs;
      const next = this.#cut(take, writer);
      take.sealed = next.ends === 'take';
      if (take.sealed && this.#wholeGops) this.#firstUnheld = firstBeyond(next.cursor);
      const first = next.fragments[0]?.video[0];
      if (first && !writer?.exists) {
        writer = this.#newFile(first.utcMs);
        take.demand.forgetBefore(first.utcMs);
      }
      const outcome = writer ? await this.#writeBatch(writer, take, next) : 'done';
      if (outcome === 'done') take.cursor = next.cursor;
      if (outcome === 'gone') {
        writer = null;
        this.#skipToKey(take);
      }
      this.#options.ranges?.settle(this.#settledUtcMs(take));
      if (outcome !== 'done') continue;
      if (next.ends === 'take') {
        if (this.#closing.signal.aborted && this.#takes.length === 1) this.#options.ranges?.finish();
        else this.#options.ranges?.settle(take.demand.endUtcMs ?? -Infinity);
      }
      if (next.ends !== 'nothing') {
        if (writer) {
          await this.#noteClips(writer);
          await this.#finishBeside(writer);
        }
        if (next.ends === 'take') {
          this.#options.losses.tell();
          return;
        }
        writer = null;
      } else if (!next.more) {
        const dueMs = startMs + (next.awaitsAudio ? AUDIO_POLL_MS : this.#pace.longestMs);
        await this.#nap.until(Math.min(dueMs, this.#overMs(take)));
      }
    }
  }

  #cut(take: Take, writer: FootageWriter | null): Cut {
    const { clock, ring, rotation } = this.#options;
    return cut(ring.gops, take.cursor, {
      file: writer?.begun ?? null,
      rotation,
      endUtcMs: take.demand.endUtcMs,
      wholeGops: this.#wholeGops,
      maxBytes: this.#batchBytes,
      isLast: this.#closing.signal.aborted || clock.monotonicMs() >= this.#overMs(take),
    });
  }

  /**
   * `again`: after a while. `gone`: the file cannot be continued. While closing there is no time to try again:
   * the batch is given up.
   */
  async #writeBatch(
    writer: FootageWriter,
    take: Take,
    { cursor, ends, fragments }: Cut,
  ): Promise<'done' | 'again' | 'gone'> {
    const { clock, kind, losses, ranges } = this.#options;
    const beganMs = clock.monotonicMs();
    const knownAs = writer.eventIds;
    this.#pinned = { first: take.cursor.video.gop, last: cursor.video.gop };
    try {
      const startUtcMs = writer.begun?.startUtcMs ?? fragments[0]?.video[0]?.utcMs ?? 0;
      const eventIds = kind === 'clip' ? take.demand.ids : [];
      const clips = ranges?.over(startUtcMs, fragments) ?? [];
      // Clips over it may yet be completed, and noted, before it ends.
      await writer.append(
        fragments,
        { eventIds, clips },
        { isLast: ends !== 'nothing' && clips.length === 0 },
      );
    } catch (error) {
      this.#pinned = null;
      this.#failed(error);
      if (error instanceof FileGone) return 'gone';
      if (!this.#closing.signal.aborted) {
        await this.#untilRetry();
        return 'again';
      }
      for (const { video, stream } of fragments) losses.add(video, stream.video.timescale);
      return 'done';
    }
    // At once, so that nobody takes for lost what is durable.
    this.#pinned = null;
    take.cursor = cursor;
    this.#pace.took(clock.monotonicMs() - beganMs);
    this.#worked();
    ranges?.add(fragments);
    const { clip } = writer;
    if (kind === 'clip' && clip && writer.eventIds !== knownAs) {
      this.#options.emit({ type: 'clip.partial', clip });
    }
    return 'done';
  }

  /** The last batch may have completed clips. */
  async #noteClips(writer: FootageWriter): Promise<void> {
    const { ranges } = this.#options;
    if (!ranges || !writer.begun || writer.isIndexed) return;
    const clips = ranges.over(writer.begun.startUtcMs, []);
    // Footage is not at stake.
    await writer.append([], { eventIds: [], clips }).catch(() => {});
  }

  /** Syncing and renaming take their time, and what follows must not wait for them. At most one at once. */
  async #finishBeside(writer: FootageWriter): Promise<void> {
    await this.#finishing.promise;
    const finishing = (this.#finishing = Promise.withResolvers<void>());
    this.#tasks.run('finish footage', () => this.#finish(writer).finally(finishing.resolve));
  }

  async #finish(writer: FootageWriter): Promise<void> {
    const { kind, meter } = this.#options;
    for (;;) {
      try {
        const fact = await writer.finish();
        if (!fact) return;
        meter.count('spyoncino_footage_closed_total', { kind });
        this.#options.emit(fact);
        return;
      } catch (error) {
        this.#failed(error);
        // Its whole fragments are durable; recoverFootage finds them.
        if (error instanceof FileGone || this.#closing.signal.aborted) return;
        await this.#untilRetry();
      }
    }
  }

  #newFile(startUtcMs: number): FootageWriter {
    return new FootageWriter({ ...this.#options, id: this.#options.idFor(startUtcMs) });
  }

  /** A new file begins at a key frame: the rest of a GOP that went into another is lost with that. */
  #skipToKey(take: Take): void {
    const { video } = take.cursor;
    if (video.index === 0) return;
    const gop = this.#options.ring.gops.find(({ no }) => no === video.gop);
    if (gop) this.#options.losses.add(gop.video.slice(video.index), gop.stream.video.timescale);
    const next = { gop: video.gop + 1, index: 0 };
    take.cursor = { video: next, audio: next };
  }

  /** Up to this time (UTC, of decoding) what `take` wants is durable or lost. */
  #settledUtcMs({ cursor: { video } }: Take): number {
    const { clock, ring } = this.#options;
    for (const { no, stream, video: pictures } of ring.gops) {
      const next = no < video.gop ? null : pictures[no === video.gop ? video.index : 0];
      if (next) return decodeUtcMs(next, stream.video.timescale);
    }
    const { arrivedMs, utcMs } = this.#newest;
    return Math.max(utcMs, utcMs + clock.monotonicMs() - arrivedMs - SILENCE_MS);
  }

  #failed(error: unknown): void {
    const { log, losses } = this.#options;
    const refusal = refusalOf(error);
    if (losses.refusal?.code !== refusal.code) {
      log.error({ err: error, code: refusal.code }, 'footage cannot be written, trying again');
    }
    losses.refusal = refusal;
  }

  #worked(): void {
    const { log, losses } = this.#options;
    if (losses.refusal) log.info('footage can be written again');
    losses.tell();
    losses.refusal = null;
  }

  get #batchBytes(): number {
    return this.#options.bufferBytes * BATCH_FRACTION;
  }

  get #wholeGops(): boolean {
    return this.#options.kind === 'segment';
  }

  #isEndReached(): boolean {
    const endUtcMs = this.#takes[0]?.demand.endUtcMs ?? null;
    return endUtcMs !== null && this.#newest.utcMs >= endUtcMs;
  }

  /**
   * When `take` is over even if no further picture says so. Monotonic ms, counted from the newest picture,
   * so that a step of the wall clock neither cuts a take short nor keeps it open.
   */
  #overMs({ demand: { endUtcMs } }: Take): number {
    if (endUtcMs === null) return Infinity;
    const { arrivedMs, utcMs } = this.#newest;
    return arrivedMs + Math.max(0, endUtcMs - utcMs) + SILENCE_MS;
  }

  async #untilRetry(): Promise<void> {
    await this.#options.clock.sleep(RETRY_MS, this.#closing.signal).catch(() => {});
  }
}

/** Number of the first GOP of which nothing lies before `cursor`. */
const firstBeyond = ({ video }: Cursor): number => (video.index > 0 ? video.gop + 1 : video.gop);
