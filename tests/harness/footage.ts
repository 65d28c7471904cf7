import { fileURLToPath } from 'node:url';
import { CodedError } from '../../device/contract/errors.ts';
import { fetchFootage } from '../../device/cli/footage.ts';
import { lack } from './packages.ts';

export const FOOTAGE_CACHE = fileURLToPath(new URL('../../.cache/footage', import.meta.url));

/**
 * Path of the footage of pedestrians (768×576, 10 pictures a second, 79.5 s, msmpeg4v3). At the top level of a
 * test file: `const footage = await requireFootage();`. Where it cannot be had, the file's tests are skipped.
 */
export async function requireFootage(): Promise<string> {
  try {
    return await fetchFootage({ cacheDir: FOOTAGE_CACHE });
  } catch (error) {
    lack(CodedError.from(error, 'FOOTAGE_UNAVAILABLE').message);
    return '';
  }
}
