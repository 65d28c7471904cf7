/** Where everything lies on the disk. Pure: sizes are in MiB, and partitions begin at whole MiB. */

export const SECTOR_BYTES = 512;
export const MIB = 1024 * 1024;
const SECTORS_PER_MIB = MIB / SECTOR_BYTES;

const LINUX = '0FC63DAF-8483-4772-8E79-3D69D8477DE4';
const BASIC_DATA = 'EBD0A0A2-B9E5-4433-87C0-68B6B72699C7';
const EFI_SYSTEM = 'C12A7328-F81F-11D2-BA4B-00A0C93EC93B';

export interface Partition {
  readonly name: string;
  readonly number: number;
  readonly startMib: number;
  readonly sizeMib: number;
  readonly type: string;
}

const SIZES: readonly (readonly [name: string, sizeMib: number, type: string])[] = [
  ['firmware', 64, BASIC_DATA],
  ['boot_state', 1, LINUX],
  ['boot_a', 96, LINUX],
  ['boot_b', 96, LINUX],
  ['root_a', 512, LINUX],
  ['root_b', 512, LINUX],
  ['data', 64, LINUX],
];

/** In order of number and place, without gaps; the first MiB is the table's. */
export const PARTITIONS: readonly Partition[] = SIZES.map(([name, sizeMib, type], index) => ({
  name,
  number: index + 1,
  startMib: SIZES.slice(0, index).reduce((start, [, before]) => start + before, 1),
  sizeMib,
  type,
}));

/** The same, where the firmware is UEFI and wants to be told where it begins. */
export const UEFI_PARTITIONS: readonly Partition[] = PARTITIONS.map((partition) =>
  partition.name === 'firmware' ? { ...partition, type: EFI_SYSTEM } : partition,
);

/** One MiB at the end is for the second copy of the table. */
export const DISK_MIB = PARTITIONS.reduce((end, { sizeMib }) => end + sizeMib, 1) + 1;

/** Input of `sfdisk`. Ids are fixed, so that two builds are the same bytes. */
export function sfdiskScript(partitions: readonly Partition[]): string {
  const id = (number: number): string =>
    `5B10C1A0-0000-4000-8000-0000000000${String(number).padStart(2, '0')}`;
  const lines = partitions.map(({ name, number, startMib, sizeMib, type }) =>
    [
      `start=${startMib * SECTORS_PER_MIB}`,
      `size=${sizeMib * SECTORS_PER_MIB}`,
      `type=${type}`,
      `uuid=${id(number)}`,
      `name="${name}"`,
    ].join(', '),
  );
  return ['label: gpt', `label-id: ${id(0)}`, 'first-lba: 34', ...lines, ''].join('\n');
}

/**
 * The master boot record of a disk with GPT, for a first stage that reads only this (Raspberry Pi 3): besides the entry that
 * protects the table, `firmware` is named as FAT32. Everybody else sees 0xEE and reads the GPT. 512 bytes.
 */
export function hybridMbr(protective: Buffer, firmware: Partition): Buffer {
  const record = Buffer.from(protective);
  const second = 446 + 16;
  record.fill(0, second, second + 16);
  record.writeUInt8(0x0c, second + 4);
  record.writeUInt32LE(firmware.startMib * SECTORS_PER_MIB, second + 8);
  record.writeUInt32LE(firmware.sizeMib * SECTORS_PER_MIB, second + 12);
  return record;
}
