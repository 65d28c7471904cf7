import { spawnSync } from 'node:child_process';
import { createHash, createPrivateKey } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseRecipient, recipientText } from '../../../device/contract/recipient.ts';
import type { RemoteSeal } from '../../../device/contract/sync.ts';
import {
  expectName,
  newKeyPair,
  newSeal,
  openSealed,
  privateKeysOf,
  sealed,
  sealedBytesOf,
  type SealLots,
} from '../../../device/sync/seal.ts';

const owner = newKeyPair();
const keys = privateKeysOf([owner.pem]);
const lots: SealLots = {
  ephemeral: createPrivateKey(newKeyPair().pem),
  dataKey: Buffer.alloc(32, 7),
  prefix: Buffer.alloc(7, 9),
  chunkLog2: 4,
};
const CHUNK = 16;
const NAME = 'attic/clips/porch/2026-11-25/a.mp4';

async function* inPieces(bytes: Buffer, pieceBytes: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.byteLength; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes);
}

async function all(pieces: AsyncIterable<Buffer>): Promise<Buffer> {
  const taken: Buffer[] = [];
  for await (const piece of pieces) taken.push(piece);
  return Buffer.concat(taken);
}

/** With everything drawn by lot, as in use: `undefined` for `how`. */
const sealOf = (plain: Buffer, ...how: [] | [SealLots | undefined]): RemoteSeal =>
  newSeal(
    {
      ...{ recipient: owner.recipient, name: NAME, sizeBytes: plain.byteLength },
      of: createHash('sha256').update(plain).digest('hex'),
    },
    how.length === 0 ? lots : how[0],
  );
const envelopeOf = (plain: Buffer, pieceBytes = 5): Promise<Buffer> =>
  all(sealed(sealOf(plain), inPieces(plain, pieceBytes)));

async function open(bytes: Buffer, pieceBytes = 7, by = keys): Promise<Buffer> {
  const { content } = await openSealed(inPieces(bytes, pieceBytes), by);
  return await all(content);
}

/** Code of what goes wrong; null when nothing does. */
const codeOf = (work: Promise<unknown>): Promise<string | null> =>
  work.then(
    () => null,
    (error: { code?: string; message: string }) => error.code ?? error.message,
  );

/** Around the borders of chunks, too. */
const plains = fc.oneof(
  fc.uint8Array({ maxLength: 5 * CHUNK }),
  fc.constantFrom(0, 1, 15, 16, 17, 31, 32, 33, 48).map((length) => new Uint8Array(length).fill(length)),
);
const plain = Buffer.from('the quick brown fox jumps over the lazy dog, and over it again');
const headerBytes = 114 + NAME.length;

test('whatever is encrypted comes out again, in whatever pieces it comes and goes', async () => {
  await fc.assert(
    fc.asyncProperty(plains, fc.nat({ max: 40 }), fc.nat({ max: 40 }), async (bytes, a, b) => {
      const file = Buffer.from(bytes);
      const seal = sealOf(file);
      const envelope = await all(sealed(seal, inPieces(file, a + 1)));
      expect(envelope.byteLength).toBe(sealedBytesOf(seal));
      expect(await open(envelope, b + 1)).toEqual(file);
    }),
  );
});

test('the same seal makes the same bytes; a new one others, also of the same file', async () => {
  expect(await envelopeOf(plain, 3)).toEqual(await envelopeOf(plain, 64));
  const drawn = (): Promise<Buffer> => all(sealed(sealOf(plain, undefined), inPieces(plain, 9)));
  const [one, other] = [await drawn(), await drawn()];
  expect(one.subarray(9, 16)).not.toEqual(other.subarray(9, 16));
  expect(one.subarray(32)).not.toEqual(other.subarray(32));
  expect(await open(other)).toEqual(plain);
});

test('the size of real chunks, and a file of several', async () => {
  const file = Buffer.alloc(3 * 65_536 + 1, 'ab');
  const seal = sealOf(file, undefined);
  const envelope = await all(sealed(seal, inPieces(file, 100_000)));
  expect(envelope.byteLength).toBe(headerBytes + file.byteLength + 4 * 16);
  expect((await open(envelope, 65_536)).equals(file)).toBe(true);
});

