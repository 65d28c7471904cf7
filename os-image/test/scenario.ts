import type { Target } from '../build/targets.ts';

/** A part of `scripts/test-image`: what it needs is flashed and booted by itself, so that each can be run alone. */
export interface Scenario {
  readonly name: string;
  /** Whose image it wants; that of `qemu-arm64` if nothing is said. */
  readonly target?: Target['name'];
  /** A line for `--help`. */
  readonly about: string;
  /** Only if it is named. */
  readonly isExtra?: boolean;
  /** @throws Error at the first thing that is not as it should be */
  run(stage: Stage): Promise<void>;
}

/** Says that something was shown just now. */
export type Shown = (what: string) => void;

/** Of the command line, for the power cuts. */
export interface CutOptions {
  /** At least so many are looked at. */
  readonly cuts: number;
  /** And at least so many of them booted. */
  readonly booted: number;
  readonly seed: number;
  /** Those of the life that was recorded last. */
  readonly again: boolean;
}

export interface Stage {
  readonly shown: Shown;
  readonly options: CutOptions;
}
