import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { FootageClass, RetentionLimits } from '../../../device/contract/settings.ts';
import {
  planRetention,
  STANDINGS,
  type Deletion,
  type RetentionPolicy,
  type Standing,
} from '../../../device/library/retention/plan.ts';

const NOW = 1_000_000;

interface ModelFile {
  readonly fileId: string;
  readonly cameraId: string;
  readonly footageClass: FootageClass;
  readonly standing: Standing;
  readonly startUtcMs: number;
  readonly sizeBytes: number;
}

interface World {
  readonly files: readonly ModelFile[];
  readonly freeBytes: number;
}

const sum = (files: readonly { sizeBytes: number }[]): number =>
  files.reduce((total, { sizeBytes }) => total + sizeBytes, 0);

const CAMERAS = ['a', 'b', 'c'];
const CLASSES = ['continuous', 'event'] as const;

/** A world as the planner sees it. Totals hold more than candidates: files that are too young are in them. */
const shelvesOf = (files: readonly ModelFile[]) =>
  CAMERAS.flatMap((cameraId) =>
    CLASSES.map((footageClass) => {
      const own = files.filter((file) => file.cameraId === cameraId && file.footageClass === footageClass);
      return {
        cameraId,
        footageClass,
        sizeBytes: sum(own),
        oldest: (which: Standing | 'any', count: number) =>
          own
            .filter((file) => which === 'any' || file.standing === which)
            .sort((a, b) => a.startUtcMs - b.startUtcMs)
            .slice(0, count),
      };
    }),
  );

const plan = ({ files, freeBytes }: World, policy: RetentionPolicy, batch: number) =>
  planRetention({ nowUtcMs: NOW, freeBytes, shelves: shelvesOf(files) }, policy, batch);

const execute = ({ files, freeBytes }: World, deletions: readonly Deletion[]): World => {
  const gone = new Set(deletions.map(({ fileId }) => fileId));
  expect(gone.size).toBe(deletions.length);
  return { files: files.filter(({ fileId }) => !gone.has(fileId)), freeBytes: freeBytes + sum(deletions) };
};

/** Plans and executes until nothing more is to do. */
function settle(world: World, policy: RetentionPolicy, batch: number) {
  const deletions: Deletion[] = [];
  for (;;) {
    const next = plan(world, policy, batch);
    expect(next.deletions.length).toBeLessThanOrEqual(batch);
    world = execute(world, next.deletions);
    deletions.push(...next.deletions);
    if (next.isComplete) return { world, deletions, shortBytes: next.shortBytes };
    expect(next.deletions.length).toBe(batch);
  }
}

const limits = fc.record({
  maxAgeMs: fc.option(fc.nat(NOW)),
  maxBytes: fc.option(fc.nat(2000)),
});
const perClass = fc.record({ continuous: limits, event: limits });
const policies: fc.Arbitrary<RetentionPolicy> = fc.record({
  headroomBytes: fc.nat(3000),
  limits: perClass,
  cameraLimits: fc
    .dictionary(fc.constantFrom(...CAMERAS), perClass)
    .map((entries) => new Map(Object.entries(entries))),
});
const worlds: fc.Arbitrary<World> = fc.record({
  files: fc
    .array(
      fc.record({
        cameraId: fc.constantFrom(...CAMERAS),
        footageClass: fc.constantFrom(...CLASSES),
        standing: fc.constantFrom(...STANDINGS),
        startUtcMs: fc.nat(NOW),
        sizeBytes: fc.nat(200),
      }),
      { maxLength: 60 },
    )
    .map((files) => files.map((file, index) => ({ ...file, fileId: `f${index}` }))),
  freeBytes: fc.nat(2000),
});
const batches = fc.integer({ min: 1, max: 20 });

const limitOf = (policy: RetentionPolicy, file: ModelFile): RetentionLimits[] => [
  policy.limits[file.footageClass],
  ...[policy.cameraLimits.get(file.cameraId)?.[file.footageClass] ?? []].flat(),
];
const isTooOld = (policy: RetentionPolicy, file: ModelFile): boolean =>
  limitOf(policy, file).some(({ maxAgeMs }) => maxAgeMs !== null && file.startUtcMs < NOW - maxAgeMs);

/** Bytes over a limit, for each limit on bytes there is. */
const excesses = ({ files }: World, policy: RetentionPolicy): number[] =>
  CLASSES.flatMap((footageClass) => {
    const ofClass = files.filter((file) => file.footageClass === footageClass);
    const own = CAMERAS.map((cameraId) => {
      const max = policy.cameraLimits.get(cameraId)?.[footageClass].maxBytes ?? Infinity;
      return sum(ofClass.filter((file) => file.cameraId === cameraId)) - max;
    });
    return own.concat(sum(ofClass) - (policy.limits[footageClass].maxBytes ?? Infinity));
  });

