import type { Pattern } from '../contract/gpio.ts';

/** Shorter ones a siren does not notice, and a process may be late by as much. */
const SHORTEST_MS = 10;

/**
 * Durations in ms of the levels of one run: on, off, on, …, on, after which it is off. So their number is odd, or 0
 * where nothing is to be on. What is on never adds up to more than `maxOnMs`: the run is cut there. Pure.
 */
export function runOf({ onMs, offMs, times }: Pattern, maxOnMs: number): readonly number[] {
  const run: number[] = [];
  let leftMs = Math.floor(maxOnMs);
  for (let time = 0; time < times; time++) {
    const thisMs = Math.min(Math.floor(onMs), leftMs);
    if (thisMs < SHORTEST_MS) break;
    if (time > 0) run.push(Math.max(SHORTEST_MS, Math.ceil(offMs)));
    run.push(thisMs);
    leftMs -= thisMs;
  }
  return run;
}

/** From its first to its last moment. */
export const lengthOf = (run: readonly number[]): number => run.reduce((sum, ms) => sum + ms, 0);
