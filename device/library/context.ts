import type { Clock } from '../kernel/clock.ts';
import type { Log } from '../kernel/log.ts';
import type { Store } from './store.ts';

/** What the functions of this room work on, in the worker and in the verbs of the CLI alike. */
export interface LibraryContext {
  readonly store: Store;
  readonly dataDir: string;
  /** Identity of the disk that footage belongs on now, and its row; changed by `checkMedia` only. */
  mediaId: string;
  media: number;
  /** Aborts when what takes long is to stop where it is. */
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly log: Log;
}
