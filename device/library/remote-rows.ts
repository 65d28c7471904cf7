import type { Store } from './store.ts';

/** Of rows of the ledger: it is still to be sent. */
export const IS_OPEN = `state IN ('local', 'queued', 'uploading')`;

/**
 * Its file here goes. What is in the bucket stays there, and the ledger remembers it. In the transaction of the
 * caller.
 */
export function expireRemote(store: Store, ref: string, nowMs: number): void {
  store.run(
    `UPDATE remote SET state = 'expired', seal = NULL, changed_ms = ? WHERE ref = ? AND state <> 'expired'`,
    ...[nowMs, ref],
  );
}

/** The day (UTC) of a camera has another object in the bucket, or one less. In the transaction of the caller. */
export function touchManifest(store: Store, no: number, nowMs: number): void {
  // Since when it is out of date counts, or a day on which much happens would never get one.
  store.run(
    `INSERT INTO manifest (camera, day, revision, changed_ms)
     SELECT camera, strftime('%Y-%m-%d', start_ms / 1000, 'unixepoch'), 1, ? FROM remote WHERE no = ?
     ON CONFLICT DO UPDATE SET revision = revision + 1,
       changed_ms = CASE WHEN written = revision THEN excluded.changed_ms ELSE changed_ms END`,
    ...[nowMs, no],
  );
}
