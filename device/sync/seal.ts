/**
 * The envelope of an encrypted object, as `device/design/encryption.md` describes it: a header that only the owner of
 * the private key can open, then the file in chunks of AES-256-GCM (STREAM). The same `RemoteSeal` makes the same
 * bytes, so an upload can go on after a restart; it must never be used for other content.
 */
import {
  createCipheriv,
  createDecipheriv,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  hkdfSync,
  randomBytes,
  type KeyObject,
} from 'node:crypto';
import { CodedError } from '../contract/errors.ts';
import { recipientOf, type Recipient } from '../contract/recipient.ts';
import type { RemoteSeal } from '../contract/sync.ts';

const MAGIC = Buffer.from('SPYSEAL');
const VERSION = 1;
const WRAP_INFO = 'spyoncino seal 1 wrap';
const CHUNK_LOG2 = 16;
const TAG_BYTES = 16;
/** Where things stand in the header. */
const AT = {
  version: 7,
  chunkLog2: 8,
  prefix: 9,
  size: 16,
  keyId: 24,
  ephemeral: 32,
  wrapped: 64,
  name: 112,
};
const FIXED_BYTES = 114;
const MAX_CHUNKS = 2 ** 32;

/** Private keys by their ids. */
export type SealKeys = ReadonlyMap<string, KeyObject>;

/** What the header of an envelope says; authentic as soon as the first chunk is opened. */
export interface Envelope {
  /** Key of the object in the bucket, its prefix included. */
  readonly name: string;
  readonly keyId: string;
  /** Of the file. */
  readonly sizeBytes: number;
}

export interface SealWish {
  readonly recipient: Recipient;
  readonly name: string;
  /** Of the file. */
  readonly sizeBytes: number;
  /** SHA-256 of the file, hex. */
  readonly of: string;
}

/** What is drawn by lot; given only where the outcome has to be known before. */
export interface SealLots {
  /** X25519. */
  readonly ephemeral: KeyObject;
  readonly dataKey: Buffer;
  readonly prefix: Buffer;
  readonly chunkLog2: number;
}

const draw = (): SealLots => ({
  ephemeral: generateKeyPairSync('x25519').privateKey,
  dataKey: randomBytes(32),
  prefix: randomBytes(7),
  chunkLog2: CHUNK_LOG2,
});

/** Everything that is needed to encrypt one file once; of it the header alone may be seen. */
export function newSeal({ recipient, name, sizeBytes, of }: SealWish, lots: SealLots = draw()): RemoteSeal {
  const { ephemeral, dataKey, prefix, chunkLog2 } = lots;
  const nameBytes = Buffer.from(name);
  const header = Buffer.alloc(FIXED_BYTES + nameBytes.byteLength);
  MAGIC.copy(header);
  header.writeUInt8(VERSION, AT.version);
  header.writeUInt8(chunkLog2, AT.chunkLog2);
  prefix.copy(header, AT.prefix);
  header.writeBigUInt64BE(BigInt(sizeBytes), AT.size);
  header.write(recipient.keyId, AT.keyId, 'hex');
  header.write(rawPublic(ephemeral), AT.ephemeral, 'base64url');
  const theirs = createPublicKey({
    key: { kty: 'OKP', crv: 'X25519', x: recipient.publicKey },
    format: 'jwk',
  });
  const wrapKey = wrapKeyOf(ephemeral, theirs, header, Buffer.from(recipient.publicKey, 'base64url'));
  encrypt(wrapKey, Buffer.alloc(12), header.subarray(0, AT.wrapped), dataKey).copy(header, AT.wrapped);
  header.writeUInt16BE(nameBytes.byteLength, AT.name);
  nameBytes.copy(header, FIXED_BYTES);
  return {
    ...{ keyId: recipient.keyId, of },
    header: header.toString('base64'),
    dataKey: dataKey.toString('base64'),
  };
}

/** Of the whole envelope. */
export function sealedBytesOf(seal: RemoteSeal): number {
  const header = Buffer.from(seal.header, 'base64');
  const { sizeBytes, chunks } = shapeOf(header);
  return header.byteLength + sizeBytes + chunks * TAG_BYTES;
}

/** The envelope, piece by piece; `plain` is the file, of the size that was said. */
export async function* sealed(seal: RemoteSeal, plain: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const header = Buffer.from(seal.header, 'base64');
  const dataKey = Buffer.from(seal.dataKey, 'base64');
  yield header;
  const reader = new Reader(plain);
  try {
    for (const chunk of chunksOf(header)) {
      yield encrypt(dataKey, chunk.nonce, header, await reader.take(chunk.sizeBytes));
    }
  } finally {
    await reader.close();
  }
}

