import { createHash } from 'node:crypto';
import { dirname, join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import type { ClipReadyFact, ClipState, FootageKind, SegmentReadyFact } from '../contract/facts.ts';
import type { StreamInfo } from '../contract/media.ts';
import type { Meter } from '../contract/metrics.ts';
import type { Clock } from '../kernel/clock.ts';
import { paddingBytes } from '../kernel/fmp4/fragment.ts';
import { noteBox, type FootageNote } from '../kernel/fmp4/note.ts';
import { randomAccessBox } from '../kernel/fmp4/random-access.ts';
import type { Fragment } from './cut.ts';
import type { Disk, DiskFile } from './disk.ts';
import { beginFile, durationMs, encodeBatch, type FileState } from './encode.ts';
import { partPath, readyPath } from './footage-path.ts';

/** What a file is footage of. */
export type Holds = Pick<FootageNote, 'eventIds' | 'clips'>;

export interface FootageWriterOptions {
  readonly kind: FootageKind;
  readonly id: string;
  readonly cameraId: string;
  readonly dataDir: string;
  readonly disk: Disk;
  readonly meter: Meter;
  readonly clock: Clock;
}

/**
 * One file of footage, a clip or a segment, from its first byte to its last name.
 *
 * Invariant: `#state`, `#sizeBytes` and `#hash` describe what is durable. A batch is written, synced, and
 * only then counts; after a failure the file is opened anew, cut back, and the same or another batch is put
 * at the same place. (A failed fsync may have dropped dirty pages, so nothing since the last good one is
 * trusted; and a disk that was pulled and put back answers only to new handles.)
 */
export class FootageWriter {
  readonly #options: FootageWriterOptions;
  #file: DiskFile | null = null;
  #isCreated = false;
  #state: FileState | null = null;
  #holds: Holds = { eventIds: [], clips: [] };
  #sizeBytes = 0;
  #hash = createHash('sha256');
  /** Bytes of a failed batch may lie behind `#sizeBytes`. */
  #torn = false;
  /** Whether writing `mfra` was tried. */
  #isIndexed = false;

  constructor(options: FootageWriterOptions) {
    this.#options = options;
  }

  /** Whether there is a file of this name, with or without footage. */
  get exists(): boolean {
    return this.#isCreated;
  }

  /** What later footage must match to go into this file; null until something is durable. */
  get begun(): { readonly stream: StreamInfo; readonly startUtcMs: number } | null {
    return this.#state;
  }

  /** As far as durable; the same array until it changes. */
  get eventIds(): readonly string[] {
    return this.#holds.eventIds;
  }

  /** The file as a clip; null until something is durable. */
  get clip(): ClipState | null {
    if (!this.#state) return null;
    const file = this.#describe(this.#state, partPath(this.#options));
    return { ...file, clipId: this.#options.id, eventIds: this.eventIds };
  }

  /** Whether it has its last byte: it can be finished, and nothing be added. */
  get isIndexed(): boolean {
    return this.#isIndexed;
  }

  /** Makes `fragments` durable, and what the file `holds`; with the `isLast` of them its index as well. All or nothing. */
  async append(fragments: readonly Fragment[], holds: Holds, { isLast = false } = {}): Promise<void> {
    const boxes: Uint8Array[] = [];
    let state = this.#state;
    const isNoted = state !== null && isDeepStrictEqual(holds, this.#holds);
    const [first] = fragments;
    if (!state) {
      const key = first?.video[0];
      if (!key) return;
      const begun = beginFile(first.stream, key);
      state = begun.state;
      boxes.push(begun.head);
    }
    if (!isNoted) {
      const { kind, id, cameraId } = this.#options;
      const note: FootageNote = { kind, id, cameraId, startUtcMs: state.startUtcMs, ...holds };
      const box = noteBox(note);
      boxes.push(first ? box : noteBox(note, paddingBytes(this.#sizeBytes + box.byteLength)));
    }
    const encoded = encodeBatch(state, boxes, fragments, this.#sizeBytes);
    const index = isLast ? [randomAccessBox(encoded.state.accessPoints)] : [];
    await this.#commit([...encoded.chunks, ...index]);
    this.#state = encoded.state;
    this.#isIndexed = isLast;
    if (!isNoted) this.#holds = holds;
  }

  /**
   * Gives the file its last byte and its last name; null when nothing of it is durable. May be called again
   * after a rejection.
   */
  async finish(): Promise<ClipReadyFact | SegmentReadyFact | null> {
    const state = this.#state;
    if (!state) {
      await this.abandon();
      return null;
    }
    if (!this.#isIndexed) {
      this.#isIndexed = true;
      // The index only makes seeking faster; a full disk must not keep the file from being finished.
      await this.#commit([randomAccessBox(state.accessPoints)]).catch(() => {});
    }
    if (this.#torn) await this.#open();
    await this.abandon();
    const { dataDir, disk, id, kind } = this.#options;
    const path = readyPath(this.#options);
    await disk.rename(join(dataDir, partPath(this.#options)), join(dataDir, path));
    const file = this.#describe(state, path);
    const told = {
      sha256: this.#hash.copy().digest('hex'),
      coverage: state.coverage.ranges,
      recovered: false,
    };
    return kind === 'clip'
      ? { type: 'clip.ready', clip: { ...file, clipId: id, eventIds: this.eventIds }, ...told }
      : { type: 'segment.ready', segment: { ...file, segmentId: id }, ...told };
  }

  /** Lets go of the file and leaves it as it is. */
  async abandon(): Promise<void> {
    const file = this.#file;
    this.#file = null;
    await file?.close();
  }

  async #commit(chunks: readonly Uint8Array[]): Promise<void> {
    const { clock, meter } = this.#options;
    const bytes = byteLength(chunks);
    if (bytes === 0) return;
    const file = this.#file ?? (await this.#open());
    const startMs = clock.monotonicMs();
    let writtenMs: number;
    try {
      await file.write(chunks, this.#sizeBytes);
      writtenMs = clock.monotonicMs();
      await file.sync();
    } catch (error) {
      this.#torn = true;
      await this.abandon().catch(() => {});
      throw error;
    }
    meter.observe('spyoncino_write_ms', writtenMs - startMs);
    meter.observe('spyoncino_fdatasync_ms', clock.monotonicMs() - writtenMs);
    meter.count('spyoncino_written_bytes_total', {}, bytes);
    this.#sizeBytes += bytes;
    for (const chunk of chunks) this.#hash.update(chunk);
  }

  /** Afterwards the file holds what is durable, and nothing behind it. */
  async #open(): Promise<DiskFile> {
    const { dataDir, disk } = this.#options;
    const path = join(dataDir, partPath(this.#options));
    if (this.#isCreated) {
      this.#file = await disk.reopen(path, this.#sizeBytes);
    } else {
      await disk.makeDirectory(dirname(path));
      this.#file = await disk.create(path);
      this.#isCreated = true;
    }
    this.#torn = false;
    return this.#file;
  }

  #describe(state: FileState, path: string) {
    const { cameraId } = this.#options;
    const startUtcMs = Math.round(state.startUtcMs);
    return { cameraId, path, startUtcMs, durationMs: durationMs(state), sizeBytes: this.#sizeBytes };
  }
}

const byteLength = (chunks: readonly Uint8Array[]): number =>
  chunks.reduce((sum, { byteLength }) => sum + byteLength, 0);
