/** Footage that was recorded before anybody wanted it copied, into the ledger. */
import type { BackfillPage, RemoteKind } from '../contract/sync.ts';
import type { LibraryContext } from './context.ts';
import type { OutboxKind } from './outbox.ts';
import { enrol } from './remote.ts';

/** `no` counts up in the order in which it was committed, so old footage of a long index is passed over in pages. */
const CANDIDATES: Readonly<Record<RemoteKind, { kind: OutboxKind; rows: string }>> = {
  still: {
    kind: 'still',
    rows: `SELECT event AS no, event_id AS ref, start_ms, media
           FROM still JOIN event ON event.no = still.event WHERE event > ? ORDER BY event LIMIT ?`,
  },
  clip: {
    kind: 'clip.ready',
    rows: `SELECT clip.no, clip_id AS ref, clip.start_ms, media
           FROM clip LEFT JOIN file ON file.no = clip.file WHERE clip.no > ? ORDER BY clip.no LIMIT ?`,
  },
  segment: {
    kind: 'segment.ready',
    rows: `SELECT no, file_id AS ref, start_ms, media FROM file
           WHERE no > ? AND kind = 'segment' AND missing_ms IS NULL ORDER BY no LIMIT ?`,
  },
};

/**
 * Looks at the next `limit` of what is kept of a kind, and takes what neither ledger nor outbox knows, and what began
 * at or after `sinceUtcMs`. In one transaction.
 */
export function remoteBackfill(
  { store, media, clock }: LibraryContext,
  wish: { consumer: string; kind: RemoteKind; after: number; sinceUtcMs: number; limit: number },
): BackfillPage {
  const { kind, rows } = CANDIDATES[wish.kind];
  const nowMs = Math.round(clock.utcMs());
  return store.transaction(() => {
    const looked = store.all<{ no: number; ref: string; isWanted: number }>(
      `SELECT no, ref, start_ms >= ? AND (media IS NULL OR media = ?)
         AND NOT EXISTS (SELECT 1 FROM remote WHERE remote.ref = found.ref AND remote.kind = ?)
         AND NOT EXISTS (SELECT 1 FROM outbox WHERE outbox.ref = found.ref AND outbox.kind = ? AND consumer = ?)
         AS isWanted
       FROM (${rows}) AS found`,
      ...[Math.round(wish.sinceUtcMs), media, wish.kind, kind, wish.consumer, wish.after, wish.limit],
    );
    const wanted = looked.filter(({ isWanted }) => isWanted);
    for (const { ref } of wanted) enrol(store, { kind, ref, createdUtcMs: nowMs }, nowMs, true);
    return { taken: wanted.length, after: looked.length < wish.limit ? null : looked.at(-1)!.no };
  });
}
