/** Versions of the image, and cards flashed with them as an owner does it. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { Decoder, Demuxer } from 'node-av/api';
import { cache, root, run, startBytes, toolbox } from './toolbox.ts';

/** 0.1.0 is what a card is flashed with, 0.2.0 an update that works; those from 0.3.0 on are broken, each in its way. */
export const VERSIONS = { first: '0.1.0', next: '0.2.0', broken: '0.3.0' } as const;

export const bundleOf = (version: string): string => `${cache}/out/spyoncino-${version}-arm64.raucb`;

/** Two versions that work; nothing is done when they are there already. */
export function buildVersions(): void {
  for (const version of [VERSIONS.first, VERSIONS.next])
    run(`${root}/scripts/build-image`, ['qemu-arm64', '--fast', '--version', version]);
}

/** A version with a folder of files laid over the rest of its root file system. */
export function buildOver(version: string, files: Readonly<Record<string, string>>): void {
  const layer = `${cache}/vm/over-${version}`;
  rmSync(layer, { recursive: true, force: true });
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(`${layer}/${path}`.replace(/\/[^/]*$/, ''), { recursive: true });
    writeFileSync(`${layer}/${path}`, content);
  }
  const slot = `/cache/vm/slot-${version}`;
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

export interface CardOptions {
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
    { settings = SETTINGS, kernelArgs = KERNEL_ARGS, sizeMib = 4096 }: CardOptions = {},
  ): Card {
    mkdirSync(`${cache}/vm`, { recursive: true });
    const card = new Card(`vm/${name}.img`);
    const disk = `/cache/${card.path}`;
    toolbox('cp', '--sparse=always', `/cache/out/spyoncino-${VERSIONS.first}-qemu-arm64.img`, disk);
    toolbox('truncate', '-s', `${sizeMib}M`, disk);
    card.putOnFirmware('spyoncino.env', `spyoncino_args=${kernelArgs}\n`);
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

  /** Pictures in a clip below the data directory, of a card that is switched off. */
  async picturesOf(clip: string): Promise<number> {
    const copy = 'vm/clip.mp4';
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
