import { constants, open, readFile, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { crc32 } from 'node:zlib';
import type { Clock } from '../kernel/clock.ts';
import { makeDirectoryDurable, renameDurable } from '../kernel/durable-file.ts';
import type { Log } from '../kernel/log.ts';

export interface DurableMapOptions {
  /** null: it is a map in memory, nothing else. */
  readonly path: string | null;
  readonly clock: Clock;
  readonly log: Log;
}

/** What changed within this time is written together. It is also what a power cut may cost. */
const GATHER_MS = 300;
/** After a write that failed; the disk may be full or gone for a while. */
const RETRY_MS = 10_000;
/** The file is rewritten when it is larger than this and mostly outdated. */
const COMPACT_FROM_BYTES = 1 << 20;
const COMPACT_FACTOR = 4;
const CHUNK_CHARACTERS = 1 << 18;

/**
 * A map of JSON values whose entries outlive the process: an append-only file of lines, each with its checksum,
 * read back in order and rewritten when most of it is outdated. All file work is asynchronous.
 *
 * Invariants: the map in memory is the truth, and bounded by its owner. A line says what its key is worth from
 * there on, so lines may be read again without harm, and a torn end is cut off. What comes and goes within
 * GATHER_MS never touches the disk. Where the file cannot be used, the map works on in memory alone.
 */
export class DurableMap<V> implements AsyncDisposable {
  readonly #o: DurableMapOptions;
  readonly #entries = new Map<string, V>();
  /** Length of the line that holds the key's value now. */
  readonly #onDisk = new Map<string, number>();
  readonly #changed = new Set<string>();
  readonly #closing = new AbortController();
  #file: FileHandle | null = null;
  #fileBytes = 0;
  #liveBytes = 0;
  #writing: Promise<void> | null = null;

  private constructor(options: DurableMapOptions) {
    this.#o = options;
  }

  static async open<V>(options: DurableMapOptions): Promise<DurableMap<V>> {
    const map = new DurableMap<V>(options);
    if (options.path === null) return map;
    try {
      await makeDirectoryDurable(dirname(options.path));
      await map.#read(options.path);
    } catch (error) {
      options.log.error({ err: error, path: options.path }, 'the bus keeps nothing over a restart');
      await map.#file?.close();
      map.#file = null;
    }
    return map;
  }

  get(key: string): V | undefined {
    return this.#entries.get(key);
  }

  entries(): MapIterator<[string, V]> {
    return this.#entries.entries();
  }

  set(key: string, value: V): void {
    this.#entries.set(key, value);
    this.#change(key);
  }

  delete(key: string): void {
    if (this.#entries.delete(key)) this.#change(key);
  }

  /** Writes what has changed, and closes the file. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort();
    await this.#writing;
    await this.#file?.close();
    this.#file = null;
  }

  #change(key: string): void {
    if (!this.#file) return;
    this.#changed.add(key);
    this.#writing ??= this.#writeUntilDone();
  }

  async #writeUntilDone(): Promise<void> {
    const { clock, log, path } = this.#o;
    const { signal } = this.#closing;
    while (this.#changed.size > 0) {
      await clock.sleep(GATHER_MS, signal).catch(() => {});
      try {
        if (path !== null && this.#isMostlyOutdated()) await this.#compact(path);
        else await this.#append();
      } catch (error) {
        log.error({ err: error, path }, 'what the bus keeps could not be written');
        if (signal.aborted) break;
        await clock.sleep(RETRY_MS, signal).catch(() => {});
      }
    }
    this.#writing = null;
  }

  #isMostlyOutdated(): boolean {
    return this.#fileBytes > COMPACT_FROM_BYTES && this.#fileBytes > this.#liveBytes * COMPACT_FACTOR;
  }

  async #append(): Promise<void> {
    const keys = [...this.#changed];
    const lines = keys.flatMap((key) => {
      const value = this.#entries.get(key);
      if (value === undefined && !this.#onDisk.has(key)) return [];
      const isLive = value !== undefined;
      return [{ key, isLive, text: lineOf(isLive ? [key, value] : [key]) }];
    });
    this.#changed.clear();
    if (lines.length === 0) return;
    const bytes = Buffer.from(lines.map(({ text }) => text).join(''));
    try {
      // At a known place: what a failed write left behind is overwritten by the next.
      await this.#file?.write(bytes, 0, bytes.length, this.#fileBytes);
      await this.#file?.datasync();
    } catch (error) {
      for (const key of keys) this.#changed.add(key);
      throw error;
    }
    this.#fileBytes += bytes.length;
    for (const { key, isLive, text } of lines) this.#account(key, isLive ? text.length : null);
  }

  /** A piece at a time, as entries are then: whatever changes meanwhile is written after it once more. */
  async #compact(path: string): Promise<void> {
    const temporary = `${path}.tmp`;
    this.#changed.clear();
    const file = await open(temporary, 'w', 0o600);
    try {
      const lengths = new Map<string, number>();
      let [piece, bytes] = ['', 0];
      const flush = async (): Promise<void> => {
        const buffer = Buffer.from(piece);
        await file.write(buffer, 0, buffer.length, bytes);
        bytes += buffer.length;
        piece = '';
      };
      for (const entry of this.#entries) {
        const text = lineOf(entry);
        lengths.set(entry[0], text.length);
        piece += text;
        if (piece.length > CHUNK_CHARACTERS) await flush();
      }
      await flush();
      await file.sync();
      await renameDurable(temporary, path);
      await this.#file?.close();
      this.#file = file;
      this.#fileBytes = bytes;
      this.#onDisk.clear();
      this.#liveBytes = 0;
      for (const [key, length] of lengths) this.#account(key, length);
    } catch (error) {
      await file.close();
      for (const key of [...this.#entries.keys(), ...this.#onDisk.keys()]) this.#changed.add(key);
      throw error;
    }
  }

  async #read(path: string): Promise<void> {
    const { log } = this.#o;
    const bytes = await readFile(path).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return Buffer.alloc(0);
      throw error;
    });
    let at = 0;
    for (let end = bytes.indexOf(10); end !== -1; end = bytes.indexOf(10, at)) {
      const line = bytes.toString('utf8', at, end);
      const parsed = parseLine<V>(line);
      if (!parsed) break;
      at = end + 1;
      const [key, value] = parsed;
      if (value === undefined) this.#entries.delete(key);
      else this.#entries.set(key, value);
      this.#account(key, value === undefined ? null : line.length + 1);
    }
    if (at < bytes.length) log.warn({ path, lostBytes: bytes.length - at }, 'the end of the file was torn');
    // Not 'a': where it is written is ours to say.
    const file = await open(path, constants.O_RDWR | constants.O_CREAT, 0o600);
    this.#file = file;
    await file.truncate(at);
    this.#fileBytes = at;
  }

  /** `length` of the line that was written for the key; null: that it is gone. */
  #account(key: string, length: number | null): void {
    this.#liveBytes += (length ?? 0) - (this.#onDisk.get(key) ?? 0);
    if (length === null) this.#onDisk.delete(key);
    else this.#onDisk.set(key, length);
  }
}

const lineOf = (record: readonly unknown[]): string => {
  const json = JSON.stringify(record);
  return `${checksum(json)} ${json}\n`;
};

const checksum = (text: string): string => crc32(text).toString(16).padStart(8, '0');

/** `[key, value]`, or `[key]` for one that is gone; null for a line that is not whole. */
function parseLine<V>(line: string): readonly [string, V?] | null {
  const json = line.slice(9);
  if (line.slice(0, 9) !== `${checksum(json)} `) return null;
  return JSON.parse(json) as [string, V?];
}
