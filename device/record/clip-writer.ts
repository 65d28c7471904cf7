import { createHash } from 'node:crypto';
import { dirname, join } from 'node:path';
import type { ClipReadyFact, ClipState } from '../contract/facts.ts';
import type { StreamInfo } from '../contract/media.ts';
import type { Clock } from '../kernel/clock.ts';
import type { Meter } from '../contract/metrics.ts';
import { partPath, readyPath } from './clip-path.ts';
import type { Fragment } from './cut.ts';
import type { Disk, DiskFile } from './disk.ts';
import { beginFile, durationMs, encodeFragments, type FileState } from './encode.ts';
import { noteBox } from '../kernel/fmp4/note.ts';
import { randomAccessBox } from '../kernel/fmp4/random-access.ts';

export interface ClipWriterOptions {
  readonly clipId: string;
  readonly cameraId: string;
  readonly dataDir: string;
  readonly disk: Disk;
  readonly meter: Meter;
  readonly clock: Clock;
}

/**
 * One clip file, from its first byte to its last name.
 *
 * Invariant: `#state`, `#sizeBytes` and `#hash` describe what is durable. A batch is written, synced, and
 * only then counts; after a failure the same or another batch is put at the same place. (A failed fsync may
 * have dropped dirty pages, so nothing since the last good one is trusted: it is written again.)
 */
export class ClipWriter {
  readonly #options: ClipWriterOptions;
  #file: DiskFile | null = null;
  #state: FileState | null = null;
  #eventIds: readonly string[] = [];
  #sizeBytes = 0;
  #hash = createHash('sha256');
  /** Bytes of a failed batch may lie behind `#sizeBytes`. */
  #torn = false;

  constructor(options: ClipWriterOptions) {
    this.#options = options;
  }

  /** What later footage must match to go into this file; null until something is durable. */
  get begun(): { readonly stream: StreamInfo; readonly startUtcMs: number } | null {
    return this.#state;
  }

  /** As far as durable; the same array until it changes. */
  get eventIds(): readonly string[] {
    return this.#eventIds;
  }

  /** Null until something is durable. */
  get clip(): ClipState | null {
    return this.#state && this.#describe(this.#state, partPath(this.#options));
  }

  /** Makes `fragments` durable, and that the clip belongs to `eventIds`. All or nothing. */
  async append(fragments: readonly Fragment[], eventIds: readonly string[]): Promise<void> {
    const chunks: Uint8Array[] = [];
    let state = this.#state;
    const [first] = fragments;
    if (!state) {
      const key = first?.video[0];
      if (!key) return;
      const begun = beginFile(first.stream, key);
      state = begun.state;
      chunks.push(begun.head);
    }
    const isJoined = !sameIds(eventIds, this.#eventIds);
    if (isJoined) {
      const { clipId, cameraId } = this.#options;
      chunks.push(noteBox({ kind: 'clip', id: clipId, cameraId, startUtcMs: state.startUtcMs, eventIds }));
    }
    const encoded = encodeFragments(state, fragments, this.#sizeBytes + byteLength(chunks));
    await this.#commit([...chunks, ...encoded.chunks]);
    this.#state = encoded.state;
    if (isJoined) this.#eventIds = eventIds;
  }

  /**
   * Gives the file its last byte and its last name; null when nothing of it is durable. May be called again
   * after a rejection.
   */
  async finish(): Promise<ClipReadyFact | null> {
    const state = this.#state;
    if (!state) {
      await this.abandon();
      return null;
    }
    if (this.#file) {
      // The index only makes seeking faster; a full disk must not keep the clip from being finished.
      await this.#commit([randomAccessBox(state.accessPoints)]).catch(() => {});
      if (this.#torn) await this.#heal(this.#file);
      await this.abandon();
    }
    const { dataDir, disk } = this.#options;
    const path = readyPath(this.#options);
    await disk.rename(join(dataDir, partPath(this.#options)), join(dataDir, path));
    return {
      type: 'clip.ready',
      clip: this.#describe(state, path),
      sha256: this.#hash.copy().digest('hex'),
      coverage: state.coverage.ranges,
      recovered: false,
    };
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
    const file = (this.#file ??= await this.#create());
    if (this.#torn) await this.#heal(file);
    const startMs = clock.monotonicMs();
    this.#torn = true;
    await file.write(chunks, this.#sizeBytes);
    const writtenMs = clock.monotonicMs();
    await file.sync();
    this.#torn = false;
    meter.observe('spyoncino_write_ms', writtenMs - startMs);
    meter.observe('spyoncino_fdatasync_ms', clock.monotonicMs() - writtenMs);
    meter.count('spyoncino_written_bytes_total', {}, bytes);
    this.#sizeBytes += bytes;
    for (const chunk of chunks) this.#hash.update(chunk);
  }

  async #heal(file: DiskFile): Promise<void> {
    await file.truncate(this.#sizeBytes);
    await file.sync();
    this.#torn = false;
  }

  async #create(): Promise<DiskFile> {
    const { dataDir, disk } = this.#options;
    const path = join(dataDir, partPath(this.#options));
    await disk.makeDirectory(dirname(path));
    return await disk.create(path);
  }

  #describe(state: FileState, path: string): ClipState {
    return {
      clipId: this.#options.clipId,
      cameraId: this.#options.cameraId,
      eventIds: this.#eventIds,
      path,
      startUtcMs: Math.round(state.startUtcMs),
      durationMs: durationMs(state),
      sizeBytes: this.#sizeBytes,
    };
  }
}

const byteLength = (chunks: readonly Uint8Array[]): number =>
  chunks.reduce((sum, { byteLength }) => sum + byteLength, 0);

const sameIds = (a: readonly string[], b: readonly string[]): boolean =>
  a.length === b.length && a.every((id, i) => id === b[i]);
