import { expect, test } from 'vitest';
import { createSealer, patternOf } from '../../../device/bus/sealer.ts';
import { envelope, type Payload } from '../../../device/contract/topics.ts';

const clock = { utcMs: () => 1_700_000_000_000, monotonicMs: () => 0, sleep: async () => {} };
const motion = { camera_id: 'porch', start_ts: 1, score: 0.5 };

test('a message carries version, time, and a number per topic from 1', () => {
  const seal = createSealer(clock);
  const down = { state: 'down', model: null, backend: null, reason: null } as const;
  const numbers = [
    seal('motion.start', motion),
    seal('motion.start', motion),
    seal('status.detector', down),
    seal('motion.start', motion),
  ].map(({ json }) => envelope.parse(JSON.parse(json)));
  expect(numbers.map(({ seq }) => seq)).toEqual([1, 2, 1, 3]);
  expect(numbers.every(({ ts, schema }) => ts === 1_700_000_000_000 && schema === '1.0.0')).toBe(true);
});

test('what the table does not know stays here', () => {
  const payload = { ...motion, internalPath: '/secret' };
  expect(JSON.parse(createSealer(clock)('motion.start', payload).json)).not.toHaveProperty('internalPath');
});

test('a payload that does not fit is refused with the fields, and uses up no number', () => {
  const seal = createSealer(clock);
  const broken = { ...motion, start_ts: 'now' } as unknown as Payload<'motion.start'>;
  expect(() => seal('motion.start', broken)).toThrow(
    expect.objectContaining({ code: 'PAYLOAD_INVALID', message: expect.stringContaining('start_ts') }),
  );
  expect(() => seal('motion.start', { ...motion, score: Number.NaN })).toThrow('score');
  expect(JSON.parse(seal('motion.start', motion).json)).toMatchObject({ seq: 1 });
});

test.each([
  ['event.new', 'event.new'],
  ['status.camera.porch', 'status.camera.*'],
  ['status.camera.*', null],
  ['status.camera.', null],
  ['status.camera.a.b', null],
  ['status.camera.a/b', null],
  ['event', null],
  ['toString', null],
])('the table has %s as %s', (topic, pattern) => {
  expect(patternOf(topic)).toBe(pattern);
});