test('every bit counts', async () => {
  const envelope = await envelopeOf(plain);
  for (let bit = 0; bit < envelope.byteLength * 8; bit++) {
    const flipped = Buffer.from(envelope);
    flipped[bit >> 3]! ^= 1 << (bit & 7);
    const given: Buffer[] = [];
    const code = await codeOf(
      (async () => {
        const { content } = await openSealed(inPieces(flipped, 50), keys);
        for await (const chunk of content) given.push(chunk);
      })(),
    );
    expect(code, `bit ${bit}`).toMatch(/^SEAL_(UNKNOWN|KEY_WRONG|BROKEN|TRUNCATED)$/);
    // What was given out before was what was encrypted.
    const sofar = Buffer.concat(given);
    expect(plain.subarray(0, sofar.byteLength)).toEqual(sofar);
  }
});

test('cut off anywhere, it is known to be', async () => {
  const envelope = await envelopeOf(plain);
  for (let length = 0; length < envelope.byteLength; length++) {
    expect(await codeOf(open(envelope.subarray(0, length))), `${length} bytes`).toBe(
      length < 7 ? 'SEAL_UNKNOWN' : 'SEAL_TRUNCATED',
    );
  }
  expect(await codeOf(open(Buffer.concat([envelope, Buffer.alloc(1)])))).toBe('SEAL_BROKEN');
  expect(await codeOf(open(Buffer.concat([envelope, envelope.subarray(headerBytes)])))).toBe('SEAL_BROKEN');
});

test('a chunk in the place of another, of the same object or of another, is found', async () => {
  const envelope = await envelopeOf(plain);
  const other = await all(sealed(sealOf(plain, undefined), inPieces(plain, 9)));
  const at = (n: number): number => headerBytes + n * (CHUNK + 16);
  const [first, second] = [0, 1].map((n) => envelope.subarray(at(n), at(n + 1))) as [Buffer, Buffer];
  const head = envelope.subarray(0, headerBytes);
  const rest = envelope.subarray(at(2));
  expect(await open(Buffer.concat([head, first, second, rest]))).toEqual(plain);
  expect(await codeOf(open(Buffer.concat([head, second, first, rest])))).toBe('SEAL_BROKEN');
  expect(await codeOf(open(Buffer.concat([head, first, first, rest])))).toBe('SEAL_BROKEN');
  expect(await codeOf(open(Buffer.concat([head, second, rest])))).toBe('SEAL_BROKEN');
  // Under another header with the same place, size and owner.
  const foreign = Buffer.concat([other.subarray(0, headerBytes), envelope.subarray(headerBytes)]);
  expect(await codeOf(open(foreign))).toBe('SEAL_BROKEN');
});

test('shortened with a size that fits, it is still found', async () => {
  const envelope = await envelopeOf(plain);
  for (const chunks of [0, 1, 2, 3]) {
    const shorter = Buffer.from(envelope.subarray(0, headerBytes + chunks * (CHUNK + 16)));
    shorter.writeBigUInt64BE(BigInt(chunks * CHUNK), 16);
    expect(await codeOf(open(shorter))).toMatch(/^SEAL_(BROKEN|TRUNCATED)$/);
  }
});

test('an object in the place of another is genuine, and refused', async () => {
  const { envelope, content } = await openSealed(inPieces(await envelopeOf(plain), 50), keys);
  expect(envelope).toEqual({
    name: NAME,
    keyId: owner.recipient.keyId,
    sizeBytes: plain.byteLength,
  });
  expect(await codeOf(all(expectName(envelope, 'attic/clips/porch/2026-11-25/b.mp4', content)))).toBe(
    'SEAL_SWAPPED',
  );
  const again = await openSealed(inPieces(await envelopeOf(plain), 50), keys);
  expect(await all(expectName(again.envelope, NAME, again.content))).toEqual(plain);
});

