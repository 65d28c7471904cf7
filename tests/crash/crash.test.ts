import { afterAll, beforeAll, expect, test } from 'vitest';
import { startCrashRig, type CrashRig } from './rounds.ts';

const ROUNDS = 20;
/** What the design promises. */
const MAX_MISSING_MS = 1000;

let rig: CrashRig;
beforeAll(async () => {
  rig = await startCrashRig();
});
afterAll(async () => {
  await rig[Symbol.asyncDispose]();
});

test(`after each of ${ROUNDS} kills every file plays, and at most a second of what was received is missing`, async () => {
  let cutShort = 0;
  for (let seed = 1; seed <= ROUNDS; seed++) {
    const { missingMs, recovered } = await rig.round(seed);
    cutShort += recovered;
    for (const ms of missingMs) expect(ms, `seed ${seed}`).toBeLessThanOrEqual(MAX_MISSING_MS);
  }
  expect(cutShort).toBeGreaterThan(ROUNDS / 2);
});
