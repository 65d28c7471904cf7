/**
 * `scripts/reproduce-image TARGET`: builds an image twice, at another time and in another folder, and says which bytes differ.
 * The second build is in `.cache/image-again`, which is left there to look into.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  closeSync,
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { openSquash } from './squashfs.ts';

const USAGE = `Usage: ./scripts/reproduce-image TARGET [--all] [--fast] [--version VERSION]

Builds TARGET twice and compares. Ends with 1 when something differs that should not.

  --all   the Debian part and RAUC as well (minutes, by emulation); without it they are taken over from the first build
`;

const MAX_NAMED = 20;
const BUFFER_BYTES = 1 << 20;

/** Path below `dir` → what it is: kind, mode, owner, and content. Times are no part of it: the image has one for all. */
export function describeTree(dir: string): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  const visit = (path: string): void => {
    const name = path.slice(dir.length + 1);
    const stat = lstatSync(path);
    const owner = `${stat.mode.toString(8)} ${stat.uid}:${stat.gid}`;
    if (stat.isDirectory()) {
      if (name !== '') found.set(name, owner);
      for (const entry of readdirSync(path).sort()) visit(`${path}/${entry}`);
    } else if (stat.isSymbolicLink()) found.set(name, `${owner} ${readlinkSync(path)}`);
    else if (stat.isFile())
      found.set(name, `${owner} ${createHash('sha256').update(readFileSync(path)).digest('hex')}`);
    else found.set(name, `${owner} ${stat.rdev}`);
  };
  visit(dir);
  return found;
}

/** Names of what is in one of two trees alone, or differs, in order. */
export function differences(
  a: ReadonlyMap<string, string>,
  b: ReadonlyMap<string, string>,
): readonly string[] {
  return [...new Set([...a.keys(), ...b.keys()])].filter((name) => a.get(name) !== b.get(name)).sort();
}

/** SHA-256 of a file's first bytes; of all without `length`. */
function digest(path: string, length = Infinity): string {
  const hash = createHash('sha256');
  const fd = openSync(path, 'r');
  try {
    const buffer = Buffer.alloc(BUFFER_BYTES);
    for (let position = 0; position < length;) {
      const count = readSync(fd, buffer, 0, Math.min(buffer.length, length - position), position);
      if (count === 0) break;
      hash.update(buffer.subarray(0, count));
      position += count;
    }
  } finally {
    closeSync(fd);
  }
  return hash.digest('hex');
}

/** Of a bundle what is signed; the hash tree behind it has a salt, and the signature a time and a random number. */
function payloadBytes(bundle: string): number {
  const fd = openSync(bundle, 'r');
  try {
    return openSquash(fd).usedBytes;
  } finally {
    closeSync(fd);
  }
}

function main(argv: readonly string[]): number {
  const { positionals, values } = parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: {
      all: { type: 'boolean', default: false },
      fast: { type: 'boolean', default: false },
      version: { type: 'string' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  const [target] = positionals;
  if (values.help || target === undefined) {
    (values.help ? process.stdout : process.stderr).write(USAGE);
    return values.help ? 0 : 2;
  }
  const root = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');
  const [first, second] = [`${root}/.cache/image`, `${root}/.cache/image-again`];
  const flags = [
    ...(values.fast ? ['--fast'] : []),
    ...(values.version === undefined ? [] : ['--version', values.version]),
  ];
  const build = (cache: string): readonly string[] => {
    const { status, stdout } = spawnSync(
      process.execPath,
      [`${root}/os-image/build/main.ts`, target, ...flags],
      {
        env: { ...process.env, SPYONCINO_IMAGE_CACHE: cache },
        stdio: ['ignore', 'pipe', 'inherit'],
        encoding: 'utf8',
      },
    );
    if (status !== 0) throw new Error(`the build in ${cache} failed`);
    return stdout.trim().split('\n');
  };

  const [disk = '', bundle = ''] = build(first);
  const [, version = '', architecture = ''] = /^spyoncino-(.*)-([^-]+)\.raucb$/.exec(basename(bundle)) ?? [];
  // Made once for all versions: without them the comparison shows what our own steps do, in a tenth of the time.
  const slow = ['debian', 'rauc'].map((name) => `${name}-${architecture}`);
  prepareSecond(first, second, values.all ? [] : slow);
  build(second);

  let differing = 0;
  const say = (name: string, different: readonly string[]): void => {
    process.stdout.write(`${different.length === 0 ? 'same' : 'DIFFERS'}  ${name}\n`);
    for (const one of different.slice(0, MAX_NAMED)) process.stdout.write(`           ${one}\n`);
    if (different.length > MAX_NAMED)
      process.stdout.write(`           and ${different.length - MAX_NAMED} more\n`);
    differing += different.length;
  };
  const trees = [
    ...(values.all ? [slow[0] ?? '', `${slow[1]}/tree/root`] : []),
    `kernel-${architecture}/root`,
    `agent-${architecture}/layer`,
    `firmware-${target}/partition`,
  ];
  for (const tree of trees)
    say(tree, differences(describeTree(`${first}/${tree}`), describeTree(`${second}/${tree}`)));
  const slot = `slot-${architecture}-${version}`;
  const files = [`initrd-${architecture}.img`, `${slot}/boot.img`, `${slot}/root.img`];
  for (const file of [...files, `out/${basename(disk)}`])
    say(file, digest(`${first}/${file}`) === digest(`${second}/${file}`) ? [] : ['its bytes']);
  const again = `${second}/out/${basename(bundle)}`;
  const length = payloadBytes(bundle);
  say(
    `out/${basename(bundle)}, but for its hash tree (random salt) and signature (time, random number)`,
    length === payloadBytes(again) && digest(bundle, length) === digest(again, length) ? [] : ['its bytes'],
  );
  return differing === 0 ? 0 : 1;
}

/** An empty cache with the same tools and keys, and with `taken` from the first. */
function prepareSecond(first: string, second: string, taken: readonly string[]): void {
  rmSync(second, { recursive: true, force: true });
  mkdirSync(`${second}/stamps`, { recursive: true });
  symlinkSync(`${first}/toolbox`, `${second}/toolbox`);
  copyFileSync(`${first}/toolbox.stamp`, `${second}/toolbox.stamp`);
  for (const name of ['keys', ...taken])
    spawnSync('cp', ['-a', `${first}/${name}`, second], { stdio: 'inherit' });
  for (const name of taken) {
    if (existsSync(`${first}/stamps/${name}`))
      copyFileSync(`${first}/stamps/${name}`, `${second}/stamps/${name}`);
  }
}

if (import.meta.main) process.exitCode = main(process.argv.slice(2));
