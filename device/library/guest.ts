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
}

/**
 * The library as a verb of the CLI sees it, while the agent runs or not: index and disk as they are.
 *
 * @throws CodedError INDEX_UNAVAILABLE, INDEX_NEWER, MEDIA_MISSING, MEDIA_FOREIGN
 */
export async function openAsGuest(dataDir: string, options: GuestOptions): Promise<Guest> {
  const store = await Store.open({ dataDir, as: 'guest' });
  try {
    const mediaId = (await readIdentity(mediaDir(dataDir)))?.id;
    if (mediaId === undefined) throw new CodedError('MEDIA_MISSING');
    const media = store.get<{ no: number }>('SELECT no FROM media WHERE media_id = ?', mediaId)?.no;
    if (media === undefined) throw new CodedError('MEDIA_FOREIGN', mediaId);
    return {
      ...options,
      ...{ store, dataDir, mediaId, media },
      [Symbol.dispose]: () => store[Symbol.dispose](),
    };
  } catch (error) {
    store[Symbol.dispose]();
    throw error;
  }
}