test('the right one of several keys is taken; without it there is a reason', async () => {
  const envelope = await envelopeOf(plain);
  const other = newKeyPair();
  expect(await open(envelope, 50, privateKeysOf([other.pem, owner.pem]))).toEqual(plain);
  expect(await codeOf(open(envelope, 50, privateKeysOf([other.pem])))).toBe('SEAL_KEY_WRONG');
  expect(await codeOf(open(envelope, 50, new Map()))).toBe('SEAL_KEY_NEEDED');
  expect(await codeOf(open(plain))).toBe('SEAL_UNKNOWN');
  const newer = Buffer.from(envelope);
  newer[7] = 2;
  expect(await codeOf(open(newer))).toBe('SEAL_UNKNOWN');
});

test.each(['', 'hello', '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n'])(
  '%j is no private key',
  (pem) => {
    expect(() => privateKeysOf([pem])).toThrow(expect.objectContaining({ code: 'SEAL_KEY_UNUSABLE' }));
  },
);

test('a public key as text: misspelt by one character it is none', () => {
  const text = recipientText(owner.recipient);
  expect(parseRecipient(text)).toEqual(owner.recipient);
  for (let at = 0; at < text.length; at++) {
    const wrong = `${text.slice(0, at)}${text[at] === 'b' ? 'c' : 'b'}${text.slice(at + 1)}`;
    const parsed = parseRecipient(wrong);
    // Two bits of its last character mean nothing.
    if (parsed !== null) expect(parsed.keyId).toBe(owner.recipient.keyId);
  }
});

test('the example of the documentation', async () => {
  const page = await readFile('device/design/encryption.md', 'utf8');
  const [, json = '{}'] = /```json\n([\s\S]*?)```/.exec(page) ?? [];
  const example = JSON.parse(json) as Record<string, string>;
  const hex = (name: string): Buffer => Buffer.from(example[name]!, 'hex');
  const pemOf = (raw: Buffer): string =>
    `-----BEGIN PRIVATE KEY-----\n${Buffer.concat([Buffer.from('302e020100300506032b656e04220420', 'hex'), raw]).toString('base64')}\n-----END PRIVATE KEY-----\n`;
  const recipient = parseRecipient(example['public_key']!)!;
  const bytes = Buffer.from(example['plain']!);
  const seal = newSeal(
    { recipient, name: example['name']!, sizeBytes: bytes.byteLength, of: '' },
    {
      ephemeral: createPrivateKey(pemOf(hex('ephemeral_private_key'))),
      dataKey: hex('data_key'),
      prefix: hex('nonce_prefix'),
      chunkLog2: 4,
    },
  );
  expect((await all(sealed(seal, inPieces(bytes, 9)))).toString('hex')).toBe(example['sealed']);
  expect(await open(hex('sealed'), 50, privateKeysOf([pemOf(hex('private_key'))]))).toEqual(bytes);
});

const hasPython = spawnSync('python3', ['-c', 'import cryptography']).status === 0;
test.skipIf(!hasPython)('the reader in Python of the documentation', async () => {
  const page = await readFile('device/design/encryption.md', 'utf8');
  const [, program = ''] = /```python\n([\s\S]*?)```/.exec(page) ?? [];
  const folder = await mkdtemp(join(tmpdir(), 'spyoncino-seal-'));
  try {
    const file = Buffer.alloc(200_001, 'xyz');
    const envelope = await all(sealed(sealOf(file, undefined), inPieces(file, 4096)));
    const [key, object] = [join(folder, 'owner.pem'), join(folder, 'object')];
    await writeFile(key, owner.pem);
    await writeFile(object, envelope);
    const run = () => spawnSync('python3', ['-c', program, key, object], { maxBuffer: 2 ** 20 });
    expect(run().stdout.equals(file)).toBe(true);
    await writeFile(object, envelope.subarray(0, -1));
    expect(run().status).not.toBe(0);
  } finally {
    await rm(folder, { recursive: true });
  }
});
