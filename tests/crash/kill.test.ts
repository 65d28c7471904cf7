import { expect, test } from 'vitest';
import { killRound } from './kill-round.ts';
import { inLanes } from './lanes.ts';
import { startRig } from './rig.ts';
import { Summary } from './summary.ts';

const ROUNDS = 200;

test(`kill -9 of camera hosts and agents, ${ROUNDS} rounds`, { timeout: 20 * 60_000 }, async () => {
  await using rig = await startRig();
  const summary = new Summary();
  await inLanes(
    ROUNDS,
    (n) => killRound(rig, n + 1),
    (round) => summary.add(round, `seed ${round.seed}`),
  );
  console.log(summary.toString());
  expect(summary.broken).toEqual([]);
  expect(summary.keptPromise).toBeGreaterThan(0.95);
  // Kills have met files that grow, and some of what was not durable yet.
  expect(summary.recovered).toBeGreaterThan(ROUNDS / 2);
  expect(summary.worstMs).toBeGreaterThan(0);
});
