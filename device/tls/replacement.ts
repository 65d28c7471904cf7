import { X509Certificate } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { createSecureContext } from 'node:tls';
import { CodedError } from '../contract/errors.ts';
import type { TlsIdentity } from '../contract/tls.ts';
import { belongTogether } from './own.ts';

/** A pair of files, `<name>.crt` and `<name>.key`, that the owner put into `directory`. */
export class Replacement {
  readonly #paths: readonly [cert: string, key: string];

  constructor(directory: string, name: string) {
    this.#paths = [join(directory, `${name}.crt`), join(directory, `${name}.key`)];
  }

  /** What tells one state of the files from another; null without any of the two. */
  async version(): Promise<string | null> {
    const versions = await Promise.all(this.#paths.map(versionOf));
    return versions.every((version) => version === '') ? null : versions.join(' ');
  }

  /** Throws CERTIFICATE_INVALID. Messages never hold what is in the files. */
  async read(nowUtcMs: number): Promise<TlsIdentity> {
    const [certPath, keyPath] = this.#paths;
    try {
      const identity = { cert: await readFile(certPath, 'utf8'), key: await readFile(keyPath, 'utf8') };
      if (!belongTogether(identity)) throw new Error(`${certPath} and ${keyPath} do not belong together`);
      const { validTo, validToDate } = new X509Certificate(identity.cert);
      if (validToDate.getTime() < nowUtcMs) throw new Error(`${certPath} was valid until ${validTo}`);
      createSecureContext(identity);
      return identity;
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      const isTold = code?.startsWith('E') === true || message.startsWith(certPath);
      throw new CodedError('CERTIFICATE_INVALID', isTold ? message : `${certPath}, ${keyPath}: ${message}`, {
        cause: error,
      });
    }
  }
}

async function versionOf(path: string): Promise<string> {
  try {
    const { ino, size, mtimeNs } = await stat(path, { bigint: true });
    return `${ino}.${size}.${mtimeNs}`;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT' ? '' : 'unreadable';
  }
}
