/** Whether a disk image of a Raspberry Pi has everything that its boards want, from what was read of it. Pure. */
import { crc32, gunzipSync } from 'node:zlib';
import { COPY_BYTES, COPY_OFFSETS, decode, newest } from '../boot-state/codec.ts';
import { MIB, PARTITIONS, SECTOR_BYTES } from './layout.ts';

/** What was read of a disk image. Paths are relative, without a slash before them. */
export interface Disk {
  /** Its first MiB. */
  readonly head: Buffer;
  /** The same after the data partition has grown to a larger card. */
  readonly grown: Buffer;
  /** The partition `boot_state`. */
  readonly bootState: Buffer;
  readonly firmware: ReadonlyMap<string, Buffer>;
  /** The file system of `boot_a`. */
  readonly boot: ReadonlyMap<string, Buffer>;
  /** Every path of the root file system of `root_a`. */
  readonly root: ReadonlySet<string>;
  /** Its `modules.builtin`. */
  readonly builtin: string;
  /** Every path of the initial RAM disk. */
  readonly initrd: ReadonlySet<string>;
  /** What of `root_a` differs from the hash tree whose root `slot.env` names; null: nothing. */
  readonly verity: string | null;
}

export interface Finding {
  readonly what: string;
  /** `gap`: missing, and known to be: it is said in the documentation. */
  readonly verdict: 'yes' | 'no' | 'gap';
  readonly seen: string;
}

interface Board {
  readonly name: string;
  /** Of U-Boot (`fdtfile`) and of the kernel alike, below `broadcom/`. */
  readonly tree: string;
  /** Without `.ko`. What is needed before there is a root file system stands in `early`. */
  readonly early: readonly string[];
  readonly late: readonly string[];
  /** Firmware of its radio, below `usr/lib/firmware/brcm/`. */
  readonly radio: readonly string[];
}

const EVERY = ['bcm2835_wdt'];
const PI_4 = {
  early: [...EVERY, 'sdhci-iproc', 'xhci-pci', 'pcie-brcmstb'],
  late: ['genet', 'bcm_phy_lib', 'brcmfmac', 'brcmfmac-wcc', 'uvcvideo'],
};
const PI_5 = {
  early: [...EVERY, 'sdhci-brcmstb', 'pinctrl-rp1', 'clk-rp1', 'rp1_pci', 'pcie-brcmstb'],
  late: ['irq-bcm2712-mip', 'macb', 'dwc3', 'xhci-plat-hcd', 'brcmfmac', 'brcmfmac-wcc', 'uvcvideo'],
};
const PI_3 = {
  early: [...EVERY, 'bcm2835', 'dwc2'],
  late: ['sdhci-iproc', 'brcmfmac', 'brcmfmac-wcc', 'uvcvideo'],
};
const radio = (chip: string, board: string): readonly string[] => [
  `brcmfmac${chip}-sdio.bin`,
  `brcmfmac${chip}-sdio.${board}txt`,
];

export const BOARDS: readonly Board[] = [
  {
    name: 'Pi 3B',
    tree: 'bcm2837-rpi-3-b.dtb',
    early: PI_3.early,
    late: [...PI_3.late, 'smsc95xx'],
    radio: radio('43430', 'raspberrypi,3-model-b.'),
  },
  {
    name: 'Pi 3B+',
    tree: 'bcm2837-rpi-3-b-plus.dtb',
    early: PI_3.early,
    late: [...PI_3.late, 'lan78xx', 'onboard_usb_dev'],
    radio: radio('43455', 'raspberrypi,3-model-b-plus.'),
  },
  { name: 'Pi 4B', tree: 'bcm2711-rpi-4-b.dtb', ...PI_4, radio: radio('43455', 'raspberrypi,4-model-b.') },
  { name: 'Pi 400', tree: 'bcm2711-rpi-400.dtb', ...PI_4, radio: radio('43456', '') },
  {
    name: 'CM4',
    tree: 'bcm2711-rpi-cm4.dtb',
    ...PI_4,
    radio: radio('43455', 'raspberrypi,4-compute-module.'),
  },
  { name: 'Pi 5', tree: 'bcm2712-rpi-5-b.dtb', ...PI_5, radio: radio('43455', 'raspberrypi,5-model-b.') },
  {
    name: 'Pi 5, later chip',
    tree: 'bcm2712-d-rpi-5-b.dtb',
    ...PI_5,
    radio: radio('43455', 'raspberrypi,5-model-b.'),
  },
];

