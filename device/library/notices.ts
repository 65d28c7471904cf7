import { ERRORS, type ErrorCode } from '../contract/errors.ts';
import type { Attempt, AttemptRecord, Notice } from '../contract/notify.ts';
import type { LibraryContext } from './context.ts';
import { outboxDone } from './outbox.ts';

/** One step of whoever sends messages: all of it is durable, or nothing. */
export interface NoticeChange {
  readonly lane: string;
  /** Items of the outbox that the notices below have taken up. */
  readonly done: { readonly consumer: string; readonly nos: readonly number[] };
  readonly notices: readonly { readonly notice: Notice; readonly isOpen: boolean }[];
  readonly attempts: readonly Attempt[];
}

export function commitNotices(context: LibraryContext, change: NoticeChange): void {
  const { store, clock } = context;
  const { lane, done, notices, attempts } = change;
  store.transaction(() => {
    outboxDone(context, done);
    for (const { notice, isOpen } of notices) {
      store.run(
        `INSERT INTO notice VALUES (?, ?, ?, ?, ?) ON CONFLICT (lane, notice_id) DO UPDATE SET
         changed_ms = excluded.changed_ms, is_open = excluded.is_open, state = excluded.state`,
        ...[lane, notice.noticeId, Math.round(clock.utcMs()), isOpen ? 1 : 0, JSON.stringify(notice)],
      );
    }
    for (const { noticeId, atUtcMs, outcome, action, tries, reason } of attempts) {
      store.run(
        `INSERT INTO attempt (lane, notice_id, at_ms, outcome, action, tries, code, message)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
        ...[lane, noticeId, Math.round(atUtcMs), outcome, action, tries],
        ...[reason?.code ?? null, reason?.message ?? null],
      );
    }
  });
}

/** Those that are not finished, oldest first. */
export function openNotices({ store }: LibraryContext, { lane }: { lane: string }): readonly Notice[] {
  return store
    .all<{ state: string }>('SELECT state FROM notice WHERE lane = ? AND is_open ORDER BY rowid', lane)
    .map(({ state }) => JSON.parse(state) as Notice);
}

interface AttemptRow {
  readonly lane: string;
  readonly notice_id: string;
  readonly at_ms: number;
  readonly outcome: Attempt['outcome'];
  readonly action: Attempt['action'];
  readonly tries: number;
  readonly code: ErrorCode | null;
  readonly message: string | null;
}

/** The journal, newest first. */
export function listAttempts(
  { store }: LibraryContext,
  { limit }: { limit: number },
): readonly AttemptRecord[] {
  return store
    .all<AttemptRow>('SELECT * FROM attempt ORDER BY no DESC LIMIT ?', limit)
    .map(({ lane, notice_id, at_ms, outcome, action, tries, code, message }) => ({
      lane,
      noticeId: notice_id,
      atUtcMs: at_ms,
      outcome,
      action,
      tries,
      reason: code && { code, message: message ?? '', advice: ERRORS[code].advice },
    }));
}

/** Forgets finished notices that did not change since `beforeUtcMs`, and all but the newest `keepAttempts` lines. */
export function pruneNotices(
  { store }: LibraryContext,
  { beforeUtcMs, keepAttempts }: { beforeUtcMs: number; keepAttempts: number },
): void {
  store.transaction(() => {
    store.run('DELETE FROM notice WHERE NOT is_open AND changed_ms < ?', Math.round(beforeUtcMs));
    store.run('DELETE FROM attempt WHERE no <= (SELECT max(no) FROM attempt) - ?', keepAttempts);
  });
}
