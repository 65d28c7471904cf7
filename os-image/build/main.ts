/** `scripts/build-image TARGET`: makes a disk image and an update bundle, step by step; a step whose inputs are the same is skipped. */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  closeSync,
  existsSync,
  globSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { writeArtefacts } from './artefacts.ts';
import { FACTORY_STATE, volumeOf } from '../boot-state/codec.ts';
import { SPARE } from '../boot-state/grub.ts';
import { BuildError } from './error.ts';
import { writeHashIndexes } from './hash-index.ts';
import { takeKeys } from './keys.ts';
import { DISK_MIB, hybridMbr, PARTITIONS, SECTOR_BYTES, sfdiskScript, UEFI_PARTITIONS } from './layout.ts';
import { isUefi, targetNamed, TARGETS, type Target } from './targets.ts';

const USAGE = `Usage: ./scripts/build-image TARGET [--version VERSION] [--fast] [--keys DIR] [--artefacts]

Makes a disk image and an update bundle in .cache/image/out, from Debian packages and the npm registry alone. Needs root (or sudo),
Debian's apt and 6 GB; what it uses is kept in .cache/image, nothing is installed.

Targets: ${TARGETS.map(({ name }) => name).join(', ')}
  --version VERSION  called so instead of the version in package.json (to try updates)
  --fast             compresses little: quicker to make, a third larger
  --keys DIR         ca.pem, signer.pem and signer.key for bundles; without it, keys for development are made
  --kernel debian    the only one there is. \`rpi\` (Raspberry Pi's own: CSI cameras, its codec, tryboot) is refused
  --artefacts        what a release consists of as well: compressed image, block map, bill of materials, checksums, and the
                     list for Raspberry Pi Imager
  --url URL          where the artefacts will be downloaded from (for that list)
`;

const NO_RPI_KERNEL =
  "Raspberry Pi's own kernel is not built here: it is no Debian package, boots none of the machines that we test with, and needs " +
  'slots of its own. Without it CSI cameras and the hardware codec do not work; USB and network cameras do.';

const root = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');
const cache = process.env['SPYONCINO_IMAGE_CACHE'] ?? `${root}/.cache/image`;
const recipe = `${root}/os-image/recipe`;

/** Runs a program with its output shown. */
function run(program: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): void {
  const { status, error } = spawnSync(program, args, {
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...process.env, ...env },
  });
  if (error) throw new BuildError(`${program}: ${error.message}`);
  if (status !== 0) throw new BuildError(`${program.replace(`${root}/`, '')} failed (${status ?? 'killed'})`);
}

const inside = (step: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): void =>
  run(`${recipe}/inside.sh`, [cache, `/source/os-image/recipe/${step}`, ...args], env);

/** A hash over the content of files and folders, in the repository or the cache. */
function fingerprint(paths: readonly string[]): string {
  const hash = createHash('sha256');
  for (const path of paths) {
    const files = statSync(path).isDirectory()
      ? globSync('**', { cwd: path })
          .sort()
          .map((name) => `${path}/${name}`)
      : [path];
    for (const file of files) {
      if (statSync(file).isFile()) hash.update(`${relative(root, file)}\0`).update(readFileSync(file));
    }
  }
  return hash.digest('hex');
}

/** Does `work` unless it was done before with the same `inputs`; says how long it took. Returns this step's key. */
function step(name: string, inputs: readonly string[], work: () => void, outputs: readonly string[]): string {
  const key = createHash('sha256').update(inputs.join('\n')).digest('hex');
  const stamp = `${cache}/stamps/${name}`;
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === key && outputs.every((path) => existsSync(path))) {
    process.stderr.write(`image: ${name}: unchanged\n`);
    return key;
  }
  rmSync(stamp, { force: true });
  const started = performance.now();
  work();
  writeFileSync(stamp, key);
  process.stderr.write(`image: ${name}: ${((performance.now() - started) / 1000).toFixed(0)} s\n`);
  return key;
}

export interface Built {
  readonly disk: string;
  readonly bundle: string;
  readonly artefacts: readonly string[];
}

interface Options {
  readonly version: string;
  readonly fast: boolean;
  readonly keys: string | null;
  /** Where artefacts will be downloaded from; null: none are made. */
  readonly url: string | null;
}

