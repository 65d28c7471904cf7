/** Bundles that nobody should install, and versions that do not work, each in its way. */
import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { buildOver, bundleOf, slotOf } from './card.ts';
import { cache, toolbox } from './toolbox.ts';

const RECIPE = '/source/os-image/recipe';

/** Versions that work up to a point: `crashing` has an agent that ends at once, `blind` camera processes that do. */
export const BROKEN = { crashing: '0.3.0', unbootable: '0.4.0', blind: '0.5.0' } as const;

const FILES_OVER = {
  [BROKEN.crashing]: {
    'usr/lib/systemd/system/spyoncino-modular.service.d/broken.conf':
      '[Service]\nExecStart=\nExecStart=/bin/false\n',
  },
  [BROKEN.blind]: { 'opt/spyoncino/device/camera-host.ts': 'process.exit(1);\n' },
} as const;

/** Each needs the parts of a version that works. */
export function buildBroken(): void {
  buildOver(BROKEN.crashing, FILES_OVER[BROKEN.crashing]);
  buildOver(BROKEN.blind, FILES_OVER[BROKEN.blind]);
  buildUnbootable(BROKEN.unbootable, BROKEN.crashing);
}

/** The root file system of another version under a root hash that is not its own: the kernel starts, and finds no root. */
function buildUnbootable(version: string, of: string): void {
  const slot = slotOf(version);
  rmSync(`${cache}/${slot}`, { recursive: true, force: true });
  toolbox('cp', '-r', '--sparse=always', `/cache/${slotOf(of)}`, `/cache/${slot}`);
  const boot = `/cache/${slot}/boot.img`;
  toolbox('debugfs', '-R', `dump slot.env /cache/${slot}/slot.env`, boot);
  const env = readFileSync(`${cache}/${slot}/slot.env`, 'utf8');
  const other = env.replace(/^verity=[0-9a-f]{8}/m, 'verity=00000000');
  writeFileSync(`${cache}/${slot}/slot.env`, other.replace(/^version=.*/m, `version=${version}`));
  toolbox('debugfs', '-w', '-R', 'rm slot.env', boot);
  toolbox('debugfs', '-w', '-R', `write /cache/${slot}/slot.env slot.env`, boot);
  writeFileSync(`${cache}/${slot}/version`, `${version}\n`);
  bundle(version, slot, 'keys');
}

const bundle = (version: string, slot: string, keys: string, ...compatible: readonly string[]): void =>
  toolbox(
    ...[`${RECIPE}/bundle.sh`, `/cache/${slot}`, `/cache/${keys}`],
    ...[bundleOf(version).replace(cache, '/cache'), ...compatible],
  );

/** Newer than all, and no system in it: what is refused is refused before that is looked at. */
function buildHollow(version: string, keys: string, compatible: string): Buffer {
  const slot = slotOf('hollow');
  mkdirSync(`${cache}/${slot}`, { recursive: true });
  writeFileSync(`${cache}/${slot}/root.img`, randomBytes(8 * 1024 * 1024));
  writeFileSync(`${cache}/${slot}/boot.img`, randomBytes(64 * 1024));
  writeFileSync(`${cache}/${slot}/version`, `${version}\n`);
  bundle(version, slot, keys, compatible);
  const content = readFileSync(bundleOf(version));
  rmSync(bundleOf(version));
  return content;
}

export interface BadBundle {
  /** As in "a bundle that is …". */
  readonly name: string;
  readonly content: Buffer;
  readonly code: RegExp;
}

export function badBundles(older: string): readonly BadBundle[] {
  const hollow = '0.9.0';
  const good = buildHollow(hollow, 'keys', 'spyoncino-arm64');
  const torn = Buffer.from(good);
  torn.fill(0, torn.length - 600, torn.length - 300);
  toolbox(`${RECIPE}/keys.sh`, '/cache/vm/keys-of-a-stranger');
  return [
    { name: 'older', content: readFileSync(bundleOf(older)), code: /UPDATE_OLDER/ },
    {
      name: 'truncated',
      content: good.subarray(0, good.length >> 1),
      code: /UPDATE_TRUNCATED|UPDATE_UNSIGNED/,
    },
    {
      name: 'of a signature that is not whole',
      content: torn,
      code: /UPDATE_TRUNCATED|UPDATE_UNSIGNED/,
    },
    {
      name: 'signed by a stranger',
      content: buildHollow(hollow, 'vm/keys-of-a-stranger', 'spyoncino-arm64'),
      code: /UPDATE_UNSIGNED/,
    },
    {
      name: 'for another board',
      content: buildHollow(hollow, 'keys', 'spyoncino-toaster'),
      code: /UPDATE_WRONG_BOARD/,
    },
  ];
}
