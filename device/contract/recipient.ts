/** For whom objects are encrypted, as text: `x25519:<public key, base64url>:<id of the key, hex>`. No secret. */
import { createHash } from 'node:crypto';

export interface Recipient {
  /** Raw, base64url. */
  readonly publicKey: string;
  /** The first 8 bytes of the SHA-256 of the raw key, hex. Names the key, and shows when it was misspelt. */
  readonly keyId: string;
}

export function recipientOf(publicKey: string): Recipient {
  const hash = createHash('sha256').update(Buffer.from(publicKey, 'base64url')).digest('hex');
  return { publicKey, keyId: hash.slice(0, 16) };
}

export const recipientText = ({ publicKey, keyId }: Recipient): string => `x25519:${publicKey}:${keyId}`;

/** null for what is no such text, or a key that does not have the id beside it. */
export function parseRecipient(text: string): Recipient | null {
  const [, publicKey = '', keyId] = /^x25519:([\w-]{43}):([0-9a-f]{16})$/.exec(text) ?? [];
  const recipient = recipientOf(publicKey);
  return recipient.keyId === keyId ? recipient : null;
}
