import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CodedError } from './contract/errors.ts';
import { findHome } from './update/index.ts';

/** A unit of the image watches this file: it notes on the firmware partition what is wanted, and restarts the box. */
const RESET_WANTED = 'factory-reset-wanted';

/** @throws CodedError RESET_NOT_AN_IMAGE, RESET_FAILED */
export async function askForFactoryReset(
  env: Readonly<Record<string, string | undefined>>,
): Promise<{ restarting: true }> {
  const home = await findHome(env);
  if (home.kind !== 'image') throw new CodedError('RESET_NOT_AN_IMAGE');
  const folder = env['RUNTIME_DIRECTORY'] ?? '/run/spyoncino';
  try {
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, RESET_WANTED), '');
  } catch (error) {
    throw new CodedError('RESET_FAILED', folder, { cause: error });
  }
  return { restarting: true };
}
