import { CodedError } from '../contract/errors.ts';
import type { Clock } from '../kernel/clock.ts';
import { readIdentity } from '../kernel/directory-identity.ts';
import type { Log } from '../kernel/log.ts';
import type { LibraryContext } from './context.ts';
import { mediaDir } from './media.ts';
import { Store } from './store.ts';

export interface Guest extends LibraryContext, Disposable {}

export interface GuestOptions {
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly log: Log;
  /** False: the disk with the footage may be away. */
  readonly needsMedia?: boolean;
}

/**
 * The library as a verb of the CLI sees it, while the agent runs or not: index and disk as they are.
 *
 * @throws CodedError INDEX_UNAVAILABLE, INDEX_NEWER, MEDIA_MISSING, MEDIA_FOREIGN
 */
export async function openAsGuest(
  dataDir: string,
  { needsMedia = true, ...options }: GuestOptions,
): Promise<Guest> {
  const store = await Store.open({ dataDir, as: 'guest' });
  try {
    const mediaId = (await readIdentity(mediaDir(dataDir)))?.id ?? '';
    const known = store.get<{ no: number }>('SELECT no FROM media WHERE media_id = ?', mediaId)?.no;
    if (needsMedia && mediaId === '') throw new CodedError('MEDIA_MISSING');
    if (needsMedia && known === undefined) throw new CodedError('MEDIA_FOREIGN', mediaId);
    return {
      ...options,
      ...{ store, dataDir, mediaId, media: known ?? NO_MEDIA },
      [Symbol.dispose]: () => store[Symbol.dispose](),
    };
  } catch (error) {
    store[Symbol.dispose]();
    throw error;
  }
}

/** No row has it. */
const NO_MEDIA = 0;

/**
 * Number of a camera that somebody named.
 *
 * @throws CodedError FOOTAGE_NOT_FOUND, with the cameras that there are
 */
export function expectCamera(store: Store, cameraId: string): number {
  const cameras = store.all<{ no: number; camera_id: string }>(
    'SELECT no, camera_id FROM camera ORDER BY camera_id',
  );
  const known = cameras.find(({ camera_id }) => camera_id === cameraId);
  if (known) return known.no;
  const names = cameras.map(({ camera_id }) => camera_id).join(', ');
  throw new CodedError('FOOTAGE_NOT_FOUND', `there is no camera "${cameraId}"; there is ${names || 'none'}`);
}
