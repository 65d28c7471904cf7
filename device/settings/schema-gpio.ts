/** The section `gpio` of config.yaml: sirens and lights, sensors and buttons. */
import { z } from 'zod';
import { EDGES } from '../contract/gpio.ts';
import { ARM_MODES } from '../contract/notify.ts';
import { help, id, whole, words } from './fields.ts';

/** Shorter ones are no use to anybody, and a process is late by as much. */
const SHORTEST_S = 0.05;
const MAX_LINES = 16;

const line = {
  id: id.meta(help('By which it is named elsewhere')),
  chip: z
    .string()
    .regex(/^gpiochip\d{1,3}$/, 'must be like gpiochip0')
    .default('gpiochip0')
    .meta(help('As `gpiodetect` lists it')),
  line: z
    .union([
      whole(0, 1023),
      z.string().regex(/^[\w.:+-]{1,31}$/, 'must be a number, or a name that `gpioinfo` lists'),
    ])
    .meta(help('Name (GPIO17) or number on the chip, not the number of a pin')),
  active_low: z.boolean().default(false).meta(help('A low voltage is what counts as on')),
  bias: z
    .enum(['as-is', 'pull-up', 'pull-down', 'disabled'])
    .default('as-is')
    .meta(help('Resistor inside the chip')),
};

const output = z.strictObject({
  ...line,
  drive: z
    .enum(['push-pull', 'open-drain', 'open-source'])
    .default('push-pull')
    .meta(help('What the line does by itself')),
  on_seconds: z.number().min(SHORTEST_S).max(3600).default(10).meta(help('How long it is on at a time')),
  off_seconds: z.number().min(SHORTEST_S).max(3600).default(1).meta(help('And off between')),
  times: whole(1, 1000).default(1).meta(help('How often; more than once: it blinks')),
  max_on_seconds: z
    .number()
    .min(SHORTEST_S)
    .max(3600)
    .default(30)
    .meta(help('One run is never on for longer in all, whoever asks, and whatever becomes of the agent')),
  rest_seconds: z
    .number()
    .min(0)
    .max(3600)
    .default(5)
    .meta(help('Off for at least so long between two runs, and after a start')),
});

const input = z
  .strictObject({
    ...line,
    edge: z.enum(EDGES).default('rising').meta(help('What counts: it becomes active (rising), or inactive')),
    debounce_ms: whole(1, 60_000).default(50).meta(help('It has to be steady for so long')),
    hold_off_seconds: z.number().min(0).max(3600).default(2).meta(help('Then it is not heard for so long')),
    event: z
      .strictObject({
        cameras: z.array(id).min(1).max(16).meta(help('Which ones record it')),
        label: words.default('trigger').meta(help('What it is called')),
        seconds: z.number().min(1).max(60).default(10).meta(help('How long it lasts')),
      })
      .nullish()
      .meta(help('An event of these cameras, with clip and messages')),
    arm_mode: z.enum(ARM_MODES).nullish().meta(help('Switches to this arm mode')),
    pulse: id.nullish().meta(help('Runs this output')),
  })
  .refine(({ event, arm_mode, pulse }) => event || arm_mode || pulse, {
    error: 'needs at least one of event, arm_mode and pulse',
    when: ({ value }) => typeof value === 'object' && value !== null,
  });

const distinct = (items: readonly { readonly id?: unknown }[]): boolean =>
  new Set(items.map((item) => item.id)).size === items.length;

export const gpio = z.strictObject({
  outputs: z
    .array(output)
    .max(MAX_LINES)
    .refine(distinct, 'has the same id twice')
    .default([])
    .meta(help('Sirens and lights, by way of a relay or transistor; see device/design/gpio.md')),
  inputs: z
    .array(input)
    .max(MAX_LINES)
    .refine(distinct, 'has the same id twice')
    .default([])
    .meta(help('Motion sensors, buttons, contacts of doors')),
});
