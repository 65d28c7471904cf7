import { crc32 } from 'node:zlib';
import { SEAL, SEAL_BYTES } from './fragment.ts';
import { VIDEO_TRACK_ID } from './init-segment.ts';
import { readNote, type FootageNote } from './note.ts';

/** Reads `sizeBytes` from `positionBytes` on; rejects where the file ends before. */
export type ReadBytes = (positionBytes: number, sizeBytes: number) => Promise<Buffer>;

/** Times in ticks of the media timeline: the first picture is decoded at 0. */
export interface ScannedPicture {
  readonly decodeTicks: number;
  readonly shownTicks: number;
  readonly key: boolean;
}

/** `moof`, `mdat` and the seal behind them, with whatever stands between them and the fragment before. */
export interface ScannedFragment {
  readonly startBytes: number;
  readonly moofBytes: number;
  /** Where its seal begins. */
  readonly sealBytes: number;
  readonly endBytes: number;
  /** Fragments before it that were written together with it. */
  readonly earlierInBatch: number;
  readonly pictures: readonly ScannedPicture[];
}

export interface ScannedFile {
  readonly video: { readonly timescale: number; readonly leadTicks: number; readonly frameTicks: number };
  readonly fragments: readonly ScannedFragment[];
  readonly notes: readonly { readonly note: FootageNote; readonly endBytes: number }[];
  /** Up to here every box, and every fragment, is whole. */
  readonly wholeBytes: number;
}

const HEADER_BYTES = 8;

/**
 * Walks the boxes of a footage file that may end anywhere. Knows the files that we write, no others;
 * stops at the first box that is not whole or not expected. Null when it holds no fragment.
 */
export async function scanFile(read: ReadBytes, fileBytes: number): Promise<ScannedFile | null> {
  let video: ScannedFile['video'] | null = null;
  let moof: { readonly moofBytes: number; readonly body: Buffer } | null = null;
  const fragments: ScannedFragment[] = [];
  const notes: { note: FootageNote; endBytes: number }[] = [];
  let wholeBytes = 0;
  let previous = '';
  for (let at = 0; at + HEADER_BYTES <= fileBytes;) {
    const header = await read(at, HEADER_BYTES);
    const sizeBytes = header.readUInt32BE(0);
    const type = header.toString('latin1', 4);
    const endBytes = at + sizeBytes;
    if (sizeBytes < HEADER_BYTES || endBytes > fileBytes || !FOLLOWERS[previous]?.has(type)) break;
    const body = (): Promise<Buffer> => read(at + HEADER_BYTES, sizeBytes - HEADER_BYTES);
    if (type === 'moov') video = orWhenDamaged(null, readMovie, await body());
    if (type === 'moof') moof = { moofBytes: at, body: await body() };
    if (type === 'uuid') {
      const note = readNote(await body());
      if (!note) break;
      notes.push({ note, endBytes });
    }
    if (type === SEAL && moof) {
      if (sizeBytes < SEAL_BYTES) break;
      const startBytes = fragments.at(-1)?.endBytes ?? 0;
      const earlierInBatch = (await read(at + HEADER_BYTES, 4)).readUInt32BE(0);
      const pictures = orWhenDamaged([], readPictures, moof.body);
      const { moofBytes } = moof;
      fragments.push({ startBytes, moofBytes, sealBytes: at, endBytes, earlierInBatch, pictures });
    }
    if (type === 'mfra' && (await read(endBytes - 4, 4)).readUInt32BE(0) !== sizeBytes) break;
    if (type !== 'moof' && type !== 'mdat') wholeBytes = endBytes;
    previous = type;
    at = endBytes;
  }
  return video && fragments.length > 0 ? { video, fragments, notes, wholeBytes } : null;
}

const BETWEEN_FRAGMENTS = new Set(['uuid', 'moof', 'mfra']);
/** What may come behind a box; '' is the beginning of the file. */
const FOLLOWERS: Readonly<Record<string, ReadonlySet<string>>> = {
  '': new Set(['ftyp']),
  ftyp: new Set(['moov']),
  moov: BETWEEN_FRAGMENTS,
  uuid: BETWEEN_FRAGMENTS,
  moof: new Set(['mdat']),
  mdat: new Set([SEAL]),
  [SEAL]: BETWEEN_FRAGMENTS,
};

/**
 * Whether `bytes`, from the beginning of a fragment to the head of its seal, are those that were written. A file
 * system may make a file longer before its data is there, so that whole boxes hold what never arrived.
 */
