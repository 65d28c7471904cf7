import { beforeEach, expect, test } from 'vitest';
import { noMeter, type Meter } from '../../../device/contract/metrics.ts';
import { Mischief } from '../../../device/detect/mischief.ts';
import { StepClock } from '../../harness/step-clock.ts';

const HARMLESS = { latencyMs: 0, dropProbability: 0, errorProbability: 0 };
const look = async (): Promise<string> => 'seen';

let clock: StepClock;
let chance: number;
let drops: unknown[];
let ending: AbortController;
let mischief: Mischief;
beforeEach(() => {
  clock = new StepClock(0);
  chance = 0.5;
  drops = [];
  ending = new AbortController();
  const meter: Meter = { ...noMeter, count: (_, labels) => void drops.push(labels) };
  mischief = new Mischief({ meter, clock, signal: ending.signal, random: () => chance });
});

test('unless it is asked for there is no trouble, and none any more when it is over', async () => {
  expect(await mischief.around(look)).toBe('seen');
  mischief.set({ ...HARMLESS, dropProbability: 1 });
  expect(await mischief.around(look)).toBeNull();
  mischief.set(null);
  expect(await mischief.around(look)).toBe('seen');
  expect(drops).toEqual([{ stage: 'detect', reason: 'resilience' }]);
});

test('looks are lost and fail as often as asked for', async () => {
  mischief.set({ ...HARMLESS, errorProbability: 0.3 });
  expect(await mischief.around(look)).toBe('seen');
  chance = 0.2;
  await expect(mischief.around(look)).rejects.toMatchObject({ code: 'RESILIENCE_INJECTED' });
});

test('a look comes late, or at once when everything ends', async () => {
  mischief.set({ ...HARMLESS, latencyMs: 2000 });
  let seen: string | null = null;
  const late = mischief.around(look).then((result) => (seen = result));
  await clock.advance(1999);
  expect(seen).toBeNull();
  ending.abort();
  expect(await late).toBe('seen');
});
