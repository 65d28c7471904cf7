/**
 * `npm run crash -- [--rounds N] [--cuts N] [--seed S] [--seconds N] [--folder DIR]`: kills agents and camera hosts
 * N times, cuts the power N times, and says what it cost.
 */
import { parseArgs } from 'node:util';
import { killRound } from './kill-round.ts';
import { inLanes } from './lanes.ts';
import { cutPower, recordOnDrive } from './power-round.ts';
import { startRig } from './rig.ts';
import { Summary } from './summary.ts';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '20' },
    cuts: { type: 'string', default: '0' },
    seed: { type: 'string', default: '1' },
    /** How long an agent records before the power is cut at random moments of that time. */
    seconds: { type: 'string', default: '40' },
    /** Keeps what failed rounds left behind. */
    folder: { type: 'string' },
  },
});
const [rounds, cuts, seed, seconds] = [values.rounds, values.cuts, values.seed, values.seconds].map(
  Number,
) as [number, number, number, number];
const worst = (lostMs: readonly number[]): string => `${Math.round(Math.max(...lostMs))} ms lost at most`;

await using rig = await startRig(values.folder);
if (rounds > 0) {
  const summary = new Summary();
  await inLanes(
    rounds,
    (n) => killRound(rig, seed + n),
    (round) => {
      summary.add(round, `seed ${round.seed}`);
      const { killed, lostMs } = round;
      console.log(
        `${summary.rounds}/${rounds} seed ${round.seed}: killed ${killed.join(', ')}; ${worst(lostMs)}`,
      );
    },
  );
  console.log(`kill -9: ${summary.toString()}`);
  if (summary.broken.length > 0) process.exitCode = 1;
}
if (cuts > 0) {
  const summary = new Summary();
  const recording = await recordOnDrive(rig, { seed, seconds });
  await cutPower(rig, recording, cuts, (cut) => {
    summary.add(cut, `seed ${seed}, cut at ${cut.at}`);
    console.log(`${summary.rounds}/${cuts} cut at ${cut.at} of a drive ${cut.kind}; ${worst(cut.lostMs)}`);
  });
  console.log(`power cuts: ${summary.toString()}`);
  if (summary.broken.length > 0) process.exitCode = 1;
}
