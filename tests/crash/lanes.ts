import { availableParallelism } from 'node:os';

/** Most of a round is waiting, so there is room for more than one per core. */
const LANES = 2 * availableParallelism();

/** Runs `work` with 0, 1, 2 … in order, several at a time, and hands over results as they come. Ends at the first failure. */
export async function inLanes<T>(
  count: number,
  work: (n: number) => Promise<T>,
  onResult: (result: T) => void,
): Promise<void> {
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < count) onResult(await work(next++));
  };
  const lanes = await Promise.allSettled(Array.from({ length: LANES }, lane));
  const failed = lanes.find(({ status }) => status === 'rejected');
  if (failed?.status === 'rejected') throw failed.reason;
}
