/** What a release consists of beside image and bundle: compressed image, block map, bill of materials, list for Imager, checksums. */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { billOf, debianPackages, npmPackages, unpackedPackages, type Component } from './bill.ts';
import { BuildError } from './error.ts';
import { imagerList } from './imager.ts';
import { licensed } from './licences.ts';
import type { Target } from './targets.ts';

/** A compressed image above this does not go out. */
const LIMIT_BYTES = 350_000_000;

/** What an image is laid together from, in the cache; an upper one first. */
const treesOf = (architecture: string): readonly string[] => [
  `rauc-${architecture}/tree/root`,
  `kernel-${architecture}/root`,
  `debian-${architecture}`,
];

export interface Release {
  readonly source: string;
  readonly cache: string;
  readonly target: Target;
  readonly version: string;
  readonly disk: string;
  readonly bundle: string;
  /** Of who signs, in the cache. */
  readonly keyDir: string;
  /** Where it will be downloaded from. */
  readonly url: string;
}

/** Paths of all of them, the checksums last. Throws BuildError when a step fails or the image is too large. */
export function writeArtefacts(release: Release): readonly string[] {
  const { bundle, cache, disk, source, target, version } = release;
  const epoch = Number(process.env['SOURCE_DATE_EPOCH'] ?? 1_795_000_000);
  const time = new Date(epoch * 1000).toISOString();
  const out = dirname(disk);
  const inToolbox = (path: string): string => path.replace(cache, '/cache');
  const inside = (step: string, ...args: readonly string[]): void => {
    const command = [cache, `/source/os-image/recipe/${step}`, ...args];
    const { status } = spawnSync(`${source}/os-image/recipe/inside.sh`, command, {
      stdio: ['ignore', 'inherit', 'inherit'],
    });
    if (status !== 0) throw new BuildError(`${step} failed (${status ?? 'killed'})`);
  };

  inside('artefacts.sh', inToolbox(disk));
  const compressed = `${disk}.xz`;
  const fileBytes = statSync(compressed).size;
  if (fileBytes > LIMIT_BYTES)
    throw new BuildError(`${basename(compressed)} has ${fileBytes} bytes, more than ${LIMIT_BYTES}`);

  const bill = `${out}/spyoncino-${version}-${target.name}.cdx.json`;
  writeFileSync(bill, `${JSON.stringify(billOf(version, time, components(cache, target)), null, 1)}\n`);

  const licences = `${out}/spyoncino-${version}-${target.name}.licences.tar.xz`;
  const trees = [
    ...treesOf(target.architecture),
    `agent-${target.architecture}/layer`,
    `firmware-${target.name}/partition`,
  ].map((tree) => `/cache/${tree}`);
  inside('licences.sh', inToolbox(licences), ...trees);

  const written = [compressed, `${disk}.bmap`, bill, licences, bundle];
  if (target.name === 'raspberrypi') {
    const icon = `${out}/spyoncino.svg`;
    copyFileSync(`${source}/os-image/build/icon.svg`, icon);
    const list = `${out}/os_list.json`;
    const entry = imagerList({
      url: release.url.replace(/\/$/, ''),
      version,
      date: time.slice(0, 10),
      file: basename(compressed),
      fileBytes,
      fileSha256: createHash('sha256').update(readFileSync(compressed)).digest('hex'),
      diskBytes: statSync(disk).size,
      diskSha256: readFileSync(`${disk}.sha256`, 'utf8').trim(),
      icon: basename(icon),
    });
    writeFileSync(list, `${JSON.stringify(entry, null, 2)}\n`);
    written.push(icon, list);
  }
  const sums = `${out}/spyoncino-${version}-${target.name}.SHA256SUMS`;
  inside('sign.sh', `/cache/${release.keyDir}`, inToolbox(sums), ...written.map((path) => basename(path)));
  for (const path of written)
    process.stderr.write(`image: ${basename(path)}: ${(statSync(path).size / 1e6).toFixed(1)} MB\n`);
  return [...written, sums, `${sums}.cms`];
}

function components(cache: string, { name, architecture }: Target): readonly Component[] {
  const text = (path: string): string => readFileSync(`${cache}/${path}`, 'utf8');
  const agent = `agent-${architecture}/layer/opt/spyoncino`;
  const firmware = `firmware-${name}/packages.tsv`;
  const debian = [
    ...debianPackages(text(`debian-${architecture}/var/lib/dpkg/status`)),
    ...unpackedPackages(text(`kernel-${architecture}/packages.tsv`)),
    ...unpackedPackages(text(`rauc-${architecture}/tree/packages.tsv`)),
    ...(existsSync(`${cache}/${firmware}`) ? unpackedPackages(text(firmware)) : []),
  ];
  const copyright = (of: string): string | null => {
    const places = [
      ...treesOf(architecture).map((tree) => `${tree}/usr/share/doc/${of}/copyright`),
      `firmware-${name}/partition/${of}.copyright`,
    ];
    const place = places.find((path) => existsSync(`${cache}/${path}`));
    return place === undefined ? null : text(place);
  };
  return [
    ...debian.map((component) => licensed(component, copyright(component.name))),
    ...npmPackages(
      JSON.parse(text(`${agent}/node_modules/.package-lock.json`)) as Parameters<typeof npmPackages>[0],
      (path) => existsSync(`${cache}/${agent}/${path}`),
    ),
  ];
}
