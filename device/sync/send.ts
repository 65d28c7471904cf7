import { createHash, type Hash } from 'node:crypto';
import { open, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { CodedError } from '../contract/errors.ts';
import type { RemoteObject, RemotePart } from '../contract/sync.ts';
import { isCode } from './classify.ts';
import { piecesOf, type Piece } from './plan.ts';
import type { Ledger } from './port.ts';
import type { Content, Remote, RemoteHead } from './remote.ts';

export interface SendOptions {
  readonly dataDir: string;
  readonly partBytes: number;
  readonly ledger: Ledger;
  readonly remote: Remote;
}

export interface Sent {
  readonly sizeBytes: number;
  readonly sha256: string;
  readonly etag: string;
  readonly versionId: string | null;
}

/** An object with a file. */
type Whole = RemoteObject & { readonly path: string; readonly sizeBytes: number; readonly sha256: string };

/**
 * Brings one object into the bucket, from wherever an earlier attempt left it: afterwards it is there once, is what
 * the index says, and the ledger knows. Whenever this is cut off, the next call goes on.
 *
 * @throws CodedError FOOTAGE_ALTERED, S3_CORRUPTED, and what file system, ledger, client or network say
 */
export async function sendObject(o: SendOptions, given: RemoteObject): Promise<Sent> {
  const object = await withFile(o, given);
  const { ledger, remote } = o;
  await using file = await open(join(o.dataDir, object.path));
  const pieces = piecesOf(object.sizeBytes, o.partBytes);
  const there = hasBegun(given) ? await remote.head(object.key) : null;
  if (there && isSame(object, there, await etagOf(file, pieces))) return await finish(o, object, there);

  const only = pieces.length === 1 ? pieces[0] : undefined;
  let etag: string;
  if (only) {
    const content = await readPiece(file, only, null);
    expectUnaltered(object, content.sha256);
    await ledger.uploading({ ...attempt(object), uploadId: null, parts: [] });
    await remote.put(object.key, content, about(object));
    etag = content.md5;
  } else {
    etag = etagOfParts(await sendParts(o, object, file, pieces));
  }
  const now = await remote.head(object.key);
  if (!now || !isSame(object, now, etag)) throw new CodedError('S3_CORRUPTED', object.key);
  return await finish(o, object, now);
}

/** Bytes of it may be there already. */
const hasBegun = ({ state, attempts }: RemoteObject): boolean => state === 'uploading' || attempts > 0;

/**
 * Its SHA-256 was noted beside the object before it was sent, and does not say what arrived; the ETag does, if it is
 * a digest. Of a multipart upload some servers give the digest of the whole, which is not compared.
 */
function isSame({ sizeBytes, sha256 }: Whole, there: RemoteHead, etag: string): boolean {
  if (there.sizeBytes !== sizeBytes || there.sha256 !== sha256) return false;
  const isComparable = there.hasDigest && (there.etag.includes('-') || !etag.includes('-'));
  return !isComparable || there.etag === etag;
}

/** Of the file, if it was sent in these pieces. */
async function etagOf(file: FileHandle, pieces: readonly Piece[]): Promise<string> {
  const parts: RemotePart[] = [];
  for (const piece of pieces)
    parts.push({ part: piece.part, etag: (await readPiece(file, piece, null)).md5 });
  return parts.length === 1 ? parts[0]!.etag : etagOfParts(parts);
}

const attempt = ({ no, revision }: RemoteObject) => ({ no, revision });

const about = ({ kind, sha256 }: Whole) => ({
  contentType: kind === 'still' ? 'image/jpeg' : 'video/mp4',
  sha256,
});

async function finish({ ledger }: SendOptions, object: Whole, there: RemoteHead): Promise<Sent> {
  const { etag, versionId } = there;
  await ledger.verified({ ...attempt(object), etag });
  return { sizeBytes: object.sizeBytes, sha256: object.sha256, etag, versionId };
}

/** A clip that is a range becomes a file. A still is looked at: the index has no hash of it, and it is replaced. */
async function withFile({ dataDir, ledger }: SendOptions, object: RemoteObject): Promise<Whole> {
  const { kind, path, sizeBytes, sha256 } = object;
  const isStill = kind === 'still' && path !== null;
  if (!isStill && path !== null && sizeBytes !== null && sha256 !== null) {
    return { ...object, path, sizeBytes, sha256 };
  }
  const made = isStill
    ? { path, ...(await describe(join(dataDir, path))) }
    : await ledger.materialise(object.ref);
  const found = { path: made.path, sizeBytes: made.sizeBytes, sha256: made.sha256 };
  await ledger.ready({ ...attempt(object), ...found });
  return { ...object, ...found };
}

async function describe(path: string): Promise<{ sizeBytes: number; sha256: string }> {
  await using file = await open(path);
  const { size } = await file.stat();
  const { sha256 } = await readPiece(file, { part: 1, atBytes: 0, sizeBytes: size }, null);
  return { sizeBytes: size, sha256 };
}

function expectUnaltered({ key, sha256 }: Whole, found: string): void {
  if (found !== sha256) throw new CodedError('FOOTAGE_ALTERED', key);
}

/** All parts, in the bucket as one object. Those that the server has already are read, and not sent. */
async function sendParts(
  o: SendOptions,
  object: Whole,
  file: FileHandle,
  pieces: readonly Piece[],
): Promise<readonly RemotePart[]> {
  const { ledger, remote } = o;
  const { uploadId, known } = await resume(o, object);
  const noted = new Map(object.parts.map(({ part, etag }) => [part, etag]));
  const whole = createHash('sha256');
  const parts: RemotePart[] = [];
  for await (const [{ part }, content] of readAhead(file, pieces, whole)) {
    const has = known.get(part);
    // Where ETags are no digests, the ledger knows which one was given for this part.
    if (has !== undefined && (has === content.md5 || has === noted.get(part))) {
      parts.push({ part, etag: has });
      continue;
    }
    parts.push({ part, etag: await remote.putPart(object.key, uploadId, part, content) });
    await ledger.uploading({ ...attempt(object), uploadId, parts });
  }
  expectUnaltered(object, whole.digest('hex'));
  await remote.complete(object.key, uploadId, parts);
  return parts;
}

/** The multipart upload that was begun, with the parts that are there; a new one where there is none any more. */
async function resume(
  { ledger, remote }: SendOptions,
  object: Whole,
): Promise<{ uploadId: string; known: ReadonlyMap<number, string> }> {
  if (object.uploadId !== null) {
    try {
      const parts = (await remote.parts(object.key, object.uploadId)) ?? object.parts;
      return { uploadId: object.uploadId, known: new Map(parts.map(({ part, etag }) => [part, etag])) };
    } catch (error) {
      if (!isCode(error, 'NoSuchUpload', 'NotFound', 'NoSuchKey')) throw error;
    }
  }
  const uploadId = await remote.begin(object.key, about(object));
  await ledger.uploading({ ...attempt(object), uploadId, parts: [] });
  return { uploadId, known: new Map() };
}

/** The pieces in their order; while one is sent, the next is read. */
async function* readAhead(
  file: FileHandle,
  pieces: readonly Piece[],
  whole: Hash,
): AsyncGenerator<readonly [Piece, Content]> {
  const read = (piece: Piece | undefined): Promise<Content> | null =>
    piece ? readPiece(file, piece, whole) : null;
  let ahead = read(pieces[0]);
  try {
    for (const [n, piece] of pieces.entries()) {
      const content = await ahead!;
      ahead = read(pieces[n + 1]);
      // Whoever goes on asks for it; whoever does not has another trouble.
      ahead?.catch(() => {});
      yield [piece, content];
    }
  } finally {
    await ahead?.catch(() => {});
  }
}

/** At a time; so long nothing else happens in this process. */
const CHUNK_BYTES = 2 ** 18;

/** Reads a piece, and adds it to the digest of the `whole` where that is more. */
async function readPiece(
  file: FileHandle,
  { atBytes, sizeBytes }: Piece,
  whole: Hash | null,
): Promise<Content> {
  const bytes = Buffer.allocUnsafe(sizeBytes);
  const [sha256, md5] = [createHash('sha256'), createHash('md5')];
  for (let at = 0; at < sizeBytes;) {
    const { bytesRead } = await file.read(bytes, at, Math.min(CHUNK_BYTES, sizeBytes - at), atBytes + at);
    if (bytesRead === 0) throw new CodedError('FOOTAGE_ALTERED', 'the file is shorter than it was');
    const chunk = bytes.subarray(at, at + bytesRead);
    for (const hash of [sha256, md5, whole]) hash?.update(chunk);
    at += bytesRead;
  }
  return { bytes, sha256: sha256.digest('hex'), md5: md5.digest('hex') };
}

/** The ETag of an object that was sent in these parts. */
const etagOfParts = (parts: readonly RemotePart[]): string =>
  `${createHash('md5')
    .update(Buffer.concat(parts.map(({ etag }) => Buffer.from(etag, 'hex'))))
    .digest('hex')}-${parts.length}`;
