/** `scripts/release`: all artefacts of a release in one folder, with checksums and a signature over them. */
import { execFileSync, spawnSync } from 'node:child_process';
import {
  copyFileSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { BuildError } from './error.ts';
import { takeKeys } from './keys.ts';
import { TARGETS } from './targets.ts';
import { streamSize } from './stream.ts';

const USAGE = `Usage: ./scripts/release [--version VERSION] [--keys DIR] [--url URL] [--previous BUNDLE] [--dry-run]

Makes all that a release consists of in .cache/image/release/VERSION, of what is committed. Needs what build-image needs.

  --version VERSION  called so instead of the version in package.json
  --keys DIR         ca.pem, signer.pem, signer.key; without it, keys for development
  --url URL          where it will be downloaded from (for the list of Raspberry Pi Imager)
  --previous BUNDLE  of the release before: says what streaming costs who has that
  --dry-run          only lists what would be made
`;

/** Targets that somebody flashes; emulated ones are for tests. */
const FLASHED = TARGETS.map(({ name }) => name).filter((name) => !name.startsWith('qemu'));

const root = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');
const cache = process.env['SPYONCINO_IMAGE_CACHE'] ?? `${root}/.cache/image`;

/** File → what it is; those of a disk image come from `build-image`, under the same names. */
export function contents(version: string, targets: readonly string[]): ReadonlyMap<string, string> {
  const files = new Map<string, string>();
  for (const target of targets) {
    const image = `spyoncino-${version}-${target}`;
    files.set(`${image}.img.xz`, `disk image for ${target}`);
    files.set(`${image}.img.bmap`, 'its used blocks, for bmaptool');
    files.set(`${image}.cdx.json`, 'its bill of materials (CycloneDX)');
    files.set(`${image}.licences.tar.xz`, 'the licences of all of it');
    if (target === 'raspberrypi') {
      files.set('os_list.json', 'for rpi-imager --repo');
      files.set('spyoncino.svg', 'icon of that list');
    }
  }
  files.set(`spyoncino-${version}-ARCHITECTURE.raucb`, 'update bundles, one for each architecture of these');
  files.set(
    `spyoncino-${version}.tar.xz`,
    'sources: scripts/install (systemd), docker build -f docker/Dockerfile',
  );
  files.set(`spyoncino-${version}-balena.tar.xz`, 'what `balena push --source` takes');
  files.set(`spyoncino-${version}.SHA256SUMS`, 'checksums of all of them');
  files.set(`spyoncino-${version}.SHA256SUMS.cms`, 'signature over the checksums');
  files.set('spyoncino-ca.pem', 'the authority to check it with; compare with one that came another way');
  return files;
}

interface Options {
  readonly version: string;
  readonly keys: string | null;
  readonly url: string | null;
  readonly previous: string | null;
}

/** The folder with all of it. @throws BuildError */
function release({ keys, previous, url, version }: Options): string {
  if (git('status', '--porcelain', '--untracked-files=no') !== '')
    throw new BuildError('a release is what is committed: there are changes that are not');
  const out = `${cache}/release/${version}`;
  rmSync(out, { recursive: true, force: true });
  mkdirSync(out, { recursive: true });

  const shared = ['--version', version, ...(keys === null ? [] : ['--keys', keys])];
  for (const target of FLASHED) {
    const made = run(process.execPath, [
      `${root}/os-image/build/main.ts`,
      target,
      '--artefacts',
      ...shared,
      ...(url === null ? [] : ['--url', url]),
    ]);
    for (const path of made.trim().split('\n')) {
      // The disk itself is in there compressed, and one list of checksums is enough.
      if (path.endsWith('.img') || path.includes('SHA256SUMS')) continue;
      rmSync(join(out, basename(path)), { force: true });
      linkSync(path, join(out, basename(path)));
    }
  }
  writeArchives(out, version);

  if (previous !== null) {
    const architecture = basename(previous).split('-').at(-1);
    for (const bundle of readNames(out).filter((name) => name.split('-').at(-1) === architecture)) {
      const { fetchedBytes } = streamSize(previous, join(out, bundle));
      process.stderr.write(`release: streaming ${bundle} costs ${(fetchedBytes / 1e6).toFixed(1)} MB\n`);
    }
  }
  sign(out, version, keys);
  return out;
}

/** Sources as committed, and the same laid out for balena; the same bytes for the same commit. */
function writeArchives(out: string, version: string): void {
  const work = mkdtempSync(join(tmpdir(), 'spyoncino-release-'));
  try {
    const name = `spyoncino-${version}`;
    const archive = execFileSync('git', ['archive', '--format=tar', `--prefix=${name}/`, 'HEAD'], {
      cwd: root,
      maxBuffer: 1 << 28,
    });
    execFileSync('sh', ['-c', 'xz -6 >"$1"', 'sh', join(out, `${name}.tar.xz`)], { input: archive });
    run(process.execPath, [`${root}/scripts/build-balena.ts`, join(work, 'balena')]);
    const time = git('log', '-1', '--format=%ct');
    run('tar', [
      ...['-C', work, '--sort=name', '--owner=0', '--group=0', '--numeric-owner', '--mode=go+rX,go-w'],
      ...[`--mtime=@${time}`, '-cJf', join(out, `${name}-balena.tar.xz`), 'balena'],
    ]);
  } finally {
    rmSync(work, { recursive: true });
  }
}

function sign(out: string, version: string, keys: string | null): void {
  const dir = keys === null ? 'keys' : 'keys-given';
  try {
    if (keys !== null) takeKeys(keys, `${cache}/${dir}`);
    const inside = out.replace(cache, '/cache');
    run(`${root}/os-image/recipe/inside.sh`, [
      cache,
      '/source/os-image/recipe/sign.sh',
      `/cache/${dir}`,
      `${inside}/spyoncino-${version}.SHA256SUMS`,
      ...readNames(out),
    ]);
    copyFileSync(`${cache}/${dir}/ca.pem`, join(out, 'spyoncino-ca.pem'));
  } finally {
    if (keys !== null) rmSync(`${cache}/${dir}`, { recursive: true, force: true });
  }
}

const readNames = (dir: string): readonly string[] => readdirSync(dir).sort();

const git = (...args: readonly string[]): string =>
  execFileSync('git', [...args], { cwd: root, encoding: 'utf8' }).trim();

function run(program: string, args: readonly string[]): string {
  const { status, stdout } = spawnSync(program, args, {
    cwd: root,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  if (status !== 0)
    throw new BuildError(`${basename(program)} ${args[0] ?? ''} failed (${status ?? 'killed'})`);
  return stdout;
}

function main(argv: readonly string[]): number {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      help: { type: 'boolean', short: 'h' },
      version: { type: 'string' },
      keys: { type: 'string' },
      url: { type: 'string' },
      previous: { type: 'string' },
      'dry-run': { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(USAGE);
    return 0;
  }
  const packageJson = JSON.parse(readFileSync(`${root}/package.json`, 'utf8')) as { version: string };
  const version = values.version ?? packageJson.version;
  if (values['dry-run']) {
    for (const [name, what] of contents(version, FLASHED)) process.stdout.write(`${name}: ${what}\n`);
    return 0;
  }
  try {
    const out = release({
      version,
      keys: values.keys ?? null,
      url: values.url ?? null,
      previous: values.previous ?? null,
    });
    for (const name of readNames(out))
      process.stdout.write(`${(statSync(join(out, name)).size / 1e6).toFixed(1).padStart(7)} MB  ${name}\n`);
    process.stdout.write(`${out}\n`);
    return 0;
  } catch (error) {
    if (!(error instanceof BuildError)) throw error;
    process.stderr.write(`release: ${error.message}\n`);
    return 1;
  }
}

if (import.meta.main) process.exitCode = main(process.argv.slice(2));
