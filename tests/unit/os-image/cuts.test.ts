import { copyFile, mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { FACTORY_STATE, markBad, markGood } from '../../../os-image/boot-state/codec.ts';
import { MIB, PARTITIONS, SECTOR_BYTES } from '../../../os-image/build/layout.ts';
import { standing, stateComplaints, tableComplaints, TAIL_BYTES } from '../../../os-image/test/cuts/facts.ts';
import { MARKS, placeOf, planCuts, stretchesOf } from '../../../os-image/test/cuts/plan.ts';
import { Replay } from '../../../os-image/test/cuts/replay.ts';
import { seededRandom } from '../../crash/seeded-random.ts';
import { applyCut, cutPower } from '../../harness/nbd/crash-images.ts';
import { DiskLog, type DiskOp } from '../../harness/nbd/disk-log.ts';

const DISK_BYTES = 4096 * MIB;

const startOf = (name: string): number =>
  (PARTITIONS.find((partition) => partition.name === name)?.startMib ?? 0) * MIB;
const write = (offset: number, length = 4096): DiskOp => ({
  ...{ kind: 'write', offset, length, at: 0, isDurable: false },
});
const mark = (label: string): DiskOp => ({ kind: 'mark', label });
const flush: DiskOp = { kind: 'flush' };
const times = (count: number, op: DiskOp): readonly DiskOp[] => Array.from({ length: count }, () => op);

/** A life as it is recorded, in short. */
const LIFE: readonly DiskOp[] = [
  mark(MARKS.powerOn),
  ...[write(startOf('boot_state')), flush, ...times(40, write(startOf('data')))],
  ...[write(DISK_BYTES - 20_480), flush, write(0), flush, ...times(20, write(startOf('data') + MIB))],
  mark(MARKS.grown),
  ...times(30, write(startOf('data'))),
  mark(MARKS.confirmed),
  mark(MARKS.event),
  ...times(30, write(startOf('data'))),
  mark(MARKS.install),
  ...times(30, write(startOf('data'))),
  ...[write(startOf('boot_state') + 65_536), flush],
  ...times(60, write(startOf('root_b'))),
  ...[...times(20, write(startOf('boot_b'))), flush],
  ...[write(startOf('boot_state')), flush, ...times(20, write(startOf('data')))],
  write(startOf('boot_state') + 65_536),
  mark(MARKS.trial),
  ...[...times(20, write(startOf('data'))), write(startOf('boot_state')), flush],
  mark(MARKS.good),
  ...times(10, write(startOf('data'))),
];

describe('where the power is cut', () => {
  const stretches = stretchesOf(LIFE, DISK_BYTES);
  const ofPlace = (place: string): readonly number[] =>
    LIFE.flatMap((op, index) => ('offset' in op && placeOf(op.offset, DISK_BYTES) === place ? [index] : []));

  test('every part of the disk has a name, both tables the same', () => {
    expect(placeOf(512, DISK_BYTES)).toBe('table');
    expect(placeOf(DISK_BYTES - 512, DISK_BYTES)).toBe('table');
    expect(placeOf(startOf('root_b') - 1, DISK_BYTES)).toBe('root_a');
    expect(placeOf(DISK_BYTES - MIB, DISK_BYTES)).toBe('data');
  });

  test('what matters has its stretch, wherever the log holds it', () => {
    const of = (name: string): { from: number; to: number } => {
      const found = stretches.find((stretch) => stretch.name === name);
      if (found === undefined) throw new Error(`no stretch ${name}`);
      return found;
    };
    for (const [name, place] of [
      ['table', 'table'],
      ['install', 'root_b'],
      ['install', 'boot_b'],
    ] as const)
      for (const index of ofPlace(place)) {
        expect(of(name).from).toBeLessThanOrEqual(index);
        expect(of(name).to).toBeGreaterThan(index);
      }
    const [, , activated = 0, , marked = 0] = ofPlace('boot_state');
    expect(of('activate')).toMatchObject({ from: activated - 4, to: activated + 6 });
    expect(of('mark-good')).toMatchObject({ from: marked - 4, to: marked + 6 });
    expect(stretches.filter(({ name }) => name === 'state write')).toHaveLength(5);
  });

  test('a log that ends early is said to; without its update it is cut up to there', () => {
    expect(() => stretchesOf(LIFE.slice(0, 100), DISK_BYTES)).toThrow(/does not come to "install"/);
    const asked = LIFE.slice(
      0,
      LIFE.findIndex((op) => op.kind === 'mark' && op.label === MARKS.trial),
    );
    const names = new Set(stretchesOf(asked, DISK_BYTES).map(({ name }) => name));
    expect(names).toEqual(
      new Set(['first boot', 'table', 'growth', 'first start', 'clip close', 'state write']),
    );
  });

  test('as many as asked for, in every stretch, in order, and the same for the same seed', () => {
    const cuts = planCuts(stretches, { checked: 500, booted: 24, seed: 7 });
    expect(cuts.length).toBeGreaterThanOrEqual(500);
    expect(cuts.filter(({ isBooted }) => isBooted).length).toBeGreaterThanOrEqual(24);
    expect(new Set(cuts.map(({ stretch }) => stretch))).toEqual(new Set(stretches.map(({ name }) => name)));
    expect(cuts.map(({ cutAt }) => cutAt)).toEqual(cuts.map(({ cutAt }) => cutAt).toSorted((a, b) => a - b));
    expect(planCuts(stretches, { checked: 500, booted: 24, seed: 7 })).toEqual(cuts);
    expect(planCuts(stretches, { checked: 500, booted: 24, seed: 8 })).not.toEqual(cuts);
    expect(cuts.every(({ cutAt }) => cutAt >= 0 && cutAt <= LIFE.length)).toBe(true);
  });
});

describe('what must hold', () => {
  test('a fact counts from when it was seen', () => {
    const fact = { since: 10, kind: 'good', slot: 'B' } as const;
    expect(standing([fact], 9)).toEqual([]);
    expect(standing([fact], 10)).toEqual([fact]);
  });

  test('the boot state denies nothing that was confirmed, and leaves something to boot', () => {
    const facts = [
      { since: 0, kind: 'good', slot: 'A' },
      { since: 0, kind: 'first', slot: 'A' },
    ] as const;
    expect(stateComplaints(FACTORY_STATE, facts)).toEqual([]);
    expect(stateComplaints(markBad(FACTORY_STATE, 'A'), facts)).toEqual([
      'slot A was good and is bad',
      'no slot can be booted',
    ]);
    expect(stateComplaints(markGood(FACTORY_STATE, 'B'), [{ since: 0, kind: 'first', slot: 'B' }])).toEqual([
      'slot B is not tried first',
    ]);
    expect(stateComplaints(null, [])).toEqual(['both copies of the boot state are lost']);
  });
});

describe('tables of partitions', () => {
  const { first, head, second, tail } = tables();

  test('either is enough; without both, or without what protects them, it is said', () => {
    expect(tableComplaints(head, tail)).toEqual([]);
    expect(tableComplaints(torn(head, 1024), tail)).toEqual([]);
    expect(tableComplaints(head, torn(tail, 0))).toEqual([]);
    expect(tableComplaints(torn(head, 1024), torn(tail, 0))).toEqual([
      'neither table of the partitions is whole',
    ]);
    expect(tableComplaints(torn(head, 510), tail)).toEqual(['nothing protects the table']);
  });

  test('the second one first, flushed, then the first: every cut leaves one; without the flush not', async () => {
    const complaintsOf = async (ops: readonly DiskOp[], seed: number): Promise<readonly string[]> => {
      // As a card is after flashing: nothing at its end.
      const disk = Buffer.alloc(64 * 1024);
      head.copy(disk, 0, 0, 32 * 1024);
      const cut = cutPower(ops, seed % (ops.length + 1), 'mixed', seededRandom(seed));
      const dataOf = async ({ at }: { at: number }): Promise<Buffer> => (at === 0 ? first : second);
      await applyCut(ops, cut, dataOf, {
        write: async (offset, data) => void Buffer.from(data).copy(disk, offset),
      });
      return tableComplaints(disk.subarray(0, 32 * 1024), disk.subarray(64 * 1024 - TAIL_BYTES));
    };
    const firstWrite: DiskOp = { kind: 'write', offset: 0, length: first.length, at: 0, isDurable: false };
    const at = 64 * 1024 - TAIL_BYTES;
    const secondWrite: DiskOp = { kind: 'write', offset: at, length: second.length, at: 1, isDurable: false };
    const bySeed = (ops: readonly DiskOp[]): Promise<readonly (readonly string[])[]> =>
      Promise.all(Array.from({ length: 200 }, (_, seed) => complaintsOf(ops, seed)));
    expect((await bySeed([secondWrite, flush, firstWrite, flush])).flat()).toEqual([]);
    expect((await bySeed([firstWrite, secondWrite, flush])).flat()).toContain(
      'neither table of the partitions is whole',
    );
  });
});

describe('a disk led through its log', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'spyoncino-cuts-'));
  });
  afterEach(() => rm(folder, { recursive: true }));

  test('is after each cut as if the cut alone had been put on the disk of the beginning', async () => {
    const random = seededRandom(3);
    const size = 3 * MIB;
    await using log = await DiskLog.create(join(folder, 'log'));
    for (let n = 0; n < 300; n++) {
      const offset = Math.floor(random() * (size / SECTOR_BYTES - 64)) * SECTOR_BYTES;
      const length = (1 + Math.floor(random() * 63)) * SECTOR_BYTES;
      if (random() < 0.2) log.flush();
      else if (random() < 0.1) log.zero(offset, length, false);
      else await log.write(offset, Buffer.alloc(length, 1 + (n % 255)), random() < 0.1);
    }
    const flashed = join(folder, 'flashed');
    await writeFile(flashed, Buffer.concat([Buffer.alloc(MIB, 0xa5), Buffer.alloc(size - MIB)]));
    await copyFile(flashed, join(folder, 'disk'));
    await using replay = await Replay.open(join(folder, 'disk'), log);
    for (let cutAt = 0; cutAt <= log.ops.length; cutAt += 23) {
      for (const way of ['mixed', 'prefix', 'lost'] as const) {
        const cut = cutPower(log.ops, cutAt, way, seededRandom(cutAt));
        await copyFile(flashed, join(folder, 'alone'));
        await using alone = await open(join(folder, 'alone'), 'r+');
        await applyCut(log.ops, cut, (op) => log.dataOf(op), {
          write: async (offset, data) => void (await alone.write(data, 0, data.length, offset)),
        });
        await replay.put(cut);
        const expected = await readFile(join(folder, 'alone'));
        expect((await replay.read(0, size)).equals(expected)).toBe(true);
        await replay.copyTo(join(folder, 'part'), MIB, 2 * MIB - 512);
        expect((await readFile(join(folder, 'part'))).equals(expected.subarray(MIB, -512))).toBe(true);
        await replay.takeBack();
      }
    }
  });
});

