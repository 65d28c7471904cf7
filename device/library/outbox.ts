import type { LibraryContext } from './context.ts';
import type { Store } from './store.ts';

/** What a consumer may want to be told of; `ref` is the id of the event, clip or segment (of a still: its event). */
export type OutboxKind = 'event.new' | 'event.end' | 'clip.ready' | 'segment.ready' | 'still';

export interface OutboxItem {
  readonly no: number;
  readonly kind: OutboxKind;
  readonly ref: string;
  readonly createdUtcMs: number;
}

/** Kinds by the name of who wants them. */
export type Consumers = Readonly<Record<string, readonly OutboxKind[]>>;

/**
 * Who wants to be told of what. Replaces what was said before: what waits for a consumer that is not named any
 * more is forgotten.
 */
export function registerConsumers({ store }: LibraryContext, consumers: Consumers): void {
  store.transaction(() => {
    store.run('DELETE FROM consumer');
    for (const [name, kinds] of Object.entries(consumers)) {
      for (const kind of kinds) store.run('INSERT OR IGNORE INTO consumer VALUES (?, ?)', name, kind);
    }
    store.run('DELETE FROM outbox WHERE (consumer, kind) NOT IN (SELECT name, kind FROM consumer)');
  });
}

/** For everyone who wants it; what waits already waits once. In the transaction that commits the fact. */
export function enqueue(store: Store, kind: OutboxKind, ref: string, nowMs: number): void {
  store.run(
    `INSERT OR IGNORE INTO outbox (consumer, kind, ref, created_ms)
     SELECT name, kind, ?, ? FROM consumer WHERE kind = ?`,
    ...[ref, Math.round(nowMs), kind],
  );
}

/** The oldest that waits, in order. It stays until it is `outboxDone`, so each consumer takes for itself only. */
export function outboxTake(
  { store }: LibraryContext,
  { consumer, limit }: { consumer: string; limit: number },
): readonly OutboxItem[] {
  return store.all<OutboxItem>(
    `SELECT no, kind, ref, created_ms AS createdUtcMs FROM outbox WHERE consumer = ? ORDER BY no LIMIT ?`,
    ...[consumer, limit],
  );
}

export function outboxDone(
  { store }: LibraryContext,
  { consumer, nos }: { consumer: string; nos: readonly number[] },
): void {
  store.transaction(() => {
    for (const no of nos) store.run('DELETE FROM outbox WHERE consumer = ? AND no = ?', consumer, no);
  });
}

/** The file has a copy elsewhere: it may go first when space is needed. */
export function markUploaded({ store, clock }: LibraryContext, { fileId }: { fileId: string }): void {
  store.run(
    'UPDATE file SET uploaded_ms = ? WHERE file_id = ? AND uploaded_ms IS NULL',
    ...[Math.round(clock.utcMs()), fileId],
  );
}
