import fc from 'fast-check';
import { expect, test } from 'vitest';
import { seededRandom } from './seeded-random.ts';
import type { Omission } from './simulated-disk.ts';
import { cutAt, record, type SimulationPlan } from './simulation.ts';
import { LOST_AT_MOST_MS } from './summary.ts';

const plan: fc.Arbitrary<SimulationPlan> = fc.record({
  seed: fc.integer(),
  mode: fc.constantFrom('events', 'continuous', 'motion'),
  gops: fc.array(fc.integer({ min: 5, max: 80 }), { minLength: 3, maxLength: 6 }),
  bFrames: fc.integer({ min: 0, max: 2 }),
  audio: fc.boolean(),
  preRollMs: fc.integer({ min: 0, max: 3000 }),
  maxFileMs: fc.constantFrom(1500, 4000, 600_000),
  openMs: fc.integer({ min: 0, max: 2000 }),
  lastsMs: fc.integer({ min: 0, max: 8000 }),
});

const CUTS_PER_PLAN = 20;

/** The worst of many power cuts; ends at the first that breaks a promise. */
async function cutMany(
  plan: SimulationPlan,
  omits?: Omission,
): Promise<{ lostMs: number; broken: string[] }> {
  const recording = await record(plan, omits);
  const random = seededRandom(plan.seed);
  const worst = { lostMs: 0, broken: [] as string[] };
  for (let n = 0; n < CUTS_PER_PLAN; n++) {
    const { lostMs, broken } = await cutAt(recording, Math.floor(random() * recording.calls.length), random);
    worst.lostMs = Math.max(worst.lostMs, lostMs);
    worst.broken.push(...broken);
  }
  return worst;
}

test('a power cut at any moment costs a second at most, and nothing that was told', async () => {
  let worstMs = 0;
  await fc.assert(
    fc.asyncProperty(plan, async (plan) => {
      const { lostMs, broken } = await cutMany(plan);
      expect(broken).toEqual([]);
      expect(lostMs).toBeLessThanOrEqual(LOST_AT_MOST_MS);
      worstMs = Math.max(worstMs, lostMs);
    }),
    { numRuns: 100 },
  );
  // A cut right before a batch is durable costs nearly all that is allowed: the rig looks at the right moments.
  expect(worstMs).toBeGreaterThan(800);
});

const OMISSIONS: readonly Omission[] = [
  'sync',
  'name of a new file',
  'new name of a file',
  'name of a directory',
];
test.for(OMISSIONS)('a recorder that does not make durable: %s – is caught', async (omission) => {
  const found = await fc.check(
    fc.asyncProperty(plan, async (plan) => {
      const { lostMs, broken } = await cutMany(plan, omission);
      return broken.length === 0 && lostMs <= LOST_AT_MOST_MS;
    }),
    { numRuns: 100, endOnFailure: true },
  );
  expect(found.failed).toBe(true);
});
