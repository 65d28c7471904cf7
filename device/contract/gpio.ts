/** Lines of GPIO chips: what they are for, and what is wanted of them. Durations are ms. */
import type { ArmMode } from './notify.ts';

export interface LineSettings {
  /** As in /dev: `gpiochip0`. */
  readonly chip: string;
  /** Name or offset of the line on that chip. */
  readonly line: string | number;
  /** A low voltage is what counts as on. */
  readonly isActiveLow: boolean;
  /** `as-is`: as it was. */
  readonly bias: 'as-is' | 'pull-up' | 'pull-down' | 'disabled';
}

/** On and off in turn, so many times; the last off is for good. */
export interface Pattern {
  readonly onMs: number;
  readonly offMs: number;
  readonly times: number;
}

/** A siren, a light. */
export interface GpioOutputSettings extends LineSettings {
  readonly id: string;
  readonly drive: 'push-pull' | 'open-drain' | 'open-source';
  readonly pattern: Pattern;
  /** What one run may be on for, all together, whoever asks for it. */
  readonly maxOnMs: number;
  /** Between two runs, and after a start. */
  readonly restMs: number;
}

export const EDGES = ['rising', 'falling', 'both'] as const;

/** A motion sensor, a button, the contact of a door. */
export interface GpioInputSettings extends LineSettings {
  readonly id: string;
  readonly edge: (typeof EDGES)[number];
  /** The line has to be steady for so long. */
  readonly debounceMs: number;
  /** After it was heard it is not heard again for so long. */
  readonly holdOffMs: number;
  /** What follows; null: not this. */
  readonly event: {
    readonly cameras: readonly string[];
    readonly label: string;
    readonly durationMs: number;
  } | null;
  readonly armMode: ArmMode | null;
  /** Id of an output. */
  readonly pulse: string | null;
}

export interface GpioSettings {
  readonly outputs: readonly GpioOutputSettings[];
  readonly inputs: readonly GpioInputSettings[];
}

/** What became of a request to run an output. */
export interface PulseResult {
  /** false: it ran already, and goes on as it was. */
  readonly started: boolean;
  /** When it is off for good, UTC ms. */
  readonly endUtcMs: number;
}
