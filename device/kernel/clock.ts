import { setTimeout as delay } from 'node:timers/promises';

/** The two clocks and the only sleep. Monotonic time never jumps and has no meaning across processes. */
export interface Clock {
  utcMs(): number;
  monotonicMs(): number;
  /** Resolves after `ms`; rejects with the signal's reason when aborted. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

export const systemClock: Clock = {
  utcMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  sleep: (ms, signal) => delay(ms, undefined, signal ? { signal } : {}),
};
