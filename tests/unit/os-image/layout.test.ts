import { expect, test } from 'vitest';
import { DISK_MIB, hybridMbr, PARTITIONS, sfdiskScript } from '../../../os-image/build/layout.ts';

test('partitions follow each other without a gap, and both tables fit', () => {
  let end = 1;
  for (const { startMib, sizeMib } of PARTITIONS) {
    expect(startMib).toBe(end);
    end = startMib + sizeMib;
  }
  expect(DISK_MIB).toBe(end + 1);
});

test('both slots are of one size, and data is the last, as it grows', () => {
  const size = (name: string): number | undefined =>
    PARTITIONS.find((partition) => partition.name === name)?.sizeMib;
  expect(size('root_a')).toBe(size('root_b'));
  expect(size('boot_a')).toBe(size('boot_b'));
  expect(PARTITIONS.at(-1)?.name).toBe('data');
});

test('the script of sfdisk names each with its place in sectors', () => {
  expect(sfdiskScript(PARTITIONS)).toContain('start=133120, size=2048');
  expect(sfdiskScript(PARTITIONS)).toContain('name="boot_state"');
});

test('a hybrid record keeps the entry that protects the table, and adds the firmware partition', () => {
  const protective = Buffer.alloc(512);
  protective.writeUInt8(0xee, 446 + 4);
  protective.writeUInt16LE(0xaa55, 510);
  const [firmware] = PARTITIONS;
  const record = hybridMbr(protective, firmware!);
  expect(record.readUInt8(446 + 4)).toBe(0xee);
  expect(record.readUInt8(462 + 4)).toBe(0x0c);
  expect([record.readUInt32LE(462 + 8), record.readUInt32LE(462 + 12)]).toEqual([2048, 131072]);
  expect(record.readUInt16LE(510)).toBe(0xaa55);
});
