import type { SharperPictures } from './analysis.ts';
import { GopReader } from './capture/index.ts';
import type { Size } from './contract/geometry.ts';
import type { PixelFrame, VideoTrack } from './contract/media.ts';
import type { Meter } from './contract/metrics.ts';
import type { Clock } from './kernel/clock.ts';
import type { Log } from './kernel/log.ts';
import type { Recorder } from './record/index.ts';

/** Of all time, at most this much goes into decoding for detail, whatever the camera's resolution. */
const SHARE = 0.1;
/** What was not spent is kept, up to this: enough for a burst when somebody appears. */
const SAVINGS_MS = 250;
/** A look that would be later than this is better done at once with what is there. */
const MAX_WAIT_MS = 100;
/** What is already known is looked at sharply only while so much is left for what is new. */
const RESERVE = 0.5;
/** The picture nearest to the moment may be this much older; else the stream is down or far behind. */
const MAX_APART_MS = 300;
/** Decoding before it was ever measured, per pixel: slow, so that the first look is a cautious one. */
const GUESS_MS = 6e-6;

export interface MainPicturesOptions {
  readonly recorder: Pick<Recorder, 'gopAt'>;
  readonly meter: Meter;
  readonly clock: Clock;
  readonly log: Log;
}

/**
 * Pictures of the recorded stream for moments of the analysed one, out of the recorder's memory. Decoding starts
 * at the key frame, or goes on where the last look at the same GOP ended.
 */
export class MainPictures implements SharperPictures, Disposable {
  readonly #o: MainPicturesOptions;
  readonly #reader = new GopReader();
  readonly #allowance: Allowance;
  #size: Size | null = null;
  /** Decoding one picture, as measured lately. */
  #pictureMs = 0;

  constructor(options: MainPicturesOptions) {
    this.#o = options;
    this.#allowance = new Allowance(SHARE, SAVINGS_MS, options.clock.monotonicMs());
  }

  /** What is recorded from now on. */
  stream({ width, height }: VideoTrack): void {
    this.#size = { width, height };
    this.#pictureMs = GUESS_MS * width * height;
  }

  get size(): Size | null {
    return this.#size;
  }

  async at(utcMs: number, urgent: boolean): Promise<PixelFrame | null> {
    const { clock, log, meter, recorder } = this.#o;
    const gop = recorder.gopAt(utcMs);
    const newestUtcMs = gop?.packets.at(-1)?.utcMs;
    if (!gop || newestUtcMs === undefined || utcMs - newestUtcMs > MAX_APART_MS) return this.#skip('absent');
    const pictures = this.#reader.pictures(gop.packets);
    const expectedMs = pictures * this.#pictureMs;
    const leftMs = this.#allowance.left(clock.monotonicMs()) - (urgent ? 0 : RESERVE * SAVINGS_MS);
    if (expectedMs > Math.min(leftMs, MAX_WAIT_MS)) return this.#skip('unaffordable');
    const startedMs = clock.monotonicMs();
    try {
      return await this.#reader.at(gop.video, gop.packets, utcMs);
    } catch (error) {
      log.debug({ err: error }, 'a recorded picture could not be decoded');
      return this.#skip('failed');
    } finally {
      const spentMs = clock.monotonicMs() - startedMs;
      this.#allowance.spend(spentMs);
      this.#pictureMs += (spentMs / Math.max(1, pictures) - this.#pictureMs) / 4;
      meter.observe('spyoncino_sharpen_ms', spentMs);
    }
  }

  [Symbol.dispose](): void {
    this.#reader[Symbol.dispose]();
  }

  #skip(reason: 'absent' | 'unaffordable' | 'failed'): null {
    this.#o.meter.count('spyoncino_drops_total', { stage: 'sharpen', reason });
    return null;
  }
}

/** Time that may be spent: a share of the time that passes, saved up to a limit. An overdraft is paid back. */
export class Allowance {
  readonly #share: number;
  readonly #limitMs: number;
  #leftMs: number;
  #sinceMs: number;

  constructor(share: number, limitMs: number, nowMs: number) {
    this.#share = share;
    this.#limitMs = limitMs;
    this.#leftMs = limitMs;
    this.#sinceMs = nowMs;
  }

  left(nowMs: number): number {
    this.#leftMs = Math.min(this.#limitMs, this.#leftMs + this.#share * (nowMs - this.#sinceMs));
    this.#sinceMs = nowMs;
    return this.#leftMs;
  }

  spend(ms: number): void {
    this.#leftMs -= ms;
  }
}
