import { expect, test } from 'vitest';
import { planChange } from '../../../device/settings/plan.ts';
import { load, refusal } from './config-dir.ts';

const SIREN = { id: 'siren', line: 'GPIO17' };

test('out of the box a siren is on for 10 s, for 30 s at most, and rests', async () => {
  const { settings } = await load({ config: { gpio: { outputs: [SIREN] } } });
  expect(settings.gpio.outputs).toMatchObject([
    {
      ...{
        id: 'siren',
        chip: 'gpiochip0',
        line: 'GPIO17',
        isActiveLow: false,
        maxOnMs: 30_000,
        restMs: 5000,
      },
      pattern: { onMs: 10_000, offMs: 1000, times: 1 },
    },
  ]);
});

test.each([
  [{ outputs: [SIREN, SIREN] }, 'same id twice'],
  [{ outputs: [{ ...SIREN, chip: '/etc/passwd' }] }, 'gpiochip0'],
  [{ outputs: [{ ...SIREN, line: '17=1 --toggle' }] }, 'gpioinfo'],
  [{ outputs: [{ ...SIREN, max_on_seconds: 36_000 }] }, 'max_on_seconds'],
  [{ inputs: [{ id: 'door', line: 4 }] }, 'at least one of event, arm_mode and pulse'],
])('%j is refused', async (gpio, words) => {
  expect((await refusal({ config: { gpio } })).message).toContain(words);
});

test('names of outputs and cameras that are not there are told', async () => {
  const { warnings } = await load({
    config: {
      cameras: [{ camera_id: 'porch', test_pattern: true }],
      gpio: {
        outputs: [SIREN],
        inputs: [{ id: 'door', line: 4, pulse: 'sirene', event: { cameras: ['attic'] } }],
      },
      outputs: { gpio: { outputs: ['light'] } },
    },
  });
  expect(warnings.join('\n')).toMatch(/"light"[\s\S]*"attic"[\s\S]*"sirene"; did you mean siren\?/);
});

test('a change of a line is the business of GPIO alone', async () => {
  const [before, after] = await Promise.all([
    load({ config: { gpio: { outputs: [SIREN] } } }),
    load({ config: { gpio: { outputs: [{ ...SIREN, times: 3 }] } } }),
  ]);
  expect(planChange(before.settings, after.settings)).toEqual({
    steps: [{ kind: 'service', service: 'gpio' }],
    atNextStart: [],
  });
});
