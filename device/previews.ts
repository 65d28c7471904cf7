import { readdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { EventFact, PreviewFact } from './contract/facts.ts';
import type { PixelFrame } from './contract/media.ts';
import type { Meter } from './contract/metrics.ts';
import { makeDirectoryDurable, replaceFile } from './kernel/durable-file.ts';
import type { makePicture } from './kernel/pictures.ts';
import type { TaskSet } from './kernel/tasks.ts';
import { Turns, TurnsTaken } from './kernel/turns.ts';

export interface PreviewsOptions {
  readonly cameraId: string;
  readonly dataDir: string;
  readonly make: typeof makePicture;
  readonly tasks: TaskSet;
  readonly meter: Meter;
  /** Aborts when no more pictures come. */
  readonly signal: AbortSignal;
  readonly onPreview: (fact: PreviewFact) => void;
}

const WIDTH = 480;
const EVERY_MS = 600;
const MAX_FRAMES = 10;
const MIN_FRAMES = 2;
const SHOWN_MS = 300;
const MAX_BYTES = 300_000;
/** Events that are collected for at the same time; they share their pictures. */
const MAX_EVENTS = 3;
const MAX_WAITING = 2;
/** Files of a camera; older messages have their clips. */
const KEPT = 20;

interface Collected {
  readonly frames: Uint8Array[];
  readonly height: number;
}

/**
 * A small animated picture of the first seconds of each event, out of pictures that were decoded for analysis anyway:
 * a few are copied in small, at most ten, and joined once in a process of its own. Not footage: the files are a cache,
 * kept for the newest events, and the index knows nothing of them.
 */
export class Previews {
  readonly #o: PreviewsOptions;
  readonly #collecting = new Map<string, Collected | null>();
  readonly #turns = new Turns(MAX_WAITING);
  #lastUtcMs = -Infinity;

  constructor(options: PreviewsOptions) {
    this.#o = options;
  }

  event({ phase, event: { eventId } }: EventFact): void {
    if (phase === 'new' && this.#collecting.size < MAX_EVENTS) this.#collecting.set(eventId, null);
    else if (phase === 'end') this.#finish(eventId);
  }

  /** `frame` stays the caller's. */
  frame(frame: PixelFrame): void {
    if (this.#collecting.size === 0 || Math.abs(frame.utcMs - this.#lastUtcMs) < EVERY_MS) return;
    this.#lastUtcMs = frame.utcMs;
    const { width, height } = frame;
    const small = Math.max(2, Math.round((WIDTH * height) / width / 2) * 2);
    const pixels = frame.crop({ x: 0, y: 0, width, height }, WIDTH, small);
    for (const [eventId, known] of this.#collecting) {
      const collected = known ?? { frames: [], height: small };
      this.#collecting.set(eventId, collected);
      // Another stream may be analysed meanwhile, in another shape.
      if (collected.height === small) collected.frames.push(pixels);
      if (collected.frames.length >= MAX_FRAMES) this.#finish(eventId);
    }
  }

  #finish(eventId: string): void {
    const collected = this.#collecting.get(eventId);
    this.#collecting.delete(eventId);
    if (!collected || collected.frames.length < MIN_FRAMES) return;
    const drop = (reason: string): void =>
      this.#o.meter.count('spyoncino_drops_total', { stage: 'preview', reason });
    this.#o.tasks.run('preview', async () => {
      try {
        await this.#turns.take(() => this.#write(eventId, collected));
      } catch (error) {
        if (!(error instanceof TurnsTaken)) {
          drop('failed');
          throw error;
        }
        drop('busy');
      }
    });
  }

  async #write(eventId: string, { frames, height }: Collected): Promise<void> {
    const { cameraId, dataDir, make, onPreview, signal } = this.#o;
    if (signal.aborted) return;
    const job = { kind: 'animation', width: WIDTH, height, delayMs: SHOWN_MS, maxBytes: MAX_BYTES } as const;
    const bytes = await make(job, Buffer.concat(frames), signal);
    const path = join('cache', 'previews', cameraId, `${eventId}.gif`);
    const target = join(dataDir, path);
    await makeDirectoryDurable(dirname(target));
    await replaceFile(target, bytes);
    onPreview({ type: 'preview', cameraId, eventId, path, sizeBytes: bytes.byteLength });
    // Names begin with the time.
    const names = (await readdir(dirname(target))).toSorted();
    for (const name of names.slice(0, -KEPT)) await rm(join(dirname(target), name), { force: true });
  }
}
