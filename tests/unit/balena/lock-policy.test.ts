import fc from 'fast-check';
import { expect, test } from 'vitest';
import { FREE, LONGEST_HOLD_MS, nextLock, type LockState } from '../../../device/balena/lock-policy.ts';

const SECOND_MS = 1000;

test('it is held when somebody wants it, never longer than it may be, and never when nobody does', () => {
  fc.assert(
    fc.property(fc.array(fc.boolean(), { maxLength: 2000 }), (wishes) => {
      let state: LockState = FREE;
      let held = 0;
      for (const [second, isWanted] of wishes.entries()) {
        state = nextLock(state, isWanted, second * SECOND_MS);
        held = state.heldSinceMs === null ? 0 : held + 1;
        expect(held * SECOND_MS).toBeLessThanOrEqual(LONGEST_HOLD_MS);
        if (!isWanted) expect(state).toEqual(FREE);
      }
    }),
  );
});

test('after the longest hold it stays free until nobody wanted it for a moment', () => {
  let state = nextLock(FREE, true, 0);
  expect(state.heldSinceMs).toBe(0);
  state = nextLock(state, true, LONGEST_HOLD_MS);
  expect(state.heldSinceMs).toBeNull();
  state = nextLock(state, true, LONGEST_HOLD_MS + 1);
  expect(state.heldSinceMs).toBeNull();
  state = nextLock(nextLock(state, false, LONGEST_HOLD_MS + 2), true, LONGEST_HOLD_MS + 3);
  expect(state.heldSinceMs).toBe(LONGEST_HOLD_MS + 3);
});