/** Of these boards neither the kernel nor U-Boot knows anything yet. */
const UNKNOWN_BOARDS = [
  ['CM5', 'bcm2712-rpi-cm5-cm5io.dtb'],
  ['Pi 500', 'bcm2712-rpi-500.dtb'],
] as const;

/** What the first stages read, and the least that each can be: a file that is cut short is as bad as none. */
const FIRMWARE_FILES: readonly (readonly [name: string, leastBytes: number, forWhom: string])[] = [
  ['bootcode.bin', 40_000, 'Pi 3'],
  ['start.elf', 2_000_000, 'Pi 3'],
  ['fixup.dat', 5_000, 'Pi 3'],
  ['start4.elf', 2_000_000, 'Pi 4'],
  ['fixup4.dat', 5_000, 'Pi 4'],
  ['u-boot.bin', 500_000, 'all'],
  ['config.txt', 100, 'all'],
  ['uboot.env', COPY_BYTES, 'all'],
  ['boot.scr', 1_000, 'all'],
  ['bcm2712-rpi-5-b.dtb', 10_000, 'Pi 5'],
  ['bcm2712d0-rpi-5-b.dtb', 10_000, 'Pi 5, later chip'],
];

export function inspect(disk: Disk): readonly Finding[] {
  return [
    ...table(disk),
    ...firmware(disk),
    ...bootScript(disk),
    ...state(disk),
    ...slot(disk),
    ...BOARDS.flatMap((board) => boardFindings(disk, board)),
    ...UNKNOWN_BOARDS.map(([name, tree]): Finding => {
      const there = disk.boot.has(`dtb/broadcom/${tree}`);
      return {
        what: `${name}: device tree`,
        verdict: there ? 'no' : 'gap',
        seen: there
          ? `${tree} has come: make ${name} a board`
          : 'neither Debian’s kernel nor its U-Boot knows the board',
      };
    }),
  ];
}

const finding = (what: string, problems: readonly string[], seen: string): Finding => ({
  what,
  verdict: problems.length === 0 ? 'yes' : 'no',
  seen: problems.length === 0 ? seen : problems.join('; '),
});

export interface TableEntry {
  readonly name: string;
  readonly startMib: number;
  readonly sizeMib: number;
}

/** The GPT at the beginning of a disk; null when a checksum is wrong. */
export function readTable(head: Buffer): readonly TableEntry[] | null {
  const header = Buffer.from(head.subarray(SECTOR_BYTES, SECTOR_BYTES + 92));
  if (header.toString('latin1', 0, 8) !== 'EFI PART') return null;
  const sum = header.readUInt32LE(16);
  header.writeUInt32LE(0, 16);
  const [count, bytes] = [header.readUInt32LE(80), header.readUInt32LE(84)];
  const entries = head.subarray(2 * SECTOR_BYTES, 2 * SECTOR_BYTES + count * bytes);
  if (crc32(header) !== sum || crc32(entries) !== header.readUInt32LE(88)) return null;
  return Array.from({ length: count }, (_, index) => entries.subarray(index * bytes, (index + 1) * bytes))
    .filter((entry) => entry.subarray(0, 16).some((byte) => byte !== 0))
    .map((entry) => {
      const [first, last] = [Number(entry.readBigUInt64LE(32)), Number(entry.readBigUInt64LE(40))];
      return {
        name: entry.toString('utf16le', 56, 128).replace(/\0.*$/s, ''),
        startMib: (first * SECTOR_BYTES) / MIB,
        sizeMib: ((last - first + 1) * SECTOR_BYTES) / MIB,
      };
    });
}

