import { pino } from 'pino';
import { beforeEach, expect, test } from 'vitest';
import type { ScenarioSettings } from '../../../device/contract/settings.ts';
import { ResilienceTester } from '../../../device/bus/index.ts';
import { ManualClock } from '../record/manual-clock.ts';

const scenario = (name: string, topic: string, more: Partial<ScenarioSettings>): ScenarioSettings => ({
  name,
  topic,
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
  await tester.hold('notify.webhook.send', signal);
  let isFree = false;
  const held = tester.hold('motion.send', signal).then(() => (isFree = true));
  await turns();
  expect(isFree).toBe(false);
  clock.advance(1000);
  await held;
  expect(actions()).toEqual(['enable', 'latency']);

  tester.toggle('slow', false);
  tester.toggle('lossy', true);
  random = () => 0.1;
  await expect(tester.hold('motion.start', signal)).rejects.toThrow('lossy');
});
