/**
 * A disk that is led through its log, cut by cut and forward alone: what is durable is on it for good, what a cut may have left
 * beyond is put on it and taken back.
 */
import { open, type FileHandle } from 'node:fs/promises';
import { SECTOR_BYTES, type PowerCut } from '../../../tests/harness/nbd/crash-images.ts';
import type { DiskLog, DiskOp } from '../../../tests/harness/nbd/disk-log.ts';

const CHUNK_BYTES = 1024 * 1024;

export class Replay implements AsyncDisposable {
  readonly #file: FileHandle;
  readonly #log: DiskLog;
  /** Chunks in which there may be something else than zeros. */
  readonly #used: Set<number>;
  readonly sizeBytes: number;
  /** Operations before this one are on the disk for good. */
  #durable = 0;
  /** What stood where a cut was put. */
  readonly #before: { readonly offset: number; readonly data: Buffer }[] = [];

  private constructor(file: FileHandle, log: DiskLog, sizeBytes: number, used: Set<number>) {
    this.#file = file;
    this.#log = log;
    this.sizeBytes = sizeBytes;
    this.#used = used;
  }

  /** `path`: the disk as it was when the log began; it is written over. */
  static async open(path: string, log: DiskLog): Promise<Replay> {
    const file = await open(path, 'r+');
    const { size } = await file.stat();
    const used = new Set<number>();
    const chunk = Buffer.alloc(CHUNK_BYTES);
    for (let at = 0; at < size; at += CHUNK_BYTES) {
      const { bytesRead } = await file.read(chunk, 0, CHUNK_BYTES, at);
      if (!isZero(chunk.subarray(0, bytesRead))) used.add(at / CHUNK_BYTES);
    }
    return new Replay(file, log, size, used);
  }

  /** Cuts come in the order of the log. Until `takeBack` the disk is as the cut left it. */
  async put(cut: PowerCut): Promise<void> {
    const { ops } = this.#log;
    const lastFlush = ops.slice(0, cut.cutAt).findLastIndex(({ kind }) => kind === 'flush');
    for (; this.#durable <= lastFlush; this.#durable++) await this.#do(ops[this.#durable]);
    for (const index of cut.reached) {
      if (index < this.#durable) continue;
      const op = ops[index];
      if (op?.kind !== 'write' && op?.kind !== 'zero') continue;
      const sectors = cut.torn.get(index);
      const length = sectors === undefined ? op.length : Math.min(op.length, sectors * SECTOR_BYTES);
      this.#before.push({ offset: op.offset, data: await this.read(op.offset, length) });
      await this.#do({ ...op, length });
    }
  }

  async takeBack(): Promise<void> {
    for (let last = this.#before.pop(); last !== undefined; last = this.#before.pop())
      await this.#file.write(last.data, 0, last.data.length, last.offset);
  }

  async read(offset: number, length: number): Promise<Buffer> {
    const { buffer } = await this.#file.read(Buffer.alloc(length), 0, length, offset);
    return buffer;
  }

  /** Copies a part of the disk; zeros become holes. */
  async copyTo(path: string, offset: number, length: number): Promise<void> {
    await using copy = await open(path, 'w');
    await copy.truncate(length);
    const chunk = Buffer.alloc(CHUNK_BYTES);
    for (let at = 0; at < length; at += CHUNK_BYTES) {
      if (!this.#used.has(Math.floor((offset + at) / CHUNK_BYTES))) continue;
      const { bytesRead } = await this.#file.read(chunk, 0, Math.min(CHUNK_BYTES, length - at), offset + at);
      await copy.write(chunk, 0, bytesRead, at);
    }
  }

  async #do(op: DiskOp | undefined): Promise<void> {
    if (op?.kind === 'write') {
      const data = (await this.#log.dataOf(op)).subarray(0, op.length);
      this.#use(op.offset, op.length);
      await this.#file.write(data, 0, data.length, op.offset);
    }
    if (op?.kind === 'zero') {
      const end = op.offset + op.length;
      for (let at = op.offset; at < end; at = nextChunk(at)) {
        const bytes = Math.min(nextChunk(at), end) - at;
        // What was never written is a hole, and stays one.
        if (this.#used.has(Math.floor(at / CHUNK_BYTES)))
          await this.#file.write(Buffer.alloc(bytes), 0, bytes, at);
      }
    }
  }

  #use(offset: number, length: number): void {
    for (let at = offset; at < offset + length; at = nextChunk(at))
      this.#used.add(Math.floor(at / CHUNK_BYTES));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file.close();
  }
}

const nextChunk = (at: number): number => (Math.floor(at / CHUNK_BYTES) + 1) * CHUNK_BYTES;

const ZEROS = Buffer.alloc(CHUNK_BYTES);
const isZero = (data: Buffer): boolean => data.equals(ZEROS.subarray(0, data.length));