test('every limit holds afterwards, and the headroom too unless nothing is left', () => {
  fc.assert(
    fc.property(worlds, policies, batches, (start, policy, batch) => {
      const { world, shortBytes } = settle(start, policy, batch);
      expect(world.files.filter((file) => isTooOld(policy, file))).toEqual([]);
      expect(excesses(world, policy).filter((bytes) => bytes > 0)).toEqual([]);
      expect(shortBytes).toBe(Math.max(0, policy.headroomBytes - world.freeBytes));
      if (shortBytes > 0) expect(world.files).toEqual([]);
    }),
  );
});

test('never more than needed: without its last file, each reason would still stand', () => {
  fc.assert(
    fc.property(worlds, policies, batches, (start, policy, batch) => {
      const { deletions } = settle(start, policy, batch);
      const byId = new Map(start.files.map((file) => [file.fileId, file]));
      for (const [index, { fileId, reason }] of deletions.entries()) {
        const before = execute(start, deletions.slice(0, index));
        if (reason === 'age') expect(isTooOld(policy, byId.get(fileId)!)).toBe(true);
        if (reason === 'quota') expect(Math.max(...excesses(before, policy))).toBeGreaterThan(0);
        if (reason === 'headroom') expect(before.freeBytes).toBeLessThan(policy.headroomBytes);
      }
    }),
  );
});

test('for headroom goes what is least missed: uploaded, then continuous, then events, the queued last, each by age', () => {
  const rank = ({ standing, footageClass }: ModelFile): number =>
    standing === 'uploaded' ? 0 : (standing === 'idle' ? 1 : 3) + (footageClass === 'event' ? 1 : 0);
  fc.assert(
    fc.property(worlds, policies, batches, (start, policy, batch) => {
      const { world, deletions } = settle(start, policy, batch);
      const byId = new Map(start.files.map((file) => [file.fileId, file]));
      const gone = deletions
        .filter(({ reason }) => reason === 'headroom')
        .map(({ fileId }) => byId.get(fileId)!);
      const last = gone.at(-1);
      if (!last) return;
      const inOrder = (a: ModelFile, b: ModelFile): number =>
        rank(a) - rank(b) || a.startUtcMs - b.startUtcMs;
      expect(gone).toEqual(gone.toSorted(inOrder));
      for (const kept of world.files) expect(inOrder(last, kept)).toBeLessThanOrEqual(0);
    }),
  );
});

test('over its share, a camera gives what is least missed, and what waits for upload last', () => {
  fc.assert(
    fc.property(worlds, fc.nat(2000), batches, (start, maxBytes, batch) => {
      const none = { maxAgeMs: null, maxBytes: null };
      const own = { maxAgeMs: null, maxBytes };
      const policy: RetentionPolicy = {
        headroomBytes: 0,
        limits: { continuous: none, event: none },
        cameraLimits: new Map([['a', { continuous: own, event: none }]]),
      };
      const { world, deletions } = settle(start, policy, batch);
      const gone = new Set(deletions.map(({ fileId }) => fileId));
      const isMine = (file: ModelFile) => file.cameraId === 'a' && file.footageClass === 'continuous';
      const key = (file: ModelFile) => STANDINGS.indexOf(file.standing) * 2 * NOW + file.startUtcMs;
      const lost = start.files.filter(({ fileId }) => gone.has(fileId));
      expect(lost.every(isMine)).toBe(true);
      const kept = world.files.filter(isMine);
      expect(Math.max(0, ...lost.map(key))).toBeLessThanOrEqual(Math.min(Infinity, ...kept.map(key)));
    }),
  );
});

test('once executed, there is nothing left to do; and batches make no difference to what goes', () => {
  fc.assert(
    fc.property(worlds, policies, batches, (start, policy, batch) => {
      const { world, deletions } = settle(start, policy, batch);
      expect(plan(world, policy, batch).deletions).toEqual([]);
      const atOnce = settle(start, policy, 1000);
      // Files of the same age may go in either order; as many bytes must go anyway where ages differ.
      const ages = start.files.map(({ startUtcMs }) => startUtcMs);
      if (new Set(ages).size === ages.length) {
        const files = (list: readonly Deletion[]) => list.map(({ fileId }) => fileId).sort();
        expect(files(deletions)).toEqual(files(atOnce.deletions));
      }
    }),
  );
});
