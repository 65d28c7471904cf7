/** Reads squashfs 4.0, as far as a bundle of RAUC goes: plain files in the top folder. Says where on the disk each block of a file lies. */
import { readSync } from 'node:fs';
import { inflateSync, zstdDecompressSync } from 'node:zlib';

const MAGIC = 0x73717368;
const NONE = 0xffffffff;
/** In the size of a data block: it is stored as it is. */
const STORED = 1 << 24;
const FRAGMENTS_PER_BLOCK = 512;

/** Bytes of the image, the last one excluded. */
export interface Range {
  readonly start: number;
  readonly end: number;
}

export interface Block extends Range {
  readonly stored: boolean;
}

export interface SquashFile {
  readonly name: string;
  readonly sizeBytes: number;
  /** Null: zeros that are stored nowhere. */
  readonly blocks: readonly (Block | null)[];
  /** The end of a file that shares its block with others. */
  readonly tail: { readonly block: Block; readonly offset: number } | null;
}

export interface Squash {
  readonly blockBytes: number;
  /** All that belongs to it. */
  readonly usedBytes: number;
  /** Superblock and tables: read when it is mounted. */
  readonly tables: readonly Range[];
  readonly files: readonly SquashFile[];
  /** The content of a file, block by block. */
  readonly read: (file: SquashFile) => Generator<Buffer>;
}

/** @throws Error when it is none, or compressed by what is not known here */
export function openSquash(fd: number): Squash {
  const bytes = (start: number, length: number): Buffer => {
    const buffer = Buffer.alloc(length);
    if (readSync(fd, buffer, 0, length, start) !== length) throw new Error('the squashfs ends too early');
    return buffer;
  };
  const head = bytes(0, 96);
  if (head.readUInt32LE(0) !== MAGIC) throw new Error('there is no squashfs');
  const at = (offset: number): number => Number(head.readBigUInt64LE(offset));
  const blockBytes = head.readUInt32LE(12);
  const unpack = unpackerOf(head.readUInt16LE(20));
  const [rootInode, usedBytes, inodes, folders, fragments] = [32, 40, 64, 72, 80].map(at) as [
    number,
    number,
    number,
    number,
    number,
  ];

  /** `length` bytes of a table, from the block that begins at `start`. */
  const table = (start: number, offset: number, length: number): Buffer => {
    const parts: Buffer[] = [];
    let have = 0;
    for (let position = start; have < offset + length;) {
      const size = bytes(position, 2).readUInt16LE(0);
      const raw = bytes(position + 2, size & 0x7fff);
      const part = (size & 0x8000) === 0 ? unpack(raw) : raw;
      parts.push(part);
      have += part.length;
      position += 2 + (size & 0x7fff);
    }
    return Buffer.concat(parts).subarray(offset, offset + length);
  };

  const tailBlock = (index: number): Block => {
    const start = Number(
      bytes(fragments + 8 * Math.floor(index / FRAGMENTS_PER_BLOCK), 8).readBigUInt64LE(0),
    );
    const entry = table(start, (index % FRAGMENTS_PER_BLOCK) * 16, 16);
    return blockAt(Number(entry.readBigUInt64LE(0)), entry.readUInt32LE(8));
  };

  const fileAt = (name: string, block: number, offset: number): SquashFile | null => {
    const start = inodes + block;
    const type = table(start, offset, 2).readUInt16LE(0);
    if (type !== 2 && type !== 9) return null;
    const long = type === 9;
    const inode = table(start, offset, long ? 56 : 32);
    const first = long ? Number(inode.readBigUInt64LE(16)) : inode.readUInt32LE(16);
    const sizeBytes = long ? Number(inode.readBigUInt64LE(24)) : inode.readUInt32LE(28);
    const fragment = inode.readUInt32LE(long ? 44 : 20);
    const inTail = inode.readUInt32LE(long ? 48 : 24);
    const count = fragment === NONE ? Math.ceil(sizeBytes / blockBytes) : Math.floor(sizeBytes / blockBytes);
    const sizes = table(start, offset + (long ? 56 : 32), count * 4);
    const blocks: (Block | null)[] = [];
    let position = first;
    for (let i = 0; i < count; i++) {
      const size = sizes.readUInt32LE(i * 4);
      const one = size === 0 ? null : blockAt(position, size);
      blocks.push(one);
      position = one?.end ?? position;
    }
    return {
      name,
      sizeBytes,
      blocks,
      tail: fragment === NONE ? null : { block: tailBlock(fragment), offset: inTail },
    };
  };

  const list = (): readonly SquashFile[] => {
    const [block, offset] = [Math.floor(rootInode / 65536), rootInode % 65536];
    const type = table(inodes + block, offset, 2).readUInt16LE(0);
    const inode = table(inodes + block, offset, 40);
    const [size, start, within] =
      type === 8
        ? [inode.readUInt32LE(20), inode.readUInt32LE(24), inode.readUInt16LE(34)]
        : [inode.readUInt16LE(24), inode.readUInt32LE(16), inode.readUInt16LE(26)];
    const listing = table(folders + start, within, size - 3);
    const found: (SquashFile | null)[] = [];
    for (let position = 0; position < listing.length;) {
      const count = listing.readUInt32LE(position) + 1;
      const inodeBlock = listing.readUInt32LE(position + 4);
      position += 12;
      for (let i = 0; i < count; i++) {
        const length = listing.readUInt16LE(position + 6) + 1;
        const name = listing.toString('utf8', position + 8, position + 8 + length);
        found.push(fileAt(name, inodeBlock, listing.readUInt16LE(position)));
        position += 8 + length;
      }
    }
    return found.filter((file) => file !== null);
  };

  const content = (block: Block): Buffer => {
    const raw = bytes(block.start, block.end - block.start);
    return block.stored ? raw : unpack(raw);
  };

  return {
    blockBytes,
    usedBytes,
    tables: [
      { start: 0, end: 96 },
      { start: inodes, end: usedBytes },
    ],
    files: list(),
    *read({ blocks, sizeBytes, tail }) {
      for (const [index, block] of blocks.entries()) {
        yield block === null
          ? Buffer.alloc(Math.min(blockBytes, sizeBytes - index * blockBytes))
          : content(block);
      }
      if (tail !== null)
        yield content(tail.block).subarray(tail.offset, tail.offset + (sizeBytes % blockBytes));
    },
  };
}

const blockAt = (start: number, size: number): Block => ({
  start,
  end: start + (size & (STORED - 1)),
  stored: (size & STORED) !== 0,
});

function unpackerOf(compressor: number): (raw: Buffer) => Buffer {
  if (compressor === 1) return (raw) => inflateSync(raw);
  if (compressor === 6) return (raw) => zstdDecompressSync(raw);
  throw new Error(`squashfs is compressed by number ${compressor}, which is not known here`);
}
