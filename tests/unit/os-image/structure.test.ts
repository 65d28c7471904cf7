import { readFileSync } from 'node:fs';
import { crc32, gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { COPY_OFFSETS, encode, FACTORY_STATE } from '../../../os-image/boot-state/codec.ts';
import { hybridMbr, MIB, PARTITIONS, SECTOR_BYTES } from '../../../os-image/build/layout.ts';
import {
  BOARDS,
  configOf,
  environmentOf,
  inspect,
  readTable,
  scriptOf,
  type Disk,
} from '../../../os-image/build/structure.ts';

const source = (name: string): string =>
  readFileSync(new URL(`../../../os-image/${name}`, import.meta.url), 'utf8');

/** As mkenvimage makes it of its input. */
function environment(text: string): Buffer {
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  const file = Buffer.alloc(16 * 1024);
  file.write(`${lines.join('\0')}\0\0`, 4, 'latin1');
  file.writeUInt32LE(crc32(file.subarray(4)), 0);
  return file;
}

/** As mkimage makes it of a script. */
function scriptImage(text: string): Buffer {
  const data = Buffer.alloc(8 + Buffer.byteLength(text));
  data.writeUInt32BE(Buffer.byteLength(text), 0);
  data.write(text, 8);
  const header = Buffer.alloc(64);
  header.writeUInt32BE(0x27051956, 0);
  header.writeUInt32BE(data.length, 12);
  header.writeUInt32BE(crc32(data), 24);
  header.writeUInt8(6, 30);
  header.writeUInt32BE(crc32(header), 4);
  return Buffer.concat([header, data]);
}

/** A disk's first MiB with a GPT; the last partition has `dataMib`. */
function head(dataMib: number): Buffer {
  const disk = Buffer.alloc(MIB);
  const entries = disk.subarray(2 * SECTOR_BYTES, 2 * SECTOR_BYTES + 128 * 128);
  PARTITIONS.forEach(({ name, startMib, sizeMib }, index) => {
    const entry = entries.subarray(index * 128, (index + 1) * 128);
    entry.fill(0xab, 0, 32);
    const size = name === 'data' ? dataMib : sizeMib;
    entry.writeBigUInt64LE(BigInt((startMib * MIB) / SECTOR_BYTES), 32);
    entry.writeBigUInt64LE(BigInt(((startMib + size) * MIB) / SECTOR_BYTES - 1), 40);
    entry.write(name, 56, 'utf16le');
  });
  const header = disk.subarray(SECTOR_BYTES, SECTOR_BYTES + 92);
  header.write('EFI PART', 0, 'latin1');
  header.writeUInt32LE(128, 80);
  header.writeUInt32LE(128, 84);
  header.writeUInt32LE(crc32(entries), 88);
  header.writeUInt32LE(crc32(header), 16);
  disk.writeUInt8(0xee, 446 + 4);
  disk.writeUInt16LE(0xaa55, 510);
  const [firmware] = PARTITIONS;
  hybridMbr(disk.subarray(0, SECTOR_BYTES), firmware!).copy(disk);
  return disk;
}

function image(): Disk {
  const state = Buffer.alloc(MIB);
  for (const offset of COPY_OFFSETS) encode(FACTORY_STATE).copy(state, offset);
  const sized = (entries: Readonly<Record<string, number>>): readonly (readonly [string, Buffer])[] =>
    Object.entries(entries).map(([name, bytes]) => [name, Buffer.alloc(bytes)]);
  const kernel = Buffer.alloc(1024);
  kernel.writeBigUInt64LE(50n * BigInt(MIB), 16);
  const modules = BOARDS.flatMap(({ early, late }) => [...early, ...late]).map(
    (name) => `usr/lib/modules/7/kernel/${name}.ko`,
  );
  const radios = BOARDS.flatMap(({ radio }) => radio).map((name) => `usr/lib/firmware/brcm/${name}`);
  return {
    head: head(64),
    grown: head(2814),
    bootState: state,
    firmware: new Map([
      ...sized({
        'bootcode.bin': 5e4,
        'start.elf': 3e6,
        'fixup.dat': 7e3,
        'start4.elf': 3e6,
        'fixup4.dat': 6e3,
      }),
      ...sized({ 'u-boot.bin': 6e5, 'bcm2712-rpi-5-b.dtb': 2e4, 'bcm2712d0-rpi-5-b.dtb': 2e4 }),
      ['config.txt', Buffer.from(source('boot/config.txt'))],
      ['uboot.env', environment(source('boot/uboot.env.txt'))],
      ['boot.scr', scriptImage(source('boot/boot.cmd'))],
    ]),
    boot: new Map([
      ['Image.gz', gzipSync(kernel)],
      ['initrd.img', Buffer.alloc(6 * MIB)],
      ['slot.env', Buffer.from(`version=1.2.3\nverity=${'a'.repeat(64)},b,1\n`)],
      ...BOARDS.map(({ tree }) => [`dtb/broadcom/${tree}`, Buffer.alloc(1)] as const),
    ]),
    root: new Set([...modules, ...radios]),
    builtin: '',
    initrd: new Set(modules),
    verity: null,
  };
}

const missing = (disk: Disk): readonly string[] =>
  inspect(disk)
    .filter(({ verdict }) => verdict === 'no')
    .map(({ what, seen }) => `${what}: ${seen}`);

test('an image with everything passes, by the files of the recipe themselves; boards nobody knows are gaps', () => {
  expect(missing(image())).toEqual([]);
  const gaps = inspect(image()).filter(({ verdict }) => verdict === 'gap');
  expect(gaps.map(({ what }) => what)).toEqual(['CM5: device tree', 'Pi 500: device tree']);
});

test('a driver, a tree or the firmware of a radio that is missing is named with its board', () => {
  const disk = image();
  const root = new Set(
    [...disk.root].filter((path) => !/irq-bcm2712-mip|brcmfmac43456-sdio\.bin/.test(path)),
  );
  const boot = new Map([...disk.boot].filter(([name]) => !name.endsWith('bcm2837-rpi-3-b.dtb')));
  expect(missing({ ...disk, boot, root })).toEqual([
    'Pi 3B: device tree: bcm2837-rpi-3-b.dtb is missing',
    'Pi 400: drivers: brcmfmac43456-sdio.bin is missing',
    'Pi 5: drivers: irq-bcm2712-mip is not in the root file system',
    'Pi 5, later chip: drivers: irq-bcm2712-mip is not in the root file system',
  ]);
});

test('a driver that is built in needs no module; one for the card has to be in the initial RAM disk', () => {
  const disk = image();
  const without = (paths: ReadonlySet<string>): Set<string> =>
    new Set([...paths].filter((path) => !path.endsWith('/sdhci-brcmstb.ko')));
  expect(missing({ ...disk, initrd: without(disk.initrd) })).toContain(
    'Pi 5: drivers: sdhci-brcmstb is not in the initial RAM disk',
  );
  const builtIn = {
    ...disk,
    initrd: without(disk.initrd),
    root: without(disk.root),
    builtin: 'kernel/drivers/mmc/host/sdhci-brcmstb.ko\n',
  };
  expect(missing(builtIn)).toEqual([]);
});

test('damage is seen: table, boot record, boot state, hash tree, script, environment', () => {
  const disk = image();
  const flipped = (buffer: Buffer, at: number): Buffer => {
    const copy = Buffer.from(buffer);
    copy.writeUInt8(copy.readUInt8(at) ^ 1, at);
    return copy;
  };
  const firmware = (name: string, change: (file: Buffer) => Buffer): Disk => ({
    ...disk,
    firmware: new Map([...disk.firmware].map(([key, file]) => [key, key === name ? change(file) : file])),
  });
  expect(missing({ ...disk, head: flipped(disk.head, 2 * SECTOR_BYTES + 40) })[0]).toMatch(/GPT.*checksum/);
  expect(missing({ ...disk, head: flipped(disk.head, 462 + 8) })[0]).toMatch(/second entry/);
  expect(missing({ ...disk, grown: head(64) })[0]).toMatch(/has not grown/);
  expect(missing({ ...disk, bootState: flipped(disk.bootState, 100) })[0]).toMatch(/copy 1 is not valid/);
  expect(missing({ ...disk, verity: 'block 7' })[0]).toMatch(/block 7/);
  expect(missing(firmware('boot.scr', (file) => flipped(file, 200)))[0]).toMatch(/^boot\.scr/);
  expect(missing(firmware('uboot.env', (file) => flipped(file, 10)))[0]).toMatch(/^uboot\.env.*checksum/);
  expect(missing(firmware('start4.elf', (file) => file.subarray(0, 9)))[0]).toMatch(/start4\.elf \(Pi 4\)/);
});

test('an environment that listens to keys, or waits for one, is refused', () => {
  const disk = image();
  const changed = source('boot/uboot.env.txt')
    .replace('bootdelay=-2', 'bootdelay=2')
    .replace('stdin=nulldev\n', '');
  const firmware = new Map([...disk.firmware, ['uboot.env', environment(changed)]] as const);
  expect(missing({ ...disk, firmware })).toEqual([
    'uboot.env: a key can stop U-Boot (bootdelay); U-Boot reads keys (stdin)',
  ]);
});

test('a kernel that has grown over what follows it in memory is seen', () => {
  const kernel = Buffer.alloc(1024);
  kernel.writeBigUInt64LE(70n * BigInt(MIB), 16);
  const disk = image();
  const boot = new Map([...disk.boot, ['Image.gz', gzipSync(kernel)]] as const);
  expect(missing({ ...disk, boot })).toEqual(['places in memory: kernel reaches into tree of the firmware']);
});

test('config.txt: a section holds for its board alone', () => {
  const text = 'a=1\n[pi4]\nb=2 # of Pi 4\n[all]\nc=3\n';
  expect([...configOf(text, ['pi4'])]).toEqual([
    ['a', '1'],
    ['b', '2'],
    ['c', '3'],
  ]);
  expect(configOf(text, ['pi3']).has('b')).toBe(false);
});

test('what is none of these formats is null', () => {
  expect(readTable(Buffer.alloc(MIB))).toBeNull();
  expect(environmentOf(Buffer.alloc(3))).toBeNull();
  expect(scriptOf(Buffer.alloc(100))).toBeNull();
});