function table({ grown, head }: Disk): readonly Finding[] {
  const entries = readTable(head);
  const problems =
    entries === null
      ? ['its checksum is wrong']
      : PARTITIONS.filter(
          ({ name, startMib, sizeMib }, index) =>
            entries[index]?.name !== name ||
            entries[index].startMib !== startMib ||
            entries[index].sizeMib !== sizeMib,
        ).map(({ name }) => `${name} is not where it belongs`);
  const type = (entry: number): number => head.readUInt8(446 + 16 * entry + 4);
  const data = readTable(grown)?.find(({ name }) => name === 'data');
  const [start, size] = [head.readUInt32LE(462 + 8), head.readUInt32LE(462 + 12)];
  const [first] = PARTITIONS;
  const sectors = (mib: number | undefined): number => ((mib ?? 0) * MIB) / SECTOR_BYTES;
  return [
    finding('partition table (GPT)', problems, `${PARTITIONS.length} partitions, both checksums right`),
    finding(
      'master boot record for the Pi 3',
      [
        ...(head.readUInt16LE(510) === 0xaa55 ? [] : ['no signature']),
        ...(type(0) === 0xee ? [] : ['the first entry does not protect the GPT']),
        ...(type(1) === 0x0c && start === sectors(first?.startMib) && size === sectors(first?.sizeMib)
          ? []
          : ['the second entry is not the firmware partition']),
      ],
      `hybrid: 0xEE and FAT32 at sector ${start}`,
    ),
    finding(
      'data grows to the card',
      [
        ...((data?.sizeMib ?? 0) > 2048 ? [] : ['the partition has not grown']),
        ...(grown.subarray(446 + 16, 510).equals(head.subarray(446 + 16, 510))
          ? []
          : ['the master boot record is not hybrid any more']),
      ],
      `${data?.sizeMib.toFixed(0)} MiB of a card of 4096; the record stays hybrid`,
    ),
  ];
}

/** The settings of a config.txt that hold on a board: of sections without a filter, and of those named. */
export function configOf(text: string, sections: readonly string[]): ReadonlyMap<string, string> {
  let applies = true;
  const settings = new Map<string, string>();
  for (const line of text.split('\n').map((raw) => raw.replace(/#.*/, '').trim())) {
    const section = /^\[(.*)\]$/.exec(line)?.[1];
    if (section !== undefined) applies = section === 'all' || sections.includes(section);
    else if (applies && line.includes('='))
      settings.set(line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1));
  }
  return settings;
}

/** The variables of an environment of U-Boot (one copy, without a flag byte); null when its checksum is wrong. */
export function environmentOf(file: Buffer): ReadonlyMap<string, string> | null {
  if (file.length < 8 || file.readUInt32LE(0) !== crc32(file.subarray(4))) return null;
  const text = file.toString('latin1', 4, Math.max(4, file.indexOf('\0\0', 4, 'latin1')));
  return new Map(
    text
      .split('\0')
      .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)] as const),
  );
}

