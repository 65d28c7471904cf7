import { dirname, join } from 'node:path';
import { decodeAt } from './capture/index.ts';
import { CodedError } from './contract/errors.ts';
import type { StillFact } from './contract/facts.ts';
import type { Clock } from './kernel/clock.ts';
import { makeDirectoryDurable, replaceFile } from './kernel/durable-file.ts';
import type { TaskSet } from './kernel/tasks.ts';
import { expectMedia, type Recorder } from './record/index.ts';
import type { BestShot } from './track/index.ts';

export interface StillsOptions {
  readonly recorder: Recorder;
  readonly cameraId: string;
  readonly dataDir: string;
  /** Identity that the media directory must show before a file is created in it. */
  readonly mediaId: string;
  readonly tasks: TaskSet;
  readonly clock: Clock;
  /** Aborts when no more pictures come. */
  readonly signal: AbortSignal;
  readonly onStill: (fact: StillFact) => void;
  /** There is no picture of the moment that was asked for, and there will be none. */
  readonly onLost: (eventId: string) => void;
}

export interface Snapshot {
  /** Relative to the data directory; the next snapshot of the camera takes its place. */
  readonly path: string;
  readonly utcMs: number;
  readonly sizeBytes: number;
}

/** The recorded stream may come later than the analysed one, above all where it is encoded first. */
const TRIES = 8;
const RETRY_MS = 250;
/** An older picture is not what the camera shows now. */
const MAX_AGE_MS = 5000;

/**
 * Makes pictures from the recorded stream, which is sharper than the analysed one: of the best moment of an
 * event, and of now. One at a time; of the shots of one event that wait only the newest counts.
 */
export class Stills {
  readonly #o: StillsOptions;
  readonly #waiting = new Map<string, BestShot>();
  #isBusy = false;

  constructor(options: StillsOptions) {
    this.#o = options;
  }

  take(shot: BestShot): void {
    this.#waiting.set(shot.eventId, shot);
    if (this.#isBusy) return;
    this.#isBusy = true;
    this.#o.tasks.run('stills', async () => {
      try {
        for (const [eventId, next] of this.#waiting) {
          this.#waiting.delete(eventId);
          await this.#ofEvent(next);
        }
      } finally {
        this.#isBusy = false;
      }
    });
  }

  /** @throws CodedError CAMERA_NOT_RUNNING without a picture, and what the disk says */
  async now(): Promise<Snapshot> {
    const { cameraId, clock, recorder } = this.#o;
    // Not among the footage: the index knows nothing of it.
    const path = join('cache', 'now', `${cameraId}.jpg`);
    const utcMs = recorder.gopAt(clock.utcMs())?.packets.at(-1)?.utcMs;
    const isFresh = utcMs !== undefined && utcMs > clock.utcMs() - MAX_AGE_MS;
    const sizeBytes = isFresh ? await this.#make(utcMs, path) : null;
    if (!isFresh || sizeBytes === null) throw new CodedError('CAMERA_NOT_RUNNING', cameraId);
    return { path, utcMs, sizeBytes };
  }

  async #ofEvent({ eventId, utcMs }: BestShot): Promise<void> {
    const { cameraId, onLost, onStill } = this.#o;
    const day = new Date(utcMs).toISOString().slice(0, 10);
    const path = join('media', 'stills', cameraId, day, `${eventId}.jpg`);
    await expectMedia(this.#o);
    const sizeBytes = await this.#make(utcMs, path);
    if (sizeBytes === null) onLost(eventId);
    else onStill({ type: 'still', cameraId, eventId, path, utcMs, sizeBytes });
  }

  /** Bytes of the JPEG; null when there is no picture of that moment. */
  async #make(utcMs: number, path: string): Promise<number | null> {
    const gop = await this.#gopAt(utcMs);
    const frame = gop && (await decodeAt(gop.video, gop.packets, utcMs));
    if (!frame) return null;
    let jpeg: Uint8Array;
    try {
      jpeg = await frame.jpeg();
    } finally {
      frame.release();
    }
    const target = join(this.#o.dataDir, path);
    await makeDirectoryDurable(dirname(target));
    await replaceFile(target, jpeg);
    return jpeg.byteLength;
  }

  async #gopAt(utcMs: number): Promise<ReturnType<Recorder['gopAt']>> {
    const { clock, recorder, signal } = this.#o;
    for (let left = TRIES; ; left--) {
      const gop = recorder.gopAt(utcMs);
      if (gop || left === 0 || signal.aborted) return gop;
      await clock.sleep(RETRY_MS, signal).catch(() => {});
    }
  }
}