const torn = (bytes: Buffer, at: number): Buffer => {
  const copy = Buffer.from(bytes);
  copy.writeUInt8(copy.readUInt8(at) ^ 0xff, at);
  return copy;
};

/** Both tables of a disk as it is laid out; `first` and `second` as they are written, with other ids. */
function tables(): { head: Buffer; tail: Buffer; first: Buffer; second: Buffer } {
  const make = (id: number): { head: Buffer; tail: Buffer } => {
    const entries = Buffer.alloc(128 * 128);
    for (const { name, number, sizeMib, startMib } of PARTITIONS) {
      const entry = entries.subarray((number - 1) * 128, number * 128);
      entry.fill(1, 0, 16).fill(id, 16, 32);
      entry.writeBigUInt64LE(BigInt((startMib * MIB) / SECTOR_BYTES), 32);
      entry.writeBigUInt64LE(BigInt(((startMib + sizeMib) * MIB) / SECTOR_BYTES - 1), 40);
      entry.write(name, 56, 'utf16le');
    }
    const header = Buffer.alloc(SECTOR_BYTES);
    header.write('EFI PART', 'latin1');
    header.writeUInt32LE(128, 80);
    header.writeUInt32LE(128, 84);
    header.writeUInt32LE(crc32(entries), 88);
    header.writeUInt32LE(crc32(header.subarray(0, 92)), 16);
    const record = Buffer.alloc(SECTOR_BYTES);
    record.writeUInt8(0xee, 446 + 4);
    record.writeUInt16LE(0xaa55, 510);
    const head = Buffer.concat([record, header, entries, Buffer.alloc(MIB - 34 * SECTOR_BYTES)]);
    return { head, tail: Buffer.concat([entries, header]) };
  };
  const { head: next, tail: second } = make(2);
  return { ...make(1), first: next.subarray(0, 34 * SECTOR_BYTES), second };
}
