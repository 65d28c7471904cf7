import { readFile } from 'node:fs/promises';
import { CodedError } from '../contract/errors.ts';
import { privateKeysOf, type SealKeys } from '../sync/index.ts';

/** The keys in these files, as `spyoncino keys new` wrote them. @throws CodedError SEAL_KEY_UNUSABLE */
export async function readPrivateKeys(paths: readonly string[]): Promise<SealKeys> {
  const pems: string[] = [];
  for (const path of paths) {
    try {
      pems.push(await readFile(path, 'utf8'));
    } catch (error) {
      throw new CodedError('SEAL_KEY_UNUSABLE', (error as Error).message, { cause: error });
    }
  }
  return privateKeysOf(pems);
}
