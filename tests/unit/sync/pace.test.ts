import { expect, test } from 'vitest';
import { Pace } from '../../../device/sync/pace.ts';

test('several uploads together get no more than the bandwidth', async () => {
  let nowMs = 0;
  const clock = {
    utcMs: () => nowMs,
    monotonicMs: () => nowMs,
    async sleep(ms: number) {
      nowMs += ms;
    },
  };
  const pace = new Pace(100_000, clock);
  const take = async (bytes: Buffer): Promise<Buffer> => {
    const chunks: Buffer[] = [];
    for await (const chunk of pace.chunks(bytes, new AbortController().signal)) chunks.push(chunk);
    return Buffer.concat(chunks);
  };
  const [a, b] = [Buffer.alloc(100_000, 1), Buffer.alloc(100_000, 2)];
  expect(await Promise.all([take(a), take(b)])).toEqual([a, b]);
  // The last chunk is let through when its turn comes, not when it would be over.
  expect(nowMs).toBeGreaterThan(1800);
});
