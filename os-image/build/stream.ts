/**
 * `scripts/stream-size OLD.raucb NEW.raucb`: what a box that runs OLD fetches when it streams NEW (`update install --stream`).
 * As RAUC's `block-hash-index` goes about it: 4 KiB that the running slot has, or that were written before, are taken from
 * there; the other slot is taken to hold nothing of use. Everything else comes through the agent, in chunks of 64 KiB.
 */
import { createHash } from 'node:crypto';
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { openSquash, type Range, type Squash, type SquashFile } from './squashfs.ts';

/** What RAUC compares. */
const PIECE_BYTES = 4096;
/** What the agent fetches at once (`partial-bundle.ts`). */
const CHUNK_BYTES = 64 * 1024;
/** What the agent looks at before it says yes: the first page and the end with the signature. */
const END_BYTES = 128 * 1024;
const HASHES_PER_BLOCK = PIECE_BYTES / 32;
/** So many blocks of hashes the kernel reads at once (`prefetch_cluster` of dm-verity, 256 KiB). */
const HASH_CLUSTER = 64;
const IMAGES = ['root.img', 'boot.img'] as const;

export interface StreamSize {
  readonly bundleBytes: number;
  /** Of these, RAUC takes `newPieces` from the bundle. */
  readonly pieces: number;
  readonly newPieces: Readonly<Record<string, number>>;
  readonly fetchedBytes: number;
}

/** @throws Error when one of them is no bundle of ours */
export function streamSize(oldPath: string, newPath: string): StreamSize {
  const known = new Map<string, Set<string>>(IMAGES.map((name) => [name, new Set()]));
  withBundle(oldPath, (squash) => {
    for (const name of IMAGES)
      for (const { hash } of piecesOf(squash, fileOf(squash, name))) known.get(name)?.add(hash);
  });
  return withBundle(newPath, (squash, bundleBytes, signatureBytes) => {
    const touched: Range[] = [...squash.tables, ...squash.files.flatMap(wholeUnlessImage)];
    const newPieces: Record<string, number> = {};
    let pieces = 0;
    for (const name of IMAGES) {
      const file = fileOf(squash, name);
      const have = known.get(name) ?? new Set();
      newPieces[name] = 0;
      for (const { hash, range } of piecesOf(squash, file)) {
        pieces++;
        if (range === null || have.has(hash)) continue;
        newPieces[name]++;
        touched.push(range);
        have.add(hash);
      }
    }
    const fetched = new Set<number>();
    const fetch = ({ start, end }: Range): void => {
      for (let i = Math.floor(start / CHUNK_BYTES); i * CHUNK_BYTES < end; i++) fetched.add(i);
    };
    for (const range of [...touched, ...hashesOf(touched, squash.usedBytes)]) fetch(range);
    fetch({ start: 0, end: PIECE_BYTES });
    fetch({ start: Math.max(0, bundleBytes - Math.max(END_BYTES, signatureBytes)), end: bundleBytes });
    const fetchedBytes = [...fetched].reduce(
      (sum, index) => sum + Math.min(CHUNK_BYTES, bundleBytes - index * CHUNK_BYTES),
      0,
    );
    return { bundleBytes, pieces, newPieces, fetchedBytes };
  });
}

function withBundle<T>(
  path: string,
  work: (squash: Squash, bundleBytes: number, signatureBytes: number) => T,
): T {
  const fd = openSync(path, 'r');
  try {
    const { size } = fstatSync(fd);
    const last = Buffer.alloc(8);
    readSync(fd, last, 0, 8, size - 8);
    return work(openSquash(fd), size, Number(last.readBigUInt64BE(0)) + 8);
  } finally {
    closeSync(fd);
  }
}

function fileOf(squash: Squash, name: string): SquashFile {
  const file = squash.files.find((one) => one.name === name);
  if (file === undefined) throw new Error(`the bundle has no ${name}`);
  return file;
}

/** Hash and place of each piece of a file; no place for zeros, which RAUC writes without reading. */
function* piecesOf(
  squash: Squash,
  file: SquashFile,
): Generator<{ readonly hash: string; readonly range: Range | null }> {
  const places = [...file.blocks, ...(file.tail === null ? [] : [file.tail.block])];
  let index = 0;
  for (const content of squash.read(file)) {
    const place = places[index++] ?? null;
    for (let offset = 0; offset < content.length; offset += PIECE_BYTES) {
      const piece = content.subarray(offset, offset + PIECE_BYTES);
      const isZero = place === null || piece.every((byte) => byte === 0);
      yield {
        hash: createHash('sha256').update(piece).digest('base64'),
        range: isZero ? null : { start: place.start, end: place.end },
      };
    }
  }
}

const wholeUnlessImage = ({ blocks, name, tail }: SquashFile): readonly Range[] =>
  (IMAGES as readonly string[]).includes(name)
    ? []
    : [...blocks.filter((block) => block !== null), ...(tail === null ? [] : [tail.block])];

/** The part of the hash tree behind the squashfs that reading these ranges asks for; the highest level comes first. */
function hashesOf(ranges: readonly Range[], usedBytes: number): readonly Range[] {
  const dataBlocks = Math.ceil(usedBytes / PIECE_BYTES);
  const levels: number[] = [];
  for (let count = dataBlocks; count > 1 || levels.length === 0;) {
    count = Math.ceil(count / HASHES_PER_BLOCK);
    levels.unshift(count);
  }
  const leaves = levels.pop() ?? 0;
  const first = dataBlocks + levels.reduce((sum, count) => sum + count, 0);
  const clusters = new Set<number>();
  for (const { start, end } of ranges) {
    const perCluster = PIECE_BYTES * HASHES_PER_BLOCK * HASH_CLUSTER;
    for (let i = Math.floor(start / perCluster); i * perCluster < end; i++) clusters.add(i);
  }
  const blocks = (from: number, to: number): Range => ({ start: from * PIECE_BYTES, end: to * PIECE_BYTES });
  return [
    blocks(dataBlocks, first),
    ...[...clusters].map((i) =>
      blocks(first + i * HASH_CLUSTER, first + Math.min(leaves, (i + 1) * HASH_CLUSTER)),
    ),
  ];
}

const USAGE = `Usage: ./scripts/stream-size OLD.raucb NEW.raucb [--limit MB]

Says what a box that runs OLD fetches when it streams NEW. Ends with 1 when that is more than --limit (12 MB).
`;

function main(argv: readonly string[]): number {
  const { positionals, values } = parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: { limit: { type: 'string', default: '12' }, help: { type: 'boolean', short: 'h' } },
  });
  const [oldPath, newPath] = positionals;
  if (values.help || oldPath === undefined || newPath === undefined) {
    (values.help ? process.stdout : process.stderr).write(USAGE);
    return values.help ? 0 : 2;
  }
  const { bundleBytes, fetchedBytes, newPieces, pieces } = streamSize(oldPath, newPath);
  const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;
  for (const [name, count] of Object.entries(newPieces))
    process.stdout.write(`${name}: ${megabytes(count * PIECE_BYTES)} are new\n`);
  process.stdout.write(
    `fetched: ${megabytes(fetchedBytes)} of a bundle of ${megabytes(bundleBytes)} (${pieces} pieces of 4 KiB compared)\n`,
  );
  return fetchedBytes <= Number(values.limit) * 1e6 ? 0 : 1;
}

if (import.meta.main) process.exitCode = main(process.argv.slice(2));
