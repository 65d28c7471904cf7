import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { z } from 'zod';
import { StateFile } from './state-file.ts';

/** SHA-256 of files, hexadecimal. Rejects as `stat` and `read` do. */
export interface FileDigests {
  sha256(path: string): Promise<string>;
}

export const freshDigests: FileDigests = { sha256: hashFile };

const known = z.object({ sha256: z.string(), fingerprint: z.string() });

type Known = z.infer<typeof known>;

/**
 * Remembers digests in `<dataDir>/detect/digests.json` while size, times and inode of a file stay as they were: the
 * detector is wanted back within a second, and small boards hash about 30 MB in that time.
 */
export async function rememberedDigests(dataDir: string): Promise<FileDigests> {
  const state = await StateFile.open(
    join(dataDir, 'detect', 'digests.json'),
    (value): value is Known => known.safeParse(value).success,
  );
  return {
    async sha256(path) {
      const { size, mtimeMs, ctimeMs, ino } = await stat(path);
      const fingerprint = [size, mtimeMs, ctimeMs, ino].join(' ');
      const remembered = state.get(path);
      if (remembered?.fingerprint === fingerprint) return remembered.sha256;
      const sha256 = await hashFile(path);
      await state.set(path, { sha256, fingerprint });
      return sha256;
    },
  };
}

async function hashFile(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
}
