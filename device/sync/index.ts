import type { Archive, ArchiveOptions } from './archive.ts';

export type { Archive, ArchivedObject, DayChoice, ObjectVerdict } from './archive.ts';
export type { Difference } from './compare.ts';
export type { Manifest } from './manifest.ts';
export type { Ledger } from './port.ts';
export {
  expectName,
  newKeyPair,
  openSealed,
  privateKeysOf,
  recipientOfKey,
  type Envelope,
  type SealKeys,
} from './seal.ts';
export type { Sent } from './send.ts';
export { Uploader, type UploaderOptions } from './uploader.ts';

/** Only who needs it loads the client. @throws CodedError S3_CREDENTIALS_MISSING, S3_TLS_FAILED */
export async function openArchive(options: ArchiveOptions): Promise<Archive> {
  const { Archive } = await import('./archive.ts');
  return await Archive.open(options);
}