function firmware(disk: Disk): readonly Finding[] {
  const files = disk.firmware;
  const short = FIRMWARE_FILES.filter(([name, least]) => (files.get(name)?.length ?? 0) < least);
  const bytes = [...files.values()].reduce((sum, file) => sum + file.length, 0);
  const config = (files.get('config.txt') ?? Buffer.alloc(0)).toString();
  const wants = (sections: readonly string[], wanted: Readonly<Record<string, string>>): readonly string[] =>
    Object.entries(wanted)
      .filter(([key, value]) => configOf(config, sections).get(key) !== value)
      .map(([key, value]) => `${key}=${value} is missing on ${sections.join(', ')}`);
  const start = { arm_64bit: '1', kernel: 'u-boot.bin', upstream_kernel: '1' };
  const environment = environmentOf(files.get('uboot.env') ?? Buffer.alloc(0));
  return [
    finding(
      'firmware files',
      short.map(([name, least, forWhom]) => `${name} (${forWhom}): missing, or below ${least} bytes`),
      `${files.size} files, ${(bytes / MIB).toFixed(1)} MiB`,
    ),
    finding(
      'config.txt',
      [
        ...wants(['pi3'], { ...start, enable_uart: '1' }),
        ...wants(['pi4'], { ...start, enable_uart: '1' }),
        ...wants(['pi5'], start),
      ],
      'U-Boot in 64 bit on each, UART on Pi 3 and 4',
    ),
    finding(
      'uboot.env',
      environment === null
        ? ['its checksum is wrong']
        : [
            ...(files.get('uboot.env')?.length === COPY_BYTES
              ? []
              : ['not 16 KiB, as stock U-Boot wants it']),
            ...(environment.get('bootdelay') === '-2' ? [] : ['a key can stop U-Boot (bootdelay)']),
            ...(environment.get('stdin') === 'nulldev' ? [] : ['U-Boot reads keys (stdin)']),
            ...(/boot\.scr/.test(environment.get('bootcmd') ?? '') ? [] : ['bootcmd does not run boot.scr']),
            ...(environment.has('preboot') ? ['preboot scans buses'] : []),
          ],
      `CRC right, ${environment?.size ?? 0} variables, no key is read`,
    ),
  ];
}

/** The text in a script image of U-Boot (legacy format); null when it is none, or a checksum is wrong. */
export function scriptOf(file: Buffer): string | null {
  if (file.length < 72 || file.readUInt32BE(0) !== 0x27051956) return null;
  const header = Buffer.from(file.subarray(0, 64));
  const sum = header.readUInt32BE(4);
  header.writeUInt32BE(0, 4);
  const data = file.subarray(64, 64 + header.readUInt32BE(12));
  const isScript = header.readUInt8(30) === 6;
  if (crc32(header) !== sum || crc32(data) !== header.readUInt32BE(24) || !isScript) return null;
  // A list of lengths, ended by 0, then the texts; ours has one.
  return data.toString('utf8', 8, 8 + data.readUInt32BE(0));
}

/** Nothing may lie over anything else: where QEMU leaves the firmware's device tree, and the end of 256 MiB. */
const FIRMWARE_TREE = 0x0800_0000;
const MEMORY_END = 0x1000_0000;

function bootScript({ boot, firmware: files }: Disk): readonly Finding[] {
  const script = scriptOf(files.get('boot.scr') ?? Buffer.alloc(0));
  if (script === null) return [finding('boot.scr', ['no script of U-Boot, or a checksum is wrong'], '')];
  // The last assignment is that of the Pi; the first one QEMU's.
  const address = (name: string): number =>
    Number([...script.matchAll(new RegExp(`setenv ${name} (0x[0-9a-f]+)`, 'g'))].at(-1)?.[1] ?? Number.NaN);
  const kernel = gunzipped(boot.get('Image.gz'));
  const kernelBytes = kernel.length < 64 ? Number.NaN : Number(kernel.readBigUInt64LE(16));
  const initrdBytes = boot.get('initrd.img')?.length ?? Number.NaN;
  const spans: readonly (readonly [what: string, start: number, end: number])[] = [
    ['device tree', address('fdt_addr_r'), address('fdt_addr_r') + 256 * 1024],
    ['boot state', address('state_addr'), address('state_addr') + 2 * COPY_BYTES + COPY_OFFSETS[1]],
    ['kernel', address('kernel_addr_r'), address('kernel_addr_r') + kernelBytes],
    ['tree of the firmware', FIRMWARE_TREE, FIRMWARE_TREE + MIB],
    ['unpacked kernel', address('kernel_comp_addr_r'), address('kernel_comp_addr_r') + kernel.length],
    ['initial RAM disk', address('ramdisk_addr_r'), address('ramdisk_addr_r') + initrdBytes],
    ['memory of every board', MEMORY_END, MEMORY_END],
  ];
  const over = spans.slice(1).flatMap(([what, start], index) => {
    const [before, , end] = spans[index] ?? ['', 0, 0];
    return end <= start ? [] : [`${before} reaches into ${what}`];
  });
  return [
    finding(
      'boot.scr',
      /spyoncino: booting slot/.test(script) ? [] : ['another script than ours'],
      `${script.length} bytes, both checksums right`,
    ),
    finding(
      'places in memory',
      kernel.length <= address('kernel_comp_size')
        ? over
        : [...over, 'the kernel is larger than kernel_comp_size'],
      `kernel ${(kernelBytes / MIB).toFixed(1)} MiB, initial RAM disk ${(initrdBytes / MIB).toFixed(1)} MiB, nothing overlaps`,
    ),
  ];
}

