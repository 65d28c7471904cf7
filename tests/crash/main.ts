/** `npm run crash -- --rounds N [--seed N] [--folder DIR]`: kills recorders and says what it cost. */
import { parseArgs } from 'node:util';
import { startCrashRig } from './rounds.ts';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '20' },
    seed: { type: 'string', default: '1' },
    /** Keeps what a failed round left behind. */
    folder: { type: 'string' },
  },
});

await using rig = await startCrashRig(values.folder);
const missing: number[] = [];
let [finished, recovered] = [0, 0];
for (let round = 0; round < Number(values.rounds); round++) {
  const result = await rig.round(Number(values.seed) + round);
  missing.push(...result.missingMs);
  finished += result.finished;
  recovered += result.recovered;
  const worst = Math.max(0, ...result.missingMs);
  console.log(
    `round ${round + 1}: killed after ${(result.killedAfterMs / 1000).toFixed(1)} s, ` +
      `${result.finished} clips finished, ${result.recovered} recovered, ${worst.toFixed(0)} ms missing at most`,
  );
}
const sorted = missing.toSorted((a, b) => a - b);
const median = sorted[Math.floor(sorted.length / 2)] ?? 0;
console.log(
  `${values.rounds} rounds, ${finished} clips finished, ${recovered} recovered; ` +
    `missing footage: median ${median.toFixed(0)} ms, worst ${(sorted.at(-1) ?? 0).toFixed(0)} ms per camera`,
);
