import { constants } from 'node:fs';
import { mkdir, open, readFile, rm, statfs, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { CodedError } from '../contract/errors.ts';
import { backoff } from '../kernel/backoff.ts';
import type { Clock } from '../kernel/clock.ts';
import { replaceFile } from '../kernel/durable-file.ts';
import type { Log } from '../kernel/log.ts';
import { Turns } from '../kernel/turns.ts';

export interface PartialBundleOptions {
  /** Ours alone; holds one bundle. */
  readonly folder: string;
  /** Where the bundle comes from. */
  readonly url: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
  /** For tests. */
  readonly chunkBytes?: number;
  /** How often in a row nothing may arrive before we give up. */
  readonly tries?: number;
}

const CHUNK_BYTES = 64 * 1024;
const TRIES = 8;
/** A connection on which nothing arrives for so long is a broken one. */
const SILENCE_MS = 30_000;
/** What was received is noted this often at the latest: so much is fetched again after a power cut. */
const NOTED_EVERY_BYTES = 4 * 1024 * 1024;
/** The disk keeps so much for recordings. */
const HEADROOM_BYTES = 64 * 1024 * 1024;
/** More than any image of ours: a wrong address must not fill the disk. */
const MAX_BYTES = 2 * 1024 ** 3;
const MAX_WAITING = 64;

const noteSchema = z.object({
  url: z.string(),
  sizeBytes: z.number().int().positive(),
  chunkBytes: z.number().int().positive(),
  validator: z.string().nullable(),
  /** Whether the server sends parts. */
  hasRanges: z.boolean(),
  /** One bit per chunk. */
  present: z.base64(),
});
type Note = z.infer<typeof noteSchema>;

/**
 * A bundle of which any part may be here already: a sparse file as large as the bundle, and a note which chunks of it
 * are there. Its ends alone are enough for RAUC to verify who made it; all of it can be installed; and what comes in
 * between is fetched when somebody wants it. Parts survive broken connections, restarts and power cuts, as long as the
 * server still has the same bundle (`If-Range`). The file is open only while it is written or read: RAUC wants it for
 * itself.
 */
export class PartialBundle {
  readonly path: string;
  readonly sizeBytes: number;
  readonly #o: PartialBundleOptions;
  readonly #validator: string | null;
  readonly #hasRanges: boolean;
  readonly #chunkBytes: number;
  readonly #present: Uint8Array;
  readonly #turns = new Turns(MAX_WAITING);
  #receivedBytes: number;
  #unnotedBytes = 0;

  private constructor(options: PartialBundleOptions, note: Note) {
    this.#o = options;
    this.path = bundlePath(options.folder);
    this.sizeBytes = note.sizeBytes;
    this.#validator = note.validator;
    this.#hasRanges = note.hasRanges;
    this.#chunkBytes = note.chunkBytes;
    this.#present = new Uint8Array(Buffer.from(note.present, 'base64'));
    this.#receivedBytes = 0;
    for (let chunk = 0; chunk < this.#chunks; chunk++) {
      if (this.#has(chunk)) this.#receivedBytes += this.#sizeOf(chunk);
    }
  }

  /**
   * Asks the server what it has, and goes on where an earlier attempt ended.
   *
   * @throws CodedError UPDATE_UNREACHABLE, UPDATE_NOT_FOUND, UPDATE_NO_SPACE
   */
  static async open(options: PartialBundleOptions): Promise<PartialBundle> {
    const { folder } = options;
    await mkdir(folder, { recursive: true });
    const offer = await withPatience(options, () => askServer(options));
    const kept = await readNote(folder);
    const isSame =
      kept !== null &&
      kept.validator !== null &&
      kept.url === options.url &&
      kept.validator === offer.validator &&
      kept.sizeBytes === offer.sizeBytes;
    if (!isSame) await discardBundle(folder);
    const chunkBytes = isSame ? kept.chunkBytes : (options.chunkBytes ?? CHUNK_BYTES);
    const bytes = Math.ceil(Math.ceil(offer.sizeBytes / chunkBytes) / 8);
    const note = isSame
      ? kept
      : { ...offer, url: options.url, chunkBytes, present: Buffer.alloc(bytes).toString('base64') };
    await using file = await open(bundlePath(folder), constants.O_RDWR | constants.O_CREAT, 0o644);
    await file.truncate(offer.sizeBytes);
    return new PartialBundle(options, note);
  }

  get receivedBytes(): number {
    return this.#receivedBytes;
  }

  get isWhole(): boolean {
    return this.#receivedBytes === this.sizeBytes;
  }

  /** Both ends: what says whether this is a bundle, and the signature with what it signs. */
  async fetchEnds(): Promise<void> {
    await this.fetch(0, Math.min(this.sizeBytes, 4096));
    await this.fetch(Math.max(0, this.sizeBytes - SIGNATURE_BYTES), this.sizeBytes);
  }

  async fetchAll(onProgress: () => void): Promise<void> {
    const missingBytes = this.sizeBytes - this.#receivedBytes;
    const { bavail, bsize } = await statfs(this.#o.folder);
    if (bavail * bsize < missingBytes + HEADROOM_BYTES) {
      throw new CodedError(
        'UPDATE_NO_SPACE',
        `${Math.ceil((missingBytes + HEADROOM_BYTES) / 1e6)} MB are needed`,
      );
    }
    await this.fetch(0, this.sizeBytes, onProgress);
  }

  /** Makes bytes `from` up to `to` (exclusive) be here, and durable. */
  async fetch(from: number, to: number, onProgress: () => void = () => {}): Promise<void> {
    await this.#turns.take(async () => {
      if (!this.#missing(from, to)) return;
      await using file = await open(this.path, 'r+');
      let patience = backoff({ firstMs: 500, maxMs: 30_000 });
      let triesLeft = this.#o.tries ?? TRIES;
      for (let run = this.#missing(from, to); run; run = this.#missing(from, to)) {
        this.#o.signal.throwIfAborted();
        // Of a server that sends all or nothing everything is taken, whatever of it is wanted.
        if (!this.#hasRanges) run = { from: 0, to: this.sizeBytes };
        const before = this.#receivedBytes;
        try {
          await this.#receive(file, run.from, run.to, onProgress);
        } catch (error) {
          if (this.#receivedBytes > before) {
            patience = backoff({ firstMs: 500, maxMs: 30_000 });
            triesLeft = this.#o.tries ?? TRIES;
          }
          await giveUpOrWait(this.#o, error, --triesLeft, patience);
        }
      }
      await this.#note(file);
    });
  }

  /** What is here of it: call `fetch` first. */
  async read(from: number, to: number): Promise<Buffer> {
    await using file = await open(this.path, 'r');
    const { buffer, bytesRead } = await file.read(Buffer.alloc(to - from), 0, to - from, from);
    return buffer.subarray(0, bytesRead);
  }

  get #chunks(): number {
    return Math.ceil(this.sizeBytes / this.#chunkBytes);
  }

  #sizeOf(chunk: number): number {
    return Math.min(this.#chunkBytes, this.sizeBytes - chunk * this.#chunkBytes);
  }

  #has(chunk: number): boolean {
    return ((this.#present[chunk >> 3] ?? 0) & (1 << (chunk & 7))) !== 0;
  }

  /** The first stretch of whole chunks that touches the range and is not here. */
  #missing(from: number, to: number): { from: number; to: number } | null {
    const end = Math.ceil(Math.min(to, this.sizeBytes) / this.#chunkBytes);
    let first = Math.floor(from / this.#chunkBytes);
    while (first < end && this.#has(first)) first++;
    if (first >= end) return null;
    let last = first;
    while (last + 1 < end && !this.#has(last + 1)) last++;
    const stop = Math.min(this.sizeBytes, (last + 1) * this.#chunkBytes);
    return { from: first * this.#chunkBytes, to: stop };
  }

  async #receive(file: FileHandle, from: number, to: number, onProgress: () => void): Promise<void> {
    const { url, signal } = this.#o;
    const silence = new AbortController();
    const watch = setTimeout(() => silence.abort(), SILENCE_MS);
    try {
      const response = await fetch(url, {
        headers: {
          'accept-encoding': 'identity',
          ...(this.#hasRanges ? { range: `bytes=${from}-${to - 1}` } : {}),
          ...(this.#hasRanges && this.#validator !== null ? { 'if-range': this.#validator } : {}),
        },
        signal: AbortSignal.any([signal, silence.signal]),
      });
      const isExpected = this.#hasRanges
        ? answersRange(response, from, this.sizeBytes)
        : response.status === 200 && lengthOf(response) === this.sizeBytes;
      if (!isExpected) {
        await response.body?.cancel();
        throw refusal(response);
      }
      let at = from;
      let pending: Buffer = Buffer.alloc(0);
      for await (const piece of response.body ?? []) {
        watch.refresh();
        pending = pending.length === 0 ? Buffer.from(piece) : Buffer.concat([pending, piece]);
        while (at < to) {
          const size = Math.min(this.#chunkBytes, this.sizeBytes - at);
          if (pending.length < size) break;
          await this.#keep(file, at, pending.subarray(0, size));
          pending = pending.subarray(size);
          at += size;
          onProgress();
        }
        if (at >= to) break;
      }
      if (at < to) throw new CodedError('UPDATE_UNREACHABLE', 'the connection broke');
    } catch (error) {
      if (silence.signal.aborted) throw new CodedError('UPDATE_UNREACHABLE', 'nothing arrives any more');
      throw error;
    } finally {
      clearTimeout(watch);
    }
  }

  async #keep(file: FileHandle, at: number, bytes: Buffer): Promise<void> {
    const chunk = at / this.#chunkBytes;
    await file.write(bytes, 0, bytes.length, at);
    if (!this.#has(chunk)) {
      this.#present[chunk >> 3]! |= 1 << (chunk & 7);
      this.#receivedBytes += bytes.length;
      this.#unnotedBytes += bytes.length;
    }
    if (this.#unnotedBytes >= NOTED_EVERY_BYTES) await this.#note(file);
  }

  /** First the bytes, then the note that they are there. */
  async #note(file: FileHandle): Promise<void> {
    if (this.#unnotedBytes === 0) return;
    await file.datasync();
    const note: Note = {
      url: this.#o.url,
      sizeBytes: this.sizeBytes,
      chunkBytes: this.#chunkBytes,
      validator: this.#validator,
      hasRanges: this.#hasRanges,
      present: Buffer.from(this.#present).toString('base64'),
    };
    await replaceFile(notePath(this.#o.folder), JSON.stringify(note));
    this.#unnotedBytes = 0;
  }
}

/** Room enough for the signature, its certificates and the signed manifest. */
const SIGNATURE_BYTES = 128 * 1024;

/** Nothing of a bundle stays. */
export async function discardBundle(folder: string): Promise<void> {
  // The note first: it must never describe another file.
  await rm(notePath(folder), { force: true });
  await rm(bundlePath(folder), { force: true });
}

const bundlePath = (folder: string): string => join(folder, 'bundle.raucb');
const notePath = (folder: string): string => join(folder, 'bundle.json');

async function readNote(folder: string): Promise<Note | null> {
  try {
    return noteSchema.parse(JSON.parse(await readFile(notePath(folder), 'utf8')));
  } catch {
    return null; // absent, or of a power cut before there were durable notes: fetched again
  }
}

interface Offer {
  readonly sizeBytes: number;
  readonly validator: string | null;
  readonly hasRanges: boolean;
}

async function askServer({ url, signal }: PartialBundleOptions): Promise<Offer> {
  const response = await fetch(url, {
    headers: { range: 'bytes=0-0', 'accept-encoding': 'identity' },
    signal: AbortSignal.any([signal, AbortSignal.timeout(SILENCE_MS)]),
  });
  await response.body?.cancel();
  const total = /\/(\d+)$/.exec(response.headers.get('content-range') ?? '')?.[1];
  const sizeBytes = response.status === 206 ? Number(total ?? NaN) : lengthOf(response);
  if (!response.ok) throw refusal(response);
  if (!(sizeBytes > 0)) throw new CodedError('UPDATE_UNREACHABLE', 'the server does not say how large it is');
  if (sizeBytes > MAX_BYTES)
    throw new CodedError('UPDATE_TRUNCATED', `${sizeBytes} bytes cannot be a bundle`);
  const tag = response.headers.get('etag');
  // A weak tag says nothing about bytes (RFC 9110, 13.1.5).
  const isStrong = tag !== null && !tag.startsWith('W/');
  const validator = isStrong ? tag : response.headers.get('last-modified');
  return { sizeBytes, validator, hasRanges: response.status === 206 };
}

const lengthOf = (response: Response): number => Number(response.headers.get('content-length') ?? NaN);

function answersRange(response: Response, from: number, sizeBytes: number): boolean {
  const range = /^bytes (\d+)-\d+\/(\d+)$/.exec(response.headers.get('content-range') ?? '');
  return response.status === 206 && Number(range?.[1]) === from && Number(range?.[2]) === sizeBytes;
}

function refusal({ status }: Response): CodedError {
  if (status === 404 || status === 410) return new CodedError('UPDATE_NOT_FOUND', `HTTP ${status}`);
  if (status === 200 || status === 206) return new CodedError('UPDATE_CHANGED');
  return new CodedError('UPDATE_UNREACHABLE', `HTTP ${status}`);
}

/** Throws what will not get better by waiting. */
async function giveUpOrWait(
  { clock, log, signal }: PartialBundleOptions,
  error: unknown,
  triesLeft: number,
  patience: Iterator<number>,
): Promise<void> {
  signal.throwIfAborted();
  const coded = codedOf(error);
  if (coded.code !== 'UPDATE_UNREACHABLE' || triesLeft <= 0) throw coded;
  log.debug({ err: error }, 'the download of an update is interrupted');
  await clock.sleep(patience.next().value as number, signal);
}

function codedOf(error: unknown): CodedError {
  if (error instanceof CodedError) return error;
  const { code, message, cause } = error as NodeJS.ErrnoException & {
    cause?: { code?: string; message?: string };
  };
  if (code === 'ENOSPC' || code === 'EDQUOT')
    return new CodedError('UPDATE_NO_SPACE', undefined, { cause: error });
  if (code === 'EROFS' || code === 'EACCES' || code === 'EIO') {
    return new CodedError('UPDATE_FAILED', message, { cause: error });
  }
  return new CodedError('UPDATE_UNREACHABLE', cause?.code ?? cause?.message ?? message, { cause: error });
}

async function withPatience<T>(options: PartialBundleOptions, work: () => Promise<T>): Promise<T> {
  const patience = backoff({ firstMs: 500, maxMs: 4000 });
  for (let triesLeft = Math.min(3, options.tries ?? TRIES) - 1; ; triesLeft--) {
    try {
      return await work();
    } catch (error) {
      await giveUpOrWait(options, error, triesLeft, patience);
    }
  }
}