function gunzipped(file: Buffer | undefined): Buffer {
  try {
    return file === undefined ? Buffer.alloc(0) : gunzipSync(file);
  } catch {
    return Buffer.alloc(0);
  }
}

function state({ bootState }: Disk): readonly Finding[] {
  const [first, second] = COPY_OFFSETS.map((offset) => bootState.subarray(offset, offset + COPY_BYTES));
  const copies: readonly [Buffer, Buffer] = [first ?? Buffer.alloc(0), second ?? Buffer.alloc(0)];
  const found = newest(copies);
  const { A, B } = found?.state.slots ?? {};
  return [
    finding(
      'boot state',
      [
        ...copies.flatMap((copy, index) => (decode(copy) === null ? [`copy ${index + 1} is not valid`] : [])),
        ...(A?.state === 'good' && A.left > 0 ? [] : ['slot A would not be started']),
      ],
      `both copies valid; A ${A?.state} ${A?.left}, B ${B?.state}`,
    ),
  ];
}

function slot({ boot, verity }: Disk): readonly Finding[] {
  const env = boot.get('slot.env')?.toString() ?? '';
  const missing = ['Image.gz', 'initrd.img', 'slot.env'].filter((name) => !boot.has(name));
  const version = /^version=(.+)$/m.exec(env)?.[1];
  return [
    finding(
      'boot slot A',
      missing.map((name) => `${name} is missing`),
      `version ${version}, ${boot.size} files`,
    ),
    finding(
      'root slot A is what its hash tree says',
      verity === null ? [] : [verity],
      `root hash ${/^verity=([0-9a-f]{12})/m.exec(env)?.[1]}…`,
    ),
  ];
}

const moduleName = (path: string): string =>
  (path.split('/').at(-1) ?? '').replace(/\.ko(?:\.xz|\.zst)?$/, '');

function boardFindings({ boot, root, builtin, initrd }: Disk, board: Board): readonly Finding[] {
  const builtIn = new Set(builtin.split('\n').map(moduleName));
  const modulesOf = (paths: ReadonlySet<string>): ReadonlySet<string> =>
    new Set([...paths].filter((path) => path.includes('.ko')).map(moduleName));
  // The kernel takes - and _ for the same.
  const normal = (names: ReadonlySet<string>): ReadonlySet<string> =>
    new Set([...names].map((name) => name.replaceAll('-', '_')));
  const [early, late] = [normal(modulesOf(initrd)), normal(modulesOf(root))];
  const has = (where: ReadonlySet<string>, name: string): boolean =>
    where.has(name.replaceAll('-', '_')) || normal(builtIn).has(name.replaceAll('-', '_'));
  return [
    finding(
      `${board.name}: device tree`,
      boot.has(`dtb/broadcom/${board.tree}`) ? [] : [`${board.tree} is missing`],
      board.tree,
    ),
    finding(
      `${board.name}: drivers`,
      [
        ...board.early
          .filter((name) => !has(early, name))
          .map((name) => `${name} is not in the initial RAM disk`),
        ...[...board.early, ...board.late]
          .filter((name) => !has(late, name))
          .map((name) => `${name} is not in the root file system`),
        ...board.radio
          .filter((name) => !root.has(`usr/lib/firmware/brcm/${name}`))
          .map((name) => `${name} is missing`),
      ],
      [...board.early, ...board.late].join(', '),
    ),
  ];
}
