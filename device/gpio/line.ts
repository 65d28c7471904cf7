import type { LineSettings } from '../contract/gpio.ts';
import type { Meter } from '../contract/metrics.ts';
import type { Clock } from '../kernel/clock.ts';
import type { Log } from '../kernel/log.ts';

export interface LineOptions {
  /** In which the tools of libgpiod are found. */
  readonly path: string;
  readonly meter: Meter;
  readonly clock: Clock;
  readonly log: Log;
}

/** For a line that cannot be had: hardware comes back by itself. */
export const RETRY = { firstMs: 500, maxMs: 10_000 } as const;

/** Options that all tools of libgpiod share. `gpioinfo` shows the id. */
export const lineArguments = (
  { bias, chip, isActiveLow, line }: LineSettings,
  id: string,
): readonly string[] => [
  ...['--chip', chip, '--consumer', `spyoncino-${id}`],
  ...(typeof line === 'string' ? ['--by-name'] : []),
  ...(isActiveLow ? ['--active-low'] : []),
  ...(bias === 'as-is' ? [] : ['--bias', bias]),
];
