import { fileURLToPath } from 'node:url';
import { afterEach, expect, test } from 'vitest';
import { SupervisedChild, type ChildExit } from '../../../device/kernel/child.ts';
import { systemClock, type Clock } from '../../../device/kernel/clock.ts';
import { createLog } from '../../../device/kernel/log.ts';

interface Command {
  readonly type: 'hello' | 'crash' | 'deaf' | 'stop';
}
interface Answer {
  readonly type: string;
  readonly pid?: number;
  readonly secret?: string | null;
}

const entry = fileURLToPath(new URL('./fixtures/child.ts', import.meta.url));
const log = createLog({ name: 'test', level: 'silent' });

/** Waits in the supervisor end at once; what they were is kept. */
function hastyClock(): Clock & { slept: number[] } {
  const slept: number[] = [];
  return {
    ...systemClock,
    slept,
    sleep(ms, signal) {
      slept.push(ms);
      return systemClock.sleep(0, signal);
    },
  };
}

function supervise(clock: Clock, drainMs = 5000) {
  const answers: (Answer & { generation: number })[] = [];
  const exits: ChildExit[] = [];
  let wake = Promise.withResolvers<void>();
  const child = new SupervisedChild<Command, Answer>({
    name: 'fixture',
    entry,
    log,
    clock,
    greet: () => ({ type: 'hello' }),
    stopCommand: { type: 'stop' },
    drainMs,
    onMessage: (answer, generation) => {
      answers.push({ ...answer, generation });
      wake.resolve();
    },
    onExit: (exit) => {
      exits.push(exit);
      wake.resolve();
    },
  });
  running.push(child);
  const until = async (condition: () => boolean): Promise<void> => {
    while (!condition()) {
      await wake.promise;
      wake = Promise.withResolvers();
    }
  };
  return { child, answers, exits, until };
}

const running: { stop(): Promise<void> }[] = [];
afterEach(async () => {
  await Promise.all(running.splice(0).map((child) => child.stop()));
});

test('a killed child is replaced by the next generation, after the first backoff delay', async () => {
  const clock = hastyClock();
  const { child, answers, exits, until } = supervise(clock);
  child.start();
  await until(() => answers.length === 1);
  child.send({ type: 'crash' });
  await until(() => answers.length === 2);
  expect(exits).toMatchObject([{ generation: 1, signal: 'SIGKILL', expected: false }]);
  expect(answers.map(({ generation }) => generation)).toEqual([1, 2]);
  expect(answers[0]!.pid).not.toBe(answers[1]!.pid);
  expect(clock.slept[0]).toBeGreaterThanOrEqual(250);
  expect(clock.slept[0]).toBeLessThanOrEqual(500);
});

test('stop lets the child finish by itself, and no other follows', async () => {
  const { child, answers, exits, until } = supervise(systemClock);
  child.start();
  await until(() => answers.length === 1);
  await child.stop();
  expect(exits).toMatchObject([{ code: 0, signal: null, expected: true, retryInMs: null }]);
  expect(child.pid).toBeNull();
  expect(child.send({ type: 'hello' })).toBe(false);
  await child.stop();
});

test('a child that does not finish in time is killed', async () => {
  const { child, answers, exits, until } = supervise(systemClock, 50);
  child.start();
  await until(() => answers.length === 1);
  child.send({ type: 'deaf' });
  await until(() => answers.length === 2);
  await child.stop();
  expect(exits).toMatchObject([{ signal: 'SIGKILL', expected: true }]);
});

test('settings of the environment, which may be secret, stay out of the child', async () => {
  process.env.SPYONCINO_SECRET = 'hunter2';
  try {
    const { child, answers, until } = supervise(systemClock);
    child.start();
    await until(() => answers.length === 1);
    expect(answers[0]!.secret).toBeNull();
  } finally {
    delete process.env.SPYONCINO_SECRET;
  }
});

test('a restarted child ends politely, and the next starts without delay', async () => {
  const { child, answers, exits, until } = supervise(systemClock);
  child.start();
  await until(() => answers.length === 1);
  child.restart();
  child.restart();
  await until(() => answers.length === 2);
  expect(exits).toMatchObject([{ generation: 1, code: 0, expected: true, retryInMs: 0 }]);
  child.send({ type: 'crash' });
  await until(() => answers.length === 3);
  expect(exits[1]).toMatchObject({ generation: 2, signal: 'SIGKILL', expected: false });
  expect(exits[1]!.retryInMs).toBeGreaterThan(0);
});