export function build(target: Target, { version, fast, keys, url }: Options): Built {
  mkdirSync(`${cache}/stamps`, { recursive: true });
  mkdirSync(`${cache}/out`, { recursive: true });
  run(`${recipe}/toolbox.sh`, [cache]);
  const { architecture, cpu } = target;
  const foreign = { SPYONCINO_FOREIGN: architecture };
  const files = (...names: string[]): string => fingerprint(names.map((name) => `${root}/os-image/${name}`));

  const debian = step(
    `debian-${architecture}`,
    [files('recipe/debian.sh', 'recipe/debian.packages')],
    () => {
      rmSync(`${cache}/debian-${architecture}`, { recursive: true, force: true });
      inside('debian.sh', [architecture, `/cache/debian-${architecture}`], foreign);
    },
    [`${cache}/debian-${architecture}`],
  );
  const kernel = step(
    `kernel-${architecture}`,
    [files('recipe/kernel.sh', 'recipe/modules.list', `recipe/modules.${architecture}.list`)],
    () => inside('kernel.sh', [architecture, `/cache/kernel-${architecture}`]),
    [`${cache}/kernel-${architecture}/version`],
  );
  const rauc = step(
    `rauc-${architecture}`,
    [files('recipe/rauc.sh')],
    () => inside('rauc.sh', [architecture, `/cache/rauc-${architecture}`]),
    [`${cache}/rauc-${architecture}/tree/root`],
  );
  const initrd = step(
    `initrd-${architecture}`,
    [debian, kernel, files('recipe/initrd.sh', 'initrd')],
    () => inside('initrd.sh', ['/cache', architecture, `/cache/initrd-${architecture}.img`]),
    [`${cache}/initrd-${architecture}.img`],
  );
  const agentDir = `${cache}/agent-${architecture}`;
  run(`${recipe}/agent.sh`, [root, cpu, agentDir]);
  const layer = `${agentDir}/layer/opt/spyoncino`;
  const agent = [
    readFileSync(`${agentDir}/packages.stamp`, 'utf8'),
    fingerprint([`${layer}/device`, `${layer}/config`, `${layer}/os-image`].map((path) => path)),
  ].join(' ');

  // Given ones have a folder of their own, so that the key of development never signs in their place.
  const keyDir = keys === null ? 'keys' : 'keys-given';
  if (keys === null) inside('keys.sh', [`/cache/${keyDir}`]);
  else copyKeys(keys, `${cache}/${keyDir}`);
  const slotName = `slot-${architecture}-${version}`;
  const slot = step(
    slotName,
    [
      debian,
      rauc,
      kernel,
      initrd,
      agent,
      version,
      String(fast),
      fingerprint([`${cache}/${keyDir}/ca.pem`]),
      files('recipe/slot.sh', 'overlay'),
    ],
    () => {
      run('cp', [`${cache}/${keyDir}/ca.pem`, `${cache}/keyring.pem`]);
      inside('slot.sh', [
        '/cache',
        architecture,
        version,
        '/cache/keyring.pem',
        `/cache/${slotName}`,
        fast ? '3' : '15',
      ]);
    },
    [`${cache}/${slotName}/root.img`, `${cache}/${slotName}/boot.img`],
  );

  const layout = isUefi(target) ? 'layout-uefi' : 'layout';
  writeLayout(`${cache}/${layout}`, target);
  const firmwareDir = `firmware-${target.name}`;
  const firmware = step(
    firmwareDir,
    [kernel, fingerprint([`${cache}/${layout}`]), files(`recipe/${target.firmware}`, 'boot')],
    () => inside(target.firmware, ['/cache', architecture, `/cache/${layout}`, `/cache/${firmwareDir}`]),
    [`${cache}/${firmwareDir}/partition`],
  );

  const disk = `spyoncino-${version}-${target.name}.img`;
  step(
    disk,
    [slot, firmware, fingerprint([`${cache}/${layout}`]), files('recipe/disk.sh', 'build/hash-index.ts')],
    () => {
      writeHashIndexes(`${cache}/${slotName}`);
      inside('disk.sh', [
        `/cache/${slotName}`,
        `/cache/${firmwareDir}/partition`,
        `/cache/${layout}`,
        `/cache/out/${disk}`,
      ]);
      if (target.hasHybridMbr) makeHybrid(`${cache}/out/${disk}`);
    },
    [`${cache}/out/${disk}`],
  );
  const bundle = `spyoncino-${version}-${architecture}.raucb`;
  step(
    bundle,
    [slot, fingerprint([`${cache}/${keyDir}/signer.pem`]), files('recipe/bundle.sh')],
    () =>
      inside('bundle.sh', [
        `/cache/${slotName}`,
        `/cache/${keyDir}`,
        `/cache/out/${bundle}`,
        `spyoncino-${architecture}`,
      ]),
    [`${cache}/out/${bundle}`],
  );
  const built = { disk: `${cache}/out/${disk}`, bundle: `${cache}/out/${bundle}` };
  const artefacts =
    url === null ? [] : writeArtefacts({ source: root, cache, target, version, ...built, keyDir, url });
  return { ...built, artefacts };
}

