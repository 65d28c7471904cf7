/** The code that makes the owner. It stays the same over restarts: whoever read it off the card types it after the next start. */
import { randomInt } from 'node:crypto';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { makeDirectoryDurable, replaceFile } from '../../kernel/durable-file.ts';

/** Without what is easily confused. */
const CHARACTERS = 'ABCDEFGHJKMNPQRSTUVWXYZ23456789';
const LENGTH = 10;
const FORM = new RegExp(`^[${CHARACTERS}]{${LENGTH}}$`);

const pathIn = (stateDir: string): string => join(stateDir, 'setup-code');

/** The one of earlier starts, or a new one. Where it cannot be kept, the next start makes another. */
export async function keepSetupCode(stateDir: string): Promise<string> {
  const kept = await readFile(pathIn(stateDir), 'utf8').catch(() => '');
  if (FORM.test(kept.trim())) return kept.trim();
  const code = Array.from({ length: LENGTH }, () => CHARACTERS[randomInt(CHARACTERS.length)]).join('');
  try {
    await makeDirectoryDurable(stateDir);
    await replaceFile(pathIn(stateDir), `${code}\n`, 0o600);
  } catch {
    // A disk that is full or read-only is told of elsewhere, and must not keep the owner out.
  }
  return code;
}

/** Worth nothing any more, as there is an owner; what is left of it on a bad disk is harmless. */
export async function forgetSetupCode(stateDir: string): Promise<void> {
  await rm(pathIn(stateDir), { force: true }).catch(() => {});
}
