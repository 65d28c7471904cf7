import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { WEEKDAYS } from '../../../device/contract/notify.ts';
import type { Payload } from '../../../device/contract/topics.ts';
import { ArmKeeper, type ArmSettings } from '../../../device/notify/arm.ts';
import { StepClock } from '../../harness/step-clock.ts';
import { NOON_MS, silent } from '../library/rig.ts';

const HOUR_MS = 3_600_000;
const PLACE = { timeZone: 'UTC', location: null };
const at = (hours: number) => ({ from: 'midnight', minutes: hours * 60 }) as const;
const NIGHTLY: ArmSettings = {
  place: PLACE,
  armSwitches: [
    { days: WEEKDAYS, at: at(22), mode: 'night' },
    { days: WEEKDAYS, at: at(7), mode: 'home' },
  ],
};

let stateDir: string;
let clock: StepClock;
let said: Payload<'status.arm'>[];
const open: ArmKeeper[] = [];

beforeEach(async () => {
  stateDir = await mkdtemp(join(tmpdir(), 'spyoncino-arm-'));
  clock = new StepClock(NOON_MS);
  said = [];
});
afterEach(async () => {
  await Promise.all(open.splice(0).map((keeper) => keeper.stop()));
  await rm(stateDir, { recursive: true });
});

async function keeper(settings: ArmSettings = { place: PLACE, armSwitches: [] }): Promise<ArmKeeper> {
  const made = await ArmKeeper.open({
    stateDir,
    settings,
    publish: (state) => said.push(state),
    clock,
    log: silent,
  });
  open.push(made);
  return made;
}

test('a mode lasts over restarts, and is told with who set it', async () => {
  const first = await keeper();
  expect(first.state).toMatchObject({ mode: 'home', by: 'default' });
  await first.set('away', 'ada');
  expect(said.at(-1)).toEqual({
    ...{ mode: 'away', since_ts: NOON_MS, by: 'ada', muted_until_ts: null, next: null },
  });
  expect((await keeper()).state).toMatchObject({ mode: 'away', by: 'ada' });
  expect((await stat(join(stateDir, 'arm.json'))).mode & 0o777).toBe(0o600);
});

test('an event is judged by how things stood when it began', async () => {
  const arm = await keeper();
  await arm.set('disarmed', 'ada');
  clock = new StepClock(NOON_MS + HOUR_MS);
  const next = await keeper();
  await next.set('away', 'ada');
  await next.mute(600_000);
  expect(next.at(NOON_MS + 1).mode).toBe('disarmed');
  expect(next.at(NOON_MS + HOUR_MS + 1)).toMatchObject({ mode: 'away', isMuted: true });
  expect(next.at(NOON_MS + HOUR_MS + 600_000).isMuted).toBe(false);
  await next.mute(0);
  expect(next.at(NOON_MS + HOUR_MS + 1).isMuted).toBe(false);
});

test('the schedule switches at its hours, and a person in between', async () => {
  const arm = await keeper(NIGHTLY);
  arm.start();
  await clock.advance(0);
  expect(arm.state).toMatchObject({ mode: 'home', next: { ts: NOON_MS + 10 * HOUR_MS, mode: 'night' } });
  await arm.set('away', 'ada');
  await clock.advance(9 * HOUR_MS);
  expect(arm.state.mode).toBe('away');
  await clock.advance(HOUR_MS);
  expect(arm.state).toMatchObject({ mode: 'night', by: 'schedule' });
  await clock.advance(9 * HOUR_MS);
  expect(arm.state.mode).toBe('home');
});

test('a switch that came while the agent was off is made up for; one before the last change is not', async () => {
  const before = await keeper(NIGHTLY);
  await before.set('away', 'ada');
  clock = new StepClock(NOON_MS + HOUR_MS);
  const same = await keeper(NIGHTLY);
  same.start();
  await clock.advance(0);
  expect(same.state.mode).toBe('away');
  clock = new StepClock(NOON_MS + 11 * HOUR_MS);
  const late = await keeper(NIGHTLY);
  late.start();
  await clock.advance(1);
  expect(late.state).toMatchObject({ mode: 'night', by: 'schedule' });
});

test('a file that cannot be read does not silence the device', async () => {
  await writeFile(join(stateDir, 'arm.json'), '{"mode":');
  expect((await keeper()).at(NOON_MS)).toMatchObject({ mode: 'home', isMuted: false });
});
