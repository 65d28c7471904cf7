import { commitFacts, markAlive } from './commit.ts';
import type { LibraryContext } from './context.ts';
import { removeFootage } from './garbage.ts';
import { getClip, getEvent, listClips, listEvents } from './lists.ts';
import { checkMedia } from './media.ts';
import { materialiseClip } from './materialise.ts';
import { commitNotices, listAttempts, openNotices, pruneNotices } from './notices.ts';
import { markUploaded, outboxDone, outboxTake, registerConsumers } from './outbox.ts';
import { protect } from './protect.ts';
import { reconcile } from './reconcile.ts';
import { remoteBackfill } from './remote-backfill.ts';
import { remoteManifest, remoteManifestDue, remoteManifestWritten } from './remote-manifest.ts';
import {
  remoteBacklog,
  remoteEnrol,
  remoteEntries,
  remoteFailed,
  remoteGone,
  remoteMissing,
  remoteNext,
  remoteReady,
  remoteSeal,
  remoteUploading,
  remoteVerified,
} from './remote.ts';
import { cleanup } from './retention/cleanup.ts';
import { readState, writeState } from './state.ts';
import { libraryStats } from './stats.ts';
import { timeline } from './timeline.ts';

/**
 * What the worker can be asked. Each runs in its thread; arguments and answers are structured clones. One that
 * does not await is not interrupted by another.
 */
export const OPERATIONS = {
  commitFacts,
  markAlive,
  timeline,
  listEvents,
  getEvent,
  listClips,
  getClip,
  removeFootage,
  reconcile,
  checkMedia,
  cleanup,
  libraryStats,
  protect,
  materialiseClip,
  registerConsumers,
  outboxTake,
  outboxDone,
  markUploaded,
  commitNotices,
  openNotices,
  listAttempts,
  pruneNotices,
  remoteEnrol,
  remoteNext,
  remoteReady,
  remoteSeal,
  remoteUploading,
  remoteVerified,
  remoteFailed,
  remoteGone,
  remoteMissing,
  remoteBacklog,
  remoteEntries,
  remoteManifestDue,
  remoteManifest,
  remoteManifestWritten,
  remoteBackfill,
  readState,
  writeState,
} satisfies Record<string, (context: LibraryContext, argument: never) => unknown>;

export type Operations = typeof OPERATIONS;
export type OperationName = keyof Operations;
/** What follows the name when it is asked. */
export type ArgumentsOf<K extends OperationName> =
  Parameters<Operations[K]> extends [unknown, infer Argument] ? [Argument] : [];
export type AnswerOf<K extends OperationName> = Awaited<ReturnType<Operations[K]>>;