export function isSealed(bytes: Buffer): boolean {
  const checksumAt = bytes.byteLength - 4;
  return crc32(bytes.subarray(0, checksumAt)) === bytes.readUInt32BE(checksumAt);
}

const readSealed = (read: ReadBytes, { startBytes, sealBytes }: ScannedFragment): Promise<Buffer> =>
  read(startBytes, sealBytes + SEAL_BYTES - startBytes);

/**
 * `fragments` up to the first that a power cut tore. Batches were made durable one by one, so only what was
 * written together last can be torn, but of that anything: the end may have arrived and the beginning not.
 * Damage further inside stays, as cutting there would cost good footage.
 */
export async function untorn(
  read: ReadBytes,
  fragments: readonly ScannedFragment[],
): Promise<readonly ScannedFragment[]> {
  let whole = fragments;
  for (let last; (last = whole.at(-1));) {
    const isLastSealed = isSealed(await readSealed(read, last));
    const first = isLastSealed ? Math.max(0, whole.length - 1 - last.earlierInBatch) : whole.length - 1;
    let sealed = first;
    while (sealed < whole.length && isSealed(await readSealed(read, whole[sealed]!))) sealed++;
    if (sealed === whole.length) break;
    whole = whole.slice(0, sealed);
  }
  return whole;
}

/** Fields of a damaged box may lie outside of it. */
function orWhenDamaged<T>(otherwise: T, read: (body: Buffer) => T, body: Buffer): T {
  try {
    return read(body);
  } catch (error) {
    if (error instanceof RangeError) return otherwise;
    throw error;
  }
}

/** Bodies of the boxes of `type` directly in `bytes`. */
export function* bodies(bytes: Buffer, type: string): Generator<Buffer> {
  for (let at = 0; at + HEADER_BYTES <= bytes.byteLength;) {
    const sizeBytes = bytes.readUInt32BE(at);
    if (sizeBytes < HEADER_BYTES) return;
    if (bytes.toString('latin1', at + 4, at + 8) === type) {
      yield bytes.subarray(at + HEADER_BYTES, at + sizeBytes);
    }
    at += sizeBytes;
  }
}

/** Body of the first box at the end of `path`. */
export function find(bytes: Buffer, ...path: readonly string[]): Buffer | null {
  let body: Buffer | undefined = bytes;
  for (const type of path) {
    [body] = bodies(body, type);
    if (!body) return null;
  }
  return body;
}

export const u64 = (bytes: Buffer, at: number): number => Number(bytes.readBigUInt64BE(at));

/** From the body of `moov`; the field offsets are those of version 1, which we write. */
function readMovie(moov: Buffer): ScannedFile['video'] | null {
  for (const trak of bodies(moov, 'trak')) {
    if (find(trak, 'tkhd')?.readUInt32BE(20) !== VIDEO_TRACK_ID) continue;
    const timescale = find(trak, 'mdia', 'mdhd')?.readUInt32BE(20);
    const edits = find(trak, 'edts', 'elst');
    const extend = [...bodies(find(moov, 'mvex') ?? NOTHING, 'trex')].find(
      (trex) => trex.readUInt32BE(4) === VIDEO_TRACK_ID,
    );
    if (!timescale || !extend) return null;
    return { timescale, leadTicks: edits ? u64(edits, 16) : 0, frameTicks: extend.readUInt32BE(12) };
  }
  return null;
}

const NOTHING = Buffer.alloc(0);
/** Per picture: duration, size, flags, composition offset. */
const RUN_ENTRY_BYTES = 16;
/** Flag of a sample that others are needed for. */
export const NON_SYNC = 0x1_0000;

/** The pictures of a fragment, from the body of its `moof`; none where it holds audio only. */
function readPictures(moof: Buffer): readonly ScannedPicture[] {
  for (const traf of bodies(moof, 'traf')) {
    const run = find(traf, 'trun');
    const decodeTime = find(traf, 'tfdt');
    if (find(traf, 'tfhd')?.readUInt32BE(4) !== VIDEO_TRACK_ID || !run || !decodeTime) continue;
    let decodeTicks = u64(decodeTime, 4);
    return Array.from({ length: run.readUInt32BE(4) }, (_, i) => {
      const at = 12 + i * RUN_ENTRY_BYTES;
      const picture = {
        decodeTicks,
        shownTicks: decodeTicks + run.readInt32BE(at + 12),
        key: (run.readUInt32BE(at + 8) & NON_SYNC) === 0,
      };
      decodeTicks += run.readUInt32BE(at);
      return picture;
    });
  }
  return [];
}