/**
 * Reads the header. `content` gives what is in it, each chunk only after it was found to be genuine: whoever
 * comes to its end has all of it, in order.
 *
 * @throws CodedError SEAL_UNKNOWN, SEAL_TRUNCATED, SEAL_KEY_NEEDED, SEAL_KEY_WRONG, SEAL_BROKEN; `content` the same
 */
export async function openSealed(
  source: AsyncIterable<Buffer>,
  keys: SealKeys,
): Promise<{ readonly envelope: Envelope; readonly content: AsyncGenerator<Buffer> }> {
  const reader = new Reader(source);
  try {
    const fixed = await reader.take(FIXED_BYTES);
    if (!isSealed(fixed)) throw new CodedError('SEAL_UNKNOWN');
    if (fixed.byteLength < FIXED_BYTES) throw new CodedError('SEAL_TRUNCATED');
    const version = fixed.readUInt8(AT.version);
    if (version !== VERSION) throw new CodedError('SEAL_UNKNOWN', `version ${version} of the format`);
    const nameBytes = fixed.readUInt16BE(AT.name);
    const header = Buffer.concat([fixed, await reader.take(nameBytes)]);
    if (header.byteLength < FIXED_BYTES + nameBytes) throw new CodedError('SEAL_TRUNCATED');
    const envelope: Envelope = {
      name: header.toString('utf8', FIXED_BYTES),
      keyId: header.toString('hex', AT.keyId, AT.ephemeral),
      sizeBytes: shapeOf(header).sizeBytes,
    };
    return { envelope, content: opened(reader, header, unwrap(header, envelope.keyId, keys)) };
  } catch (error) {
    await reader.close();
    throw error;
  }
}

/** `content`, if it was encrypted as the object `name`. @throws CodedError SEAL_SWAPPED before anything is given */
export async function* expectName(
  envelope: Envelope,
  name: string,
  content: AsyncGenerator<Buffer>,
): AsyncGenerator<Buffer> {
  let isChecked = false;
  for await (const chunk of content) {
    // What the header says counts only once something was opened with it.
    if (!isChecked && envelope.name !== name) throw new CodedError('SEAL_SWAPPED', envelope.name);
    isChecked = true;
    yield chunk;
  }
}

/** By the first bytes. */
export const isSealed = (bytes: Buffer): boolean => bytes.subarray(0, MAGIC.byteLength).equals(MAGIC);

async function* opened(reader: Reader, header: Buffer, dataKey: Buffer): AsyncGenerator<Buffer> {
  try {
    for (const { nonce, sizeBytes, isLast } of chunksOf(header)) {
      const bytes = await reader.take(sizeBytes + TAG_BYTES);
      if (bytes.byteLength < sizeBytes + TAG_BYTES) throw new CodedError('SEAL_TRUNCATED');
      const plain = decrypt(dataKey, nonce, header, bytes);
      if (plain === null) throw new CodedError('SEAL_BROKEN');
      if (isLast && !(await reader.isAtEnd()))
        throw new CodedError('SEAL_BROKEN', 'something follows its end');
      yield plain;
    }
  } finally {
    await reader.close();
  }
}

function unwrap(header: Buffer, keyId: string, keys: SealKeys): Buffer {
  if (keys.size === 0) throw new CodedError('SEAL_KEY_NEEDED', `it is for the key ${keyId}`);
  const key = keys.get(keyId);
  if (!key) throw new CodedError('SEAL_KEY_WRONG', `it is for the key ${keyId}`);
  const x = header.toString('base64url', AT.ephemeral, AT.wrapped);
  let dataKey: Buffer | null = null;
  try {
    const theirs = createPublicKey({ key: { kty: 'OKP', crv: 'X25519', x }, format: 'jwk' });
    const wrapKey = wrapKeyOf(key, theirs, header, Buffer.from(rawPublic(key), 'base64url'));
    const wrapped = header.subarray(AT.wrapped, AT.name);
    dataKey = decrypt(wrapKey, Buffer.alloc(12), header.subarray(0, AT.wrapped), wrapped);
  } catch {
    // There is no such point on the curve.
  }
  if (dataKey === null) throw new CodedError('SEAL_BROKEN', 'its header');
  return dataKey;
}

/** Private keys of the owner, PKCS #8 as PEM. @throws CodedError SEAL_KEY_UNUSABLE */
export function privateKeysOf(pems: readonly string[]): SealKeys {
  return new Map(
    pems.map((pem) => {
      let key: KeyObject;
      try {
        key = createPrivateKey(pem);
      } catch (error) {
        throw new CodedError('SEAL_KEY_UNUSABLE', 'it is no private key', { cause: error });
      }
      if (key.asymmetricKeyType !== 'x25519') {
        throw new CodedError('SEAL_KEY_UNUSABLE', `it is a key for ${key.asymmetricKeyType}`);
      }
      return [recipientOfKey(key).keyId, key];
    }),
  );
}

