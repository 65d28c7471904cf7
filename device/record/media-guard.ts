import { join } from 'node:path';
import { CodedError } from '../contract/errors.ts';
import { readIdentity } from '../kernel/directory-identity.ts';
import { realDisk, type Disk } from './disk.ts';

/** Where footage may be written: only on the disk that says it is `mediaId`. */
export interface MediaPlace {
  readonly dataDir: string;
  readonly mediaId: string;
}

/** Rejects with MEDIA_MISSING or MEDIA_FOREIGN unless the right disk is mounted. */
export async function expectMedia({ dataDir, mediaId }: MediaPlace): Promise<void> {
  const identity = await readIdentity(join(dataDir, 'media'));
  if (!identity) throw new CodedError('MEDIA_MISSING');
  if (identity.id !== mediaId)
    throw new CodedError('MEDIA_FOREIGN', `expected ${mediaId}, found ${identity.id}`);
}

/**
 * The real disk, asked for its identity before anything is made or opened on it: an empty mount point is
 * neither filled, nor taken for a disk whose files somebody deleted.
 */
export function guardedDisk(place: MediaPlace): Disk {
  const guard = async <T>(work: () => Promise<T>): Promise<T> => {
    await expectMedia(place);
    return await work();
  };
  return {
    makeDirectory: (path) => guard(() => realDisk.makeDirectory(path)),
    create: (path) => guard(() => realDisk.create(path)),
    reopen: (path, sizeBytes) => guard(() => realDisk.reopen(path, sizeBytes)),
    rename: (from, to) => guard(() => realDisk.rename(from, to)),
  };
}
