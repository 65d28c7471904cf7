import { createHash, type Hash } from 'node:crypto';
import { open, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { CodedError } from '../contract/errors.ts';
import type { Recipient } from '../contract/recipient.ts';
import type { RemoteObject, RemotePart, RemoteSealed } from '../contract/sync.ts';
import { isCode } from './classify.ts';
import { cut, oneAhead, plainLoad, sealedLoad, type Load, type Whole } from './load.ts';
import { piecesOf, type Piece } from './plan.ts';
import type { Ledger } from './port.ts';
import type { Remote, RemoteHead } from './remote.ts';
import { newSeal } from './seal.ts';

export interface SendOptions {
  readonly dataDir: string;
  readonly partBytes: number;
  /** Leads the names of objects. */
  readonly prefix: string;
  /** null: nothing is encrypted. */
  readonly recipient: Recipient | null;
  readonly ledger: Ledger;
  readonly remote: Remote;
}

export interface Sent {
  /** Of the file. */
  readonly sizeBytes: number;
  readonly sha256: string;
  /** What is there in its place; null: the file itself. */
  readonly sealed: RemoteSealed | null;
  readonly etag: string;
  readonly versionId: string | null;
}

/**
 * Brings one object into the bucket, from wherever an earlier attempt left it: afterwards it is there once, is what
 * the index says, and the ledger knows. Whenever this is cut off, the next call goes on.
 *
 * @throws CodedError FOOTAGE_ALTERED, S3_CORRUPTED, and what file system, ledger, client or network say
 */
export async function sendObject(o: SendOptions, given: RemoteObject): Promise<Sent> {
  const object = await withFile(o, given);
  const { remote } = o;
  await using file = await open(join(o.dataDir, object.path));
  const [load, current] = await loadOf(o, object, file);
  const pieces = piecesOf(load.sizeBytes, o.partBytes);
  const there = hasBegun(given) ? await remote.head(object.key) : null;
  if (there && isLike(load, there)) {
    const { etag, sha256 } = await describe(load, pieces);
    if (hasEtag(there, etag)) return await finish(o, current, load, sha256, there);
  }
  const { etag, sha256 } =
    pieces.length === 1
      ? await sendWhole(o, current, load, pieces)
      : await sendParts(o, current, load, pieces);
  const now = await remote.head(object.key);
  if (!now || !isLike(load, now) || !hasEtag(now, etag)) throw new CodedError('S3_CORRUPTED', object.key);
  return await finish(o, current, load, sha256, now);
}

/** Bytes of it may be there already. */
const hasBegun = ({ state, attempts }: RemoteObject): boolean => state === 'uploading' || attempts > 0;

/** What was noted beside the object before it was sent does not say what arrived. */
const isLike = ({ sizeBytes, about }: Load, there: RemoteHead): boolean =>
  there.sizeBytes === sizeBytes &&
  Object.entries(about.mark).every(([name, value]) => there.meta[name] === value);

/** The ETag says what arrived, if it is a digest. Of a multipart upload some servers give the digest of the whole. */
const hasEtag = (there: RemoteHead, etag: string): boolean => {
  const isComparable = there.hasDigest && (there.etag.includes('-') || !etag.includes('-'));
  return !isComparable || there.etag === etag;
};

const attempt = ({ no, revision }: RemoteObject) => ({ no, revision });

async function finish(
  { ledger }: SendOptions,
  object: Whole,
  { keyId, sizeBytes }: Load,
  sha256: string,
  { etag, versionId }: RemoteHead,
): Promise<Sent> {
  const sealed = keyId === null ? null : { keyId, sizeBytes, sha256 };
  await ledger.verified({ ...attempt(object), etag, sealed });
  return { sizeBytes: object.sizeBytes, sha256: object.sha256, sealed, etag, versionId };
}

/** A clip that is a range becomes a file. A still is looked at: the index has no hash of it, and it is replaced. */
async function withFile({ dataDir, ledger }: SendOptions, object: RemoteObject): Promise<Whole> {
  const { kind, path, sizeBytes, sha256 } = object;
  const isStill = kind === 'still' && path !== null;
  if (!isStill && path !== null && sizeBytes !== null && sha256 !== null) {
    return { ...object, path, sizeBytes, sha256 };
  }
  const made = isStill
    ? { path, ...(await look(join(dataDir, path))) }
    : await ledger.materialise(object.ref);
  const found = { path: made.path, sizeBytes: made.sizeBytes, sha256: made.sha256 };
  await ledger.ready({ ...attempt(object), ...found });
  return { ...object, ...found };
}

async function look(path: string): Promise<{ sizeBytes: number; sha256: string }> {
  await using file = await open(path);
  const hash = createHash('sha256');
  let sizeBytes = 0;
  for await (const chunk of file.createReadStream({ autoClose: false })) {
    hash.update(chunk as Buffer);
    sizeBytes += (chunk as Buffer).byteLength;
  }
  return { sizeBytes, sha256: hash.digest('hex') };
}

/**
 * What is sent now, and the object as it stands then. A seal goes on as long as it is for this file and this key;
 * what was begun in another way is not gone on with.
 */
async function loadOf(
  { ledger, prefix, recipient }: SendOptions,
  object: Whole,
  file: FileHandle,
): Promise<readonly [Load, Whole]> {
  const isSame =
    recipient === null
      ? object.seal === null
      : object.seal?.keyId === recipient.keyId && object.seal.of === object.sha256;
  const { sizeBytes, sha256: of } = object;
  const seal = isSame
    ? object.seal
    : recipient && newSeal({ recipient, name: prefix + object.key, sizeBytes, of });
  if (!isSame) await ledger.seal({ ...attempt(object), seal });
  const current = isSame ? object : { ...object, seal, uploadId: null, parts: [] };
  return [seal ? await sealedLoad(file, object, seal) : plainLoad(file, object), current];
}

interface Digests {
  readonly etag: string;
  /** Of all that was sent. */
  readonly sha256: string;
}

/** null where it is known before. */
const hashOf = ({ sha256 }: Load): Hash | null => (sha256 === null ? createHash('sha256') : null);
const digestOf = ({ sha256 }: Load, whole: Hash | null): string => sha256 ?? whole!.digest('hex');

/** What it would be in the bucket, if it was sent in these pieces. */
async function describe(load: Load, pieces: readonly Piece[]): Promise<Digests> {
  const whole = hashOf(load);
  const parts: RemotePart[] = [];
  for await (const [{ part }, { md5 }] of cut(load, pieces, whole)) parts.push({ part, etag: md5 });
  return { etag: parts.length === 1 ? parts[0]!.etag : etagOfParts(parts), sha256: digestOf(load, whole) };
}

async function sendWhole(
  { ledger, remote }: SendOptions,
  object: Whole,
  load: Load,
  pieces: readonly Piece[],
): Promise<Digests> {
  const whole = hashOf(load);
  let etag = '';
  for await (const [, content] of oneAhead(cut(load, pieces, whole))) {
    await ledger.uploading({ ...attempt(object), uploadId: null, parts: [] });
    await remote.put(object.key, content, load.about);
    etag = content.md5;
  }
  return { etag, sha256: digestOf(load, whole) };
}

/** All parts, in the bucket as one object. Those that the server has already are read, and not sent. */
async function sendParts(
  o: SendOptions,
  object: Whole,
  load: Load,
  pieces: readonly Piece[],
): Promise<Digests> {
  const { ledger, remote } = o;
  const { uploadId, known } = await resume(o, object, load);
  const noted = new Map(object.parts.map(({ part, etag }) => [part, etag]));
  const whole = hashOf(load);
  const parts: RemotePart[] = [];
  for await (const [{ part }, content] of oneAhead(cut(load, pieces, whole))) {
    const has = known.get(part);
    // Where ETags are no digests, the ledger knows which one was given for this part.
    if (has !== undefined && (has === content.md5 || has === noted.get(part))) {
      parts.push({ part, etag: has });
      continue;
    }
    parts.push({ part, etag: await remote.putPart(object.key, uploadId, part, content) });
    await ledger.uploading({ ...attempt(object), uploadId, parts });
  }
  await remote.complete(object.key, uploadId, parts);
  return { etag: etagOfParts(parts), sha256: digestOf(load, whole) };
}

/** The multipart upload that was begun, with the parts that are there; a new one where there is none any more. */
async function resume(
  { ledger, remote }: SendOptions,
  object: Whole,
  { about }: Load,
): Promise<{ uploadId: string; known: ReadonlyMap<number, string> }> {
  if (object.uploadId !== null) {
    try {
      const parts = (await remote.parts(object.key, object.uploadId)) ?? object.parts;
      return { uploadId: object.uploadId, known: new Map(parts.map(({ part, etag }) => [part, etag])) };
    } catch (error) {
      if (!isCode(error, 'NoSuchUpload', 'NotFound', 'NoSuchKey')) throw error;
    }
  }
  const uploadId = await remote.begin(object.key, about);
  await ledger.uploading({ ...attempt(object), uploadId, parts: [] });
  return { uploadId, known: new Map() };
}

/** The ETag of an object that was sent in these parts. */
const etagOfParts = (parts: readonly RemotePart[]): string =>
  `${createHash('md5')
    .update(Buffer.concat(parts.map(({ etag }) => Buffer.from(etag, 'hex'))))
    .digest('hex')}-${parts.length}`;