/** A new pair: the private half as PEM. */
export function newKeyPair(): { readonly pem: string; readonly recipient: Recipient } {
  const { privateKey } = generateKeyPairSync('x25519');
  return {
    pem: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
    recipient: recipientOfKey(privateKey),
  };
}

/** The public half. */
export const recipientOfKey = (key: KeyObject): Recipient => recipientOf(rawPublic(key));

/** Base64url. */
const rawPublic = (key: KeyObject): string => key.export({ format: 'jwk' }).x ?? '';

/** Both sides come to the same: from one private key and the other public one. */
function wrapKeyOf(privateKey: KeyObject, publicKey: KeyObject, header: Buffer, recipient: Buffer): Buffer {
  const shared = diffieHellman({ privateKey, publicKey });
  const salt = Buffer.concat([header.subarray(AT.ephemeral, AT.wrapped), recipient]);
  return Buffer.from(hkdfSync('sha256', shared, salt, WRAP_INFO, 32));
}

function shapeOf(header: Buffer): { sizeBytes: number; chunkBytes: number; chunks: number } {
  const sizeBytes = Number(header.readBigUInt64BE(AT.size));
  const log2 = header.readUInt8(AT.chunkLog2);
  const chunkBytes = 2 ** log2;
  const chunks = Math.max(1, Math.ceil(sizeBytes / chunkBytes));
  // Nobody makes others: whatever says so is damaged, and must not cost memory.
  if (log2 < 4 || log2 > 24 || chunks > MAX_CHUNKS || !Number.isSafeInteger(sizeBytes)) {
    throw new CodedError('SEAL_BROKEN', 'its header');
  }
  return { sizeBytes, chunkBytes, chunks };
}

/** Nonce: prefix ‖ number of the chunk ‖ 1 for the last, else 0. */
function* chunksOf(header: Buffer): Generator<{ nonce: Buffer; sizeBytes: number; isLast: boolean }> {
  const { sizeBytes, chunkBytes, chunks } = shapeOf(header);
  for (let n = 0; n < chunks; n++) {
    const isLast = n === chunks - 1;
    const nonce = Buffer.alloc(12);
    header.copy(nonce, 0, AT.prefix, AT.size);
    nonce.writeUInt32BE(n, 7);
    nonce.writeUInt8(Number(isLast), 11);
    yield { nonce, sizeBytes: isLast ? sizeBytes - n * chunkBytes : chunkBytes, isLast };
  }
}

function encrypt(key: Buffer, nonce: Buffer, about: Buffer, plain: Buffer): Buffer {
  const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(about);
  return Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
}

/** null when it is not genuine. */
function decrypt(key: Buffer, nonce: Buffer, about: Buffer, bytes: Buffer): Buffer | null {
  const tagAt = bytes.byteLength - TAG_BYTES;
  const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG_BYTES }).setAAD(about);
  decipher.setAuthTag(bytes.subarray(tagAt));
  const plain = decipher.update(bytes.subarray(0, tagAt));
  try {
    return Buffer.concat([plain, decipher.final()]);
  } catch {
    return null;
  }
}

/** Takes exactly so many bytes from whatever comes in whatever pieces. */
class Reader {
  readonly #source: AsyncIterator<Buffer>;
  #rest: Buffer = Buffer.alloc(0);
  #isOver = false;

  constructor(source: AsyncIterable<Buffer>) {
    this.#source = source[Symbol.asyncIterator]();
  }

  /** Fewer only at the end. */
  async take(sizeBytes: number): Promise<Buffer> {
    const taken: Buffer[] = [];
    for (let missing = sizeBytes; missing > 0;) {
      if (this.#rest.byteLength === 0 && !(await this.#next())) break;
      const some = this.#rest.subarray(0, missing);
      this.#rest = this.#rest.subarray(some.byteLength);
      missing -= some.byteLength;
      taken.push(some);
    }
    return taken.length === 1 ? taken[0]! : Buffer.concat(taken);
  }

  async isAtEnd(): Promise<boolean> {
    return this.#rest.byteLength === 0 && !(await this.#next());
  }

  async close(): Promise<void> {
    await this.#source.return?.();
  }

  async #next(): Promise<boolean> {
    while (this.#rest.byteLength === 0 && !this.#isOver) {
      const { done, value } = await this.#source.next();
      if (done) this.#isOver = true;
      else this.#rest = value;
    }
    return this.#rest.byteLength > 0;
  }
}