/** In place: the first stage of a Pi 3 finds the firmware partition in the master boot record. */
function makeHybrid(disk: string): void {
  const firmware = PARTITIONS.find(({ name }) => name === 'firmware');
  if (firmware === undefined) throw new BuildError('there is no firmware partition');
  const file = openSync(disk, 'r+');
  try {
    const record = Buffer.alloc(SECTOR_BYTES);
    readSync(file, record, 0, SECTOR_BYTES, 0);
    writeSync(file, hybridMbr(record, firmware), 0, SECTOR_BYTES, 0);
  } finally {
    closeSync(file);
  }
}

function copyKeys(from: string, to: string): void {
  try {
    takeKeys(from, to);
  } catch (error) {
    throw new BuildError(`--keys: ${(error as Error).message}`);
  }
}

function writeLayout(dir: string, target: Target): void {
  mkdirSync(dir, { recursive: true });
  writeFileSync(`${dir}/table`, sfdiskScript(isUefi(target) ? UEFI_PARTITIONS : PARTITIONS));
  writeFileSync(
    `${dir}/places`,
    PARTITIONS.map(({ name, startMib, sizeMib }) => `${name} ${startMib} ${sizeMib}\n`).join(''),
  );
  writeFileSync(`${dir}/disk_mib`, `${DISK_MIB}\n`);
  writeFileSync(`${dir}/boot_state.img`, volumeOf(FACTORY_STATE, target.bootState));
  if (isUefi(target)) writeFileSync(`${dir}/spare.env`, SPARE);
}

function main(argv: readonly string[]): number {
  const { values, positionals } = parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: {
      help: { type: 'boolean', short: 'h' },
      version: { type: 'string' },
      fast: { type: 'boolean', default: false },
      keys: { type: 'string' },
      kernel: { type: 'string', default: 'debian' },
      artefacts: { type: 'boolean', default: false },
      url: { type: 'string', default: 'https://downloads.example/spyoncino' },
    },
  });
  const target = targetNamed(positionals[0]);
  if (values.help || target === undefined) {
    (values.help ? process.stdout : process.stderr).write(USAGE);
    return values.help ? 0 : 2;
  }
  if (values.kernel !== 'debian') {
    process.stderr.write(
      `image: ${values.kernel === 'rpi' ? NO_RPI_KERNEL : `no kernel is called ${values.kernel}`}\n`,
    );
    return 2;
  }
  // Somebody's keys never stay here, whatever becomes of the build (or became of the one before).
  const forgetKeys = (): void => rmSync(`${cache}/keys-given`, { recursive: true, force: true });
  forgetKeys();
  if (values.keys !== undefined) for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, forgetKeys);
  const packageJson = JSON.parse(readFileSync(`${root}/package.json`, 'utf8')) as { version: string };
  const version = values.version ?? packageJson.version;
  try {
    const built = build(target, {
      version,
      fast: values.fast,
      keys: values.keys ?? null,
      url: values.artefacts ? values.url : null,
    });
    process.stdout.write(`${[built.disk, built.bundle, ...built.artefacts].join('\n')}\n`);
    return 0;
  } catch (error) {
    if (!(error instanceof BuildError)) throw error;
    process.stderr.write(`image: ${error.message}\n`);
    return 1;
  } finally {
    forgetKeys();
  }
}

if (import.meta.main) process.exitCode = main(process.argv.slice(2));
