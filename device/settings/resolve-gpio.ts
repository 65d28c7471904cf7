import type { GpioInputSettings, GpioOutputSettings, GpioSettings } from '../contract/gpio.ts';
import type { Config } from './schema.ts';

type Configured = Config['gpio'];

export const resolveGpio = ({ outputs, inputs }: Configured): GpioSettings => ({
  outputs: outputs.map(resolveOutput),
  inputs: inputs.map(resolveInput),
});

const resolveOutput = (output: Configured['outputs'][number]): GpioOutputSettings => ({
  ...lineOf(output),
  drive: output.drive,
  pattern: { onMs: output.on_seconds * 1000, offMs: output.off_seconds * 1000, times: output.times },
  maxOnMs: output.max_on_seconds * 1000,
  restMs: output.rest_seconds * 1000,
});

const resolveInput = (input: Configured['inputs'][number]): GpioInputSettings => ({
  ...lineOf(input),
  edge: input.edge,
  debounceMs: input.debounce_ms,
  holdOffMs: input.hold_off_seconds * 1000,
  event: input.event
    ? {
        cameras: input.event.cameras,
        label: input.event.label,
        durationMs: input.event.seconds * 1000,
      }
    : null,
  armMode: input.arm_mode ?? null,
  pulse: input.pulse ?? null,
});

const lineOf = ({ active_low, bias, chip, id, line }: Configured['outputs' | 'inputs'][number]) => ({
  ...{ id, chip, line, bias },
  isActiveLow: active_low,
});
