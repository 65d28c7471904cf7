import type { LogEntry } from '../harness/drive/index.ts';

/** What a drive has on its medium when the power goes. */
export type DriveKind =
  /** All that it answered, in order. */
  | 'without cache'
  /** All before the last flush; of what came later any part, in any order. */
  | 'with cache';

const SECTOR_BYTES = 512;

/** Goes once through the log of a drive, forward, and says what each power cut on the way would have left. */
export class PowerCuts {
  readonly #entries: readonly LogEntry[];
  /** What is on the medium for sure: everything before entry number `#flushed`. */
  readonly #medium: Buffer;
  #flushed = 0;

  constructor(blank: Buffer, entries: readonly LogEntry[]) {
    this.#medium = Buffer.from(blank);
    this.#entries = entries;
  }

  /** The bytes of the disk after a cut right before entry number `at` was answered. Cuts come in order. */
  cut(at: number, kind: DriveKind, random: () => number): Buffer {
    const lastFlush = this.#entries.slice(0, at).findLastIndex((entry) => entry.kind === 'flush');
    for (; this.#flushed <= lastFlush; this.#flushed++) put(this.#medium, this.#entries[this.#flushed]!);
    const left = Buffer.from(this.#medium);
    const survives = kind === 'without cache' ? 1 : random();
    for (const entry of this.#entries.slice(this.#flushed, at)) {
      if (random() < survives) put(left, entry);
      else if (kind === 'with cache') put(left, entry, random);
    }
    // The one that is being written when it happens may get as far as any sector.
    const torn = this.#entries[at];
    if (torn?.kind === 'write') {
      const sectors = Math.floor((random() * torn.data.byteLength) / SECTOR_BYTES);
      torn.data.copy(left, torn.offset, 0, sectors * SECTOR_BYTES);
    }
    return left;
  }
}

/** All of it or, with `random`, sectors here and there. */
function put(bytes: Buffer, entry: LogEntry, random?: () => number): void {
  if (entry.kind !== 'write') return;
  const { data, offset } = entry;
  if (!random) {
    data.copy(bytes, offset);
    return;
  }
  const share = random();
  for (let at = 0; at < data.byteLength; at += SECTOR_BYTES) {
    if (random() < share) data.copy(bytes, offset + at, at, at + SECTOR_BYTES);
  }
}
