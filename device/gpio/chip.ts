import { stat } from 'node:fs/promises';
import type { Clock } from '../kernel/clock.ts';

const LOOK_EVERY_MS = 2000;

/** What is at the chip's path now; null: nothing. */
const identityOf = async (chip: string): Promise<string | null> => {
  try {
    const { ino, rdev } = await stat(`/dev/${chip}`);
    return `${ino}/${rdev}`;
  } catch {
    return null;
  }
};

/**
 * Resolves when the chip at this path is not the one it was, or when `signal` aborts: a tool that holds a line does not
 * notice that the chip is gone.
 */
export async function untilReplaced(chip: string, clock: Clock, signal: AbortSignal): Promise<void> {
  const before = await identityOf(chip);
  while (!signal.aborted) {
    await clock.sleep(LOOK_EVERY_MS, signal).catch(() => {});
    if (!signal.aborted && (await identityOf(chip)) !== before) return;
  }
}
