import { expect, test } from 'vitest';
import { requirePackages } from '../harness/packages.ts';
import { crashOnce, randomNumbers } from './rig.ts';

requirePackages(['ffmpeg']);

const ROUNDS = 20;
/** DESIGN §6.1. */
const LOST_AT_MOST_MS = 1000;

test(`capture and recorder killed ${ROUNDS} times: every file plays, at most a second is missing`, async () => {
  const random = randomNumbers(20_260_101);
  for (let n = 1; n <= ROUNDS; n++) {
    const round = await crashOnce(random.next().value, `r${n}`);
    expect(round.complaints).toBe('');
    expect(round.lostMs, `killed ${round.killedAfterMs} ms after the first footage`).toBeLessThanOrEqual(
      LOST_AT_MOST_MS,
    );
    expect(round.recovered).toMatchObject({ recovered: true, clip: { eventIds: [`event-r${n}`] } });
    expect(round.filesAfter).toBe(round.filesBefore);
  }
});
