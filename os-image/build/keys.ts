import { copyFileSync, existsSync, mkdirSync, rmSync } from 'node:fs';

/** Authority (goes into the image), who signs bundles, and with what. */
const KEY_FILES = ['ca.pem', 'signer.pem', 'signer.key'] as const;

/**
 * Copies given keys into `to`, which holds nothing else afterwards: no key of another build can stand in for one of them.
 *
 * @throws Error naming the file that is not there; nothing is copied then
 */
export function takeKeys(from: string, to: string): void {
  const missing = KEY_FILES.find((name) => !existsSync(`${from}/${name}`));
  if (missing !== undefined) throw new Error(`there is no ${missing} in ${from}`);
  rmSync(to, { recursive: true, force: true });
  mkdirSync(to, { recursive: true, mode: 0o700 });
  for (const name of KEY_FILES) copyFileSync(`${from}/${name}`, `${to}/${name}`);
}
