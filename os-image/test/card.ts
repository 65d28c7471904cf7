/** Versions of the image, and cards flashed with them as an owner does it. */
import {
  closeSync,
  createReadStream,
  mkdirSync,
  openSync,
  readSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { Decoder, Demuxer } from 'node-av/api';
import type { Target } from '../build/targets.ts';
import { cache, root, run, startBytes, toolbox } from './toolbox.ts';

/** 0.1.0 is what a card is flashed with, 0.2.0 an update that works. Those that are broken: broken.ts. */
export const VERSIONS = { first: '0.1.0', next: '0.2.0' } as const;

export const bundleOf = (version: string, architecture = 'arm64'): string =>
  `${cache}/out/spyoncino-${version}-${architecture}.raucb`;

/** Two versions that work; nothing is done when they are there already. */
export function buildVersions(target: Target['name']): void {
  for (const version of [VERSIONS.first, VERSIONS.next])
    run(`${root}/scripts/build-image`, [target, '--fast', '--version', version]);
}

/** Of a version that is made for tests: its folder below the cache. */
export const slotOf = (version: string): string => `vm/slot-${version}`;

/** A version with a folder of files laid over the rest of its root file system. */
export function buildOver(version: string, files: Readonly<Record<string, string>>): void {
  const layer = `${cache}/vm/over-${version}`;
  rmSync(layer, { recursive: true, force: true });
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(`${layer}/${path}`.replace(/\/[^/]*$/, ''), { recursive: true });
    writeFileSync(`${layer}/${path}`, content);
  }
  const slot = `/cache/${slotOf(version)}`;
  const recipe = '/source/os-image/recipe';
  toolbox(
    `${recipe}/slot.sh`,
    ...['/cache', 'arm64', version, '/cache/keyring.pem', slot, '3', `/cache/vm/over-${version}`],
  );
  toolbox(`${recipe}/bundle.sh`, slot, '/cache/keys', `/cache/out/spyoncino-${version}-arm64.raucb`);
}

export const CAMERA = 'attic';

/** The kernel's own camera, and settings as an owner writes them. Detection is off, as emulation is slow. */
export const SETTINGS = `hostname: attic
timezone: Europe/Berlin
config:
  cameras:
    - camera_id: ${CAMERA}
      usb_port: auto
      width: 320
      height: 180
      fps: 5
      detection: { enabled: false }
      recording: { pre_seconds: 2, post_seconds: 2 }
`;

/** A root shell on the second serial line, and the camera that SETTINGS name. */
export const KERNEL_ARGS =
  'systemd.debug_shell=ttyAMA1 modules_load=vivid vivid.n_devs=1 vivid.node_types=0x1';

/** The same where the serial lines are those of a PC; the console of the boot is the first of them. */
export const KERNEL_ARGS_PC = `console=ttyS0 ${KERNEL_ARGS.replace('ttyAMA1', 'ttyS1')}`;

export interface CardOptions {
  readonly target?: Target['name'];
  /** `spyoncino.yaml`; null: a card as it comes, without one. */
  readonly settings?: string | null;
  readonly kernelArgs?: string;
  readonly sizeMib?: number;
}

/** A card of 4 GiB as somebody flashes it, with files put on its first partition. Its path is below the cache. */
export class Card implements Disposable {
  /** Below the cache: `${cache}/${path}`, `/cache/${path}` in the toolbox. */
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  static flash(
    name: string,
    {
      target = 'qemu-arm64',
      settings = SETTINGS,
      kernelArgs = KERNEL_ARGS,
      sizeMib = 4096,
    }: CardOptions = {},
  ): Card {
    mkdirSync(`${cache}/vm`, { recursive: true });
    const card = new Card(`vm/${name}.img`);
    const disk = `/cache/${card.path}`;
    toolbox('cp', '--sparse=always', `/cache/out/spyoncino-${VERSIONS.first}-${target}.img`, disk);
    toolbox('truncate', '-s', `${sizeMib}M`, disk);
    // The first line is for GRUB; U-Boot takes it for a comment.
    card.putOnFirmware('spyoncino.env', `# GRUB Environment Block\nspyoncino_args=${kernelArgs}\n`);
    if (settings !== null) card.putOnFirmware('spyoncino.yaml', settings);
    return card;
  }

  /** As from a computer that the card is plugged into. */
  putOnFirmware(name: string, content: string): void {
    const file = `vm/${name}`;
    writeFileSync(`${cache}/${file}`, content);
    const partition = `/cache/${this.path}@@${startBytes('firmware')}`;
    toolbox('mcopy', '-o', '-i', partition, `/cache/${file}`, '::');
  }

  /** How often each of these is found on the disk, or in its data partition alone; read as it lies on this machine. */
  async find(patterns: readonly Buffer[], within: 'disk' | 'data'): Promise<readonly number[]> {
    const counts = patterns.map(() => 0);
    const overlap = Math.max(...patterns.map(({ length }) => length)) - 1;
    let tail = Buffer.alloc(0);
    const start = within === 'data' ? startBytes('data') : 0;
    const stream = createReadStream(`${cache}/${this.path}`, { start, highWaterMark: 16 * 1024 * 1024 });
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      const bytes = Buffer.concat([tail, chunk]);
      patterns.forEach((pattern, index) => {
        // What lies wholly in the tail was counted before.
        let at = bytes.indexOf(pattern, Math.max(0, tail.length - pattern.length + 1));
        for (; at >= 0; at = bytes.indexOf(pattern, at + 1)) counts[index]! += 1;
      });
      tail = bytes.subarray(Math.max(0, bytes.length - overlap));
    }
    return counts;
  }

  /** Bytes of a partition, while the box is switched off. */
  read(partition: string, offset: number, length: number): Buffer {
    const bytes = Buffer.alloc(length);
    const file = openSync(`${cache}/${this.path}`, 'r');
    try {
      readSync(file, bytes, 0, length, startBytes(partition) + offset);
    } finally {
      closeSync(file);
    }
    return bytes;
  }

  write(partition: string, offset: number, bytes: Buffer): void {
    const file = openSync(`${cache}/${this.path}`, 'r+');
    try {
      writeSync(file, bytes, 0, bytes.length, startBytes(partition) + offset);
    } finally {
      closeSync(file);
    }
  }

  /** Pictures in a clip below the data directory, of a card that is switched off. */
  async picturesOf(clip: string): Promise<number> {
    const copy = this.path.replace(/img$/, 'mp4');
    rmSync(`${cache}/${copy}`, { force: true });
    const data = `/cache/${this.path}?offset=${startBytes('data')}`;
    toolbox('debugfs', '-R', `dump /spyoncino/${clip} /cache/${copy}`, data);
    return picturesIn(`${cache}/${copy}`);
  }

  [Symbol.dispose](): void {
    rmSync(`${cache}/${this.path}`, { force: true });
  }
}

/** Pictures that come out of a clip, played to its end. */
export async function picturesIn(path: string): Promise<number> {
  await using input = await Demuxer.open(path);
  const video = input.video();
  if (!video) throw new Error(`${path} has no video`);
  using decoder = await Decoder.create(video);
  let pictures = 0;
  for await (const frame of decoder.frames(input.packets(video.index))) {
    if (frame !== null) pictures += 1;
    frame?.free();
  }
  return pictures;
}
