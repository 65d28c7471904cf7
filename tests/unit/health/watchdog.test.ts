import { pino } from 'pino';
import { expect, test } from 'vitest';
import { Watchdog } from '../../../device/health/index.ts';
import { ManualClock } from '../record/manual-clock.ts';

const turns = async (): Promise<void> => {
  for (let i = 0; i < 5; i++) await new Promise(setImmediate);
};

test('systemd hears of life only while the work is done', async () => {
  const clock = new ManualClock(0);
  const told: string[] = [];
  let stuck: string | null = null;
  const watchdog = new Watchdog({
    env: { NOTIFY_SOCKET: '/run/systemd/notify', WATCHDOG_USEC: '30000000' },
    stuck: () => stuck,
    clock,
    log: pino({ enabled: false }),
    notify: async (state) => void told.push(state),
  });
  watchdog.start();
  await turns();
  expect(told).toEqual(['READY=1', 'WATCHDOG=1']);
  stuck = 'no frame of camera porch for 60 s';
  clock.advance(10_000);
  await turns();
  expect(told).toHaveLength(2);
  stuck = null;
  clock.advance(10_000);
  await turns();
  await watchdog[Symbol.asyncDispose]();
  expect(told.slice(2)).toEqual(['WATCHDOG=1', 'STOPPING=1']);
  expect(clock.sleepers).toBe(0);
});

test('without systemd nothing is started', async () => {
  const clock = new ManualClock(0);
  const never = async () => expect.fail('nobody listens');
  const watchdog = new Watchdog({
    env: {},
    stuck: () => null,
    clock,
    log: pino({ enabled: false }),
    notify: never,
  });
  watchdog.start();
  await watchdog[Symbol.asyncDispose]();
  expect(clock.sleepers).toBe(0);
});
