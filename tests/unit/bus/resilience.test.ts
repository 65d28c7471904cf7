import { pino } from 'pino';
import { beforeEach, expect, test } from 'vitest';
import type { ScenarioSettings } from '../../../device/contract/settings.ts';
import { ResilienceTester } from '../../../device/bus/index.ts';
import { ManualClock } from '../record/manual-clock.ts';

const scenario = (name: string, topic: string, more: Partial<ScenarioSettings>): ScenarioSettings => ({
  name,
  topic,
  module: null,
  latencyMs: 0,
  dropProbability: 0,
  errorProbability: 0,
  enabled: false,
  ...more,
});
const SCENARIOS = [
  scenario('slow', 'motion.*', { latencyMs: 1000 }),
  scenario('lossy', 'motion.start', { dropProbability: 0.5 }),
  scenario('broken', 'motion.start', { errorProbability: 1 }),
  { ...scenario('slow-storage', '', { latencyMs: 1000 }), topic: null, module: 'modules.storage.*' },
  {
    ...scenario('broken-storage', '', { errorProbability: 1 }),
    topic: null,
    module: 'modules.storage.retention',
  },
];

let clock: ManualClock;
let said: { topic: string; payload: unknown }[];
let tester: ResilienceTester;
let random: () => number;

beforeEach(() => {
  clock = new ManualClock(0);
  said = [];
  random = () => 0.9;
  tester = new ResilienceTester({
    bus: { publish: (topic, payload) => said.push({ topic, payload }) },
    scenarios: SCENARIOS,
    clock,
    log: pino({ enabled: false }),
    random: () => random(),
  });
});

const move = (score: number) => tester.publish('motion.start', { camera_id: 'porch', start_ts: 0, score });
const scores = () =>
  said.flatMap(({ topic, payload }) =>
    topic === 'motion.start' ? (payload as { score: number }).score : [],
  );
const actions = () =>
  said.flatMap(({ topic, payload }) =>
    topic === 'status.resilience.event' ? (payload as { action: string }).action : [],
  );
const turns = async (): Promise<void> => {
  for (let i = 0; i < 10; i++) await new Promise(setImmediate);
};

test('disarmed it does nothing at all', () => {
  move(1);
  expect([scores(), actions()]).toEqual([[1], []]);
  expect(tester.health()).toMatchObject({ status: 'disabled' });
});

test('armed, messages are late but in order, also those that come after it is disarmed', async () => {
  tester.toggle('slow', true);
  move(1);
  move(2);
  tester.toggle('slow', false);
  move(3);
  await turns();
  expect(scores()).toEqual([]);
  clock.advance(1000);
  await turns();
  expect(scores()).toEqual([1, 2, 3]);
  move(4);
  expect(scores()).toEqual([1, 2, 3, 4]);
  expect(actions()).toEqual(['enable', 'latency', 'latency', 'disable']);
});

test('losses and errors happen as often as they should, and are told', () => {
  tester.toggle('lossy', true);
  move(1);
  random = () => 0.4;
  move(2);
  tester.toggle('lossy', false);
  tester.toggle('broken', true);
  move(3);
  expect([scores(), actions()]).toEqual([[1], ['enable', 'drop', 'disable', 'enable', 'error']]);
});

const STORAGE = 'modules.storage.retention';

test('work that is passed to a module comes late and in order; work of others, and topics, are left alone', async () => {
  const done: string[] = [];
  tester.toggle('slow-storage', true);
  tester.pass(STORAGE, () => done.push('first'));
  tester.pass('modules.analytics.db_logger', () => done.push('other'));
  move(1);
  tester.toggle('slow-storage', false);
  tester.pass(STORAGE, () => done.push('second'));
  await turns();
  expect([done, scores()]).toEqual([['other'], [1]]);
  clock.advance(1000);
  await turns();
  expect(done).toEqual(['other', 'first', 'second']);
  expect(said[1]?.payload).toMatchObject({ action: 'latency', topic: null, details: { module: STORAGE } });
});

test('work that somebody waits for comes late, or fails with a code, and is told', async () => {
  const work = async (): Promise<string> => 'done';
  expect(await tester.attempt(STORAGE, work)).toBe('done');
  tester.toggle('slow-storage', true);
  let outcome: string | null = null;
  const late = tester.attempt(STORAGE, work).then((value) => (outcome = value));
  await turns();
  expect([outcome, tester.health().details['delayed']]).toEqual([null, 1]);
  clock.advance(1000);
  await late;
  expect([outcome, tester.health().details['delayed']]).toEqual(['done', 0]);
  tester.toggle('slow-storage', false);
  tester.toggle('broken-storage', true);
  await expect(tester.attempt(STORAGE, work)).rejects.toMatchObject({ code: 'RESILIENCE_INJECTED' });
  expect(actions()).toEqual(['enable', 'latency', 'disable', 'enable', 'error']);
});

test('a jam loses messages instead of keeping them all, and closing lets the rest through', async () => {
  tester.toggle('slow', true);
  for (let i = 0; i < 1500; i++) move(i);
  expect(tester.health().details).toMatchObject({ delayed: 1000 });
  await tester[Symbol.asyncDispose]();
  expect(scores()).toEqual(Array.from({ length: 1000 }, (_, i) => i));
  expect(clock.sleepers).toBe(0);
});

test('an unknown scenario is refused', () => {
  expect(() => tester.toggle('nope', true)).toThrow(expect.objectContaining({ code: 'SCENARIO_UNKNOWN' }));
});

test('what leaves by another way is held up under its name, lost, or let go', async () => {
  tester.toggle('slow', true);
  const { signal } = new AbortController();
  await tester.hold('notify.webhook.send', 'modules.output.webhook_notifier', signal);
  let isFree = false;
  const held = tester
    .hold('motion.send', 'modules.output.webhook_notifier', signal)
    .then(() => (isFree = true));
  await turns();
  expect(isFree).toBe(false);
  clock.advance(1000);
  await held;
  expect(actions()).toEqual(['enable', 'latency']);

  tester.toggle('slow', false);
  tester.toggle('lossy', true);
  random = () => 0.1;
  await expect(tester.hold('motion.start', 'modules.output.webhook_notifier', signal)).rejects.toThrow(
    'lossy',
  );
});
