/** What the test of the image takes for a power cut is one: nothing durable is lost, nothing is invented. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { seededRandom } from '../../crash/seeded-random.ts';
import { applyCut, cutPower, powerCuts, SECTOR_BYTES, type CutWay } from '../../harness/nbd/crash-images.ts';
import type { DiskOp } from '../../harness/nbd/disk-log.ts';

const SECTORS = 8;

/** Each write fills its sectors with its number in the log, plus one; 0 is what the disk began with. */
type Written = Extract<DiskOp, { kind: 'write' }>;

const change = fc.record({
  kind: fc.constantFrom('write' as const, 'write' as const, 'zero' as const),
  first: fc.nat({ max: SECTORS - 1 }),
  sectors: fc.integer({ min: 1, max: 4 }),
  isDurable: fc.boolean(),
});
const step = fc.oneof(
  { weight: 6, arbitrary: change },
  { weight: 2, arbitrary: fc.constant({ kind: 'flush' as const }) },
  {
    weight: 1,
    arbitrary: fc.constantFrom('install', 'boot').map((label) => ({ kind: 'mark' as const, label })),
  },
);
const logs = fc.array(step, { maxLength: 24 }).map((steps): readonly DiskOp[] =>
  steps.map((each, at): DiskOp => {
    if (each.kind === 'flush' || each.kind === 'mark') return each;
    const { first, isDurable, kind } = each;
    const length = Math.min(each.sectors, SECTORS - first) * SECTOR_BYTES;
    const offset = first * SECTOR_BYTES;
    return kind === 'zero' ? { kind, offset, length, isDurable } : { kind, offset, length, at, isDurable };
  }),
);

async function leftBy(ops: readonly DiskOp[], cut: ReturnType<typeof cutPower>): Promise<Buffer> {
  const disk = Buffer.alloc(SECTORS * SECTOR_BYTES);
  await applyCut(ops, cut, async ({ at, length }: Written) => Buffer.alloc(length, at + 1), {
    async write(offset, data) {
      disk.set(data, offset);
    },
  });
  return disk;
}

/** What sector `at` may hold after a cut at `cutAt`, by the rules of a disk with a cache. */
function allowed(ops: readonly DiskOp[], cutAt: number, at: number): ReadonlySet<number> {
  const lastFlush = ops.slice(0, cutAt).findLastIndex(({ kind }) => kind === 'flush');
  let values = new Set([0]);
  for (const [index, op] of ops.slice(0, cutAt + 1).entries()) {
    if (op.kind === 'flush' || op.kind === 'mark') continue;
    const offset = at * SECTOR_BYTES;
    if (offset < op.offset || offset >= op.offset + op.length) continue;
    const value = op.kind === 'write' ? op.at + 1 : 0;
    const isCertain = index < cutAt && (index < lastFlush || op.isDurable);
    values = isCertain ? new Set([value]) : values.add(value);
  }
  return values;
}

const sectorsIn = (disk: Buffer): readonly (readonly number[])[] =>
  Array.from({ length: SECTORS }, (_, at) => [
    ...new Set(disk.subarray(at * SECTOR_BYTES, (at + 1) * SECTOR_BYTES)),
  ]);

test.each(['prefix', 'lost', 'mixed'] as const)(
  '%s: every sector is whole, and holds what it may',
  async (way: CutWay) => {
    await fc.assert(
      fc.asyncProperty(logs, fc.nat(), fc.integer(), async (ops, position, seed) => {
        const cutAt = position % (ops.length + 1);
        const disk = await leftBy(ops, cutPower(ops, cutAt, way, seededRandom(seed)));
        for (const [at, values] of sectorsIn(disk).entries()) {
          expect(values).toHaveLength(1);
          expect(allowed(ops, cutAt, at)).toContain(values[0]);
        }
      }),
      { numRuns: 300 },
    );
  },
);

test('every allowed content of a sector comes about', async () => {
  const write = (at: number, isDurable = false): DiskOp => ({
    ...{ kind: 'write' as const, offset: 0, length: 2 * SECTOR_BYTES, at, isDurable },
  });
  const ops: readonly DiskOp[] = [write(0), { kind: 'flush' }, write(2), write(3), write(4)];
  const random = seededRandom(7);
  const seen = new Set<string>();
  for (let tries = 0; tries < 500; tries++) {
    const disk = await leftBy(ops, cutPower(ops, 4, 'mixed', random));
    seen.add(sectorsIn(disk).slice(0, 2).join());
  }
  // First sectors of a write come before its last: 1 from before the flush, then 3, 4 and 5.
  expect([...seen].sort()).toEqual(['1,1', '3,1', '3,3', '4,1', '4,3', '4,4', '5,1', '5,3', '5,4', '5,5']);
});

test('after the last flush of a quiet disk there is one content only', async () => {
  await fc.assert(
    fc.asyncProperty(logs, fc.integer(), async (ops, seed) => {
      const quiet: readonly DiskOp[] = [...ops, { kind: 'flush' }];
      const all = await leftBy(quiet, cutPower(quiet, quiet.length, 'prefix', seededRandom(seed)));
      for (const way of ['lost', 'mixed'] as const) {
        expect(await leftBy(quiet, cutPower(quiet, quiet.length, way, seededRandom(seed)))).toEqual(all);
      }
    }),
  );
});

test('cuts are spread over the log, or over what lies between two marks, and the same for the same seed', () => {
  const ops: DiskOp[] = Array.from({ length: 100 }, (_, at) => ({
    ...{ kind: 'write' as const, offset: 0, length: SECTOR_BYTES, at, isDurable: false },
  }));
  ops.splice(30, 0, { kind: 'mark', label: 'install' });
  ops.splice(60, 0, { kind: 'mark', label: 'boot' });
  const cuts = (seed: number, within?: string) => [
    ...powerCuts(ops, { count: 20, random: seededRandom(seed), ...(within === undefined ? {} : { within }) }),
  ];
  expect(cuts(1)).toEqual(cuts(1));
  expect(cuts(1)).not.toEqual(cuts(2));
  expect(cuts(1).filter(({ cutAt }) => cutAt < 51).length).toBe(10);
  for (const { cutAt, label } of cuts(3, 'install')) {
    expect(cutAt).toBeGreaterThan(30);
    expect(cutAt).toBeLessThanOrEqual(60);
    expect(label).toBe('install');
  }
  expect(() => cuts(1, 'nothing')).toThrow('no mark');
});
