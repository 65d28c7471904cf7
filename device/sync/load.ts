/** What is sent of an object: its file as it is, or encrypted on the way. Nothing of it is written anywhere. */
import { createHash, type Hash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import { CodedError } from '../contract/errors.ts';
import type { RemoteObject, RemoteSeal } from '../contract/sync.ts';
import type { Piece } from './plan.ts';
import type { About, Content } from './remote.ts';
import { sealed, sealedBytesOf } from './seal.ts';

/** An object with a file. */
export type Whole = RemoteObject & {
  readonly path: string;
  readonly sizeBytes: number;
  readonly sha256: string;
};

/** The same bytes whenever they are asked for. */
export interface Load {
  readonly sizeBytes: number;
  readonly about: About;
  /** null: as it is. */
  readonly keyId: string | null;
  /** Hex; null: nobody knows before all of it was made. */
  readonly sha256: string | null;
  /** @throws CodedError FOOTAGE_ALTERED, before its last bytes, when the file is not what was recorded */
  bytes(): AsyncGenerator<Buffer>;
}

/** At a time; so long nothing else happens in this process. */
const BLOCK_BYTES = 2 ** 18;

export function plainLoad(file: FileHandle, object: Whole): Load {
  return {
    sizeBytes: object.sizeBytes,
    about: {
      contentType: object.kind === 'still' ? 'image/jpeg' : 'video/mp4',
      mark: { sha256: object.sha256 },
    },
    keyId: null,
    sha256: object.sha256,
    bytes: () => unaltered(file, object),
  };
}

/**
 * The file is read once before, so that nothing but what was recorded is ever encrypted with this seal: two contents
 * under one key would give both away.
 */
export async function sealedLoad(file: FileHandle, object: Whole, seal: RemoteSeal): Promise<Load> {
  const digests: Buffer[] = [];
  for await (const block of unaltered(file, object)) digests.push(digestOf(block));
  async function* same(): AsyncGenerator<Buffer> {
    let n = 0;
    for await (const block of blocksOf(file, object.sizeBytes)) {
      if (!digests[n++]?.equals(digestOf(block))) throw new CodedError('FOOTAGE_ALTERED', object.key);
      yield block;
    }
  }
  const header = createHash('sha256').update(Buffer.from(seal.header, 'base64')).digest('hex');
  return {
    sizeBytes: sealedBytesOf(seal),
    about: { contentType: 'application/octet-stream', mark: { 'seal-sha256': header } },
    keyId: seal.keyId,
    sha256: null,
    bytes: () => sealed(seal, same()),
  };
}

const digestOf = (block: Buffer): Buffer => createHash('sha256').update(block).digest();

async function* unaltered(file: FileHandle, { key, sizeBytes, sha256 }: Whole): AsyncGenerator<Buffer> {
  const hash = createHash('sha256');
  let missing = sizeBytes;
  for await (const block of blocksOf(file, sizeBytes)) {
    hash.update(block);
    missing -= block.byteLength;
    if (missing === 0 && hash.digest('hex') !== sha256) throw new CodedError('FOOTAGE_ALTERED', key);
    yield block;
  }
}

/** All of the file; one empty block of an empty one. */
async function* blocksOf(file: FileHandle, sizeBytes: number): AsyncGenerator<Buffer> {
  let at = 0;
  do {
    const block = Buffer.allocUnsafe(Math.min(BLOCK_BYTES, sizeBytes - at));
    for (let filled = 0; filled < block.byteLength;) {
      const { bytesRead } = await file.read(block, filled, block.byteLength - filled, at + filled);
      if (bytesRead === 0) throw new CodedError('FOOTAGE_ALTERED', 'the file is shorter than it was');
      filled += bytesRead;
    }
    at += block.byteLength;
    yield block;
  } while (at < sizeBytes);
}

/** The load, cut into the pieces in which it is sent; adds all of it to `whole`, where that is wanted. */
export async function* cut(
  load: Load,
  pieces: readonly Piece[],
  whole: Hash | null,
): AsyncGenerator<readonly [Piece, Content]> {
  const source = load.bytes();
  try {
    let rest: Buffer = Buffer.alloc(0);
    for (const piece of pieces) {
      const bytes = Buffer.allocUnsafe(piece.sizeBytes);
      const [sha256, md5] = [createHash('sha256'), createHash('md5')];
      for (let filled = 0; filled < piece.sizeBytes;) {
        if (rest.byteLength === 0) rest = await nextOf(source);
        const some = rest.subarray(0, piece.sizeBytes - filled);
        rest = rest.subarray(some.byteLength);
        some.copy(bytes, filled);
        for (const hash of [sha256, md5, whole]) hash?.update(some);
        filled += some.byteLength;
      }
      yield [piece, { bytes, sha256: sha256.digest('hex'), md5: md5.digest('hex') }];
    }
    // An empty file is looked at, too.
    await source.next();
  } finally {
    await source.return(undefined);
  }
}

async function nextOf(source: AsyncGenerator<Buffer>): Promise<Buffer> {
  const { done, value } = await source.next();
  if (done) throw new CodedError('FOOTAGE_ALTERED', 'the file is shorter than it was');
  return value;
}

/** While one is used, the next is made. */
export async function* oneAhead<T>(items: AsyncGenerator<T>): AsyncGenerator<T> {
  let next = items.next();
  try {
    for (;;) {
      const { done, value } = await next;
      if (done) return;
      next = items.next();
      // Whoever goes on asks for it; whoever does not has another trouble.
      next.catch(() => {});
      yield value;
    }
  } finally {
    await next.catch(() => {});
    await items.return(undefined);
  }
}
