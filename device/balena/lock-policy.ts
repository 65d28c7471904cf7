export interface LockState {
  /** Monotonic ms; null: it is not held. */
  readonly heldSinceMs: number | null;
  /** It was held for as long as it may be, and waits for a moment in which nobody wants it. */
  readonly isSpent: boolean;
}

/** A street that is never empty must not keep a device from being updated. */
export const LONGEST_HOLD_MS = 600_000;

export const FREE: LockState = { heldSinceMs: null, isSpent: false };

/** Pure: whether the update lock is to be held from `nowMs` (monotonic) on. */
export function nextLock({ heldSinceMs, isSpent }: LockState, isWanted: boolean, nowMs: number): LockState {
  if (!isWanted) return FREE;
  const isTooLong = heldSinceMs !== null && nowMs - heldSinceMs >= LONGEST_HOLD_MS;
  if (isSpent || isTooLong) return { heldSinceMs: null, isSpent: true };
  return { heldSinceMs: heldSinceMs ?? nowMs, isSpent: false };
}
