/** Debian's own kernel with the modules a test needs, from its package; nothing is installed and no root needed. */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { globSync } from 'node:fs';
import { copyFile, mkdir, mkdtemp, readFile, rename, rm, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import type { Suite } from './suite.ts';

const run = promisify(execFile);
const MAX_MODULE_BYTES = 64 * 1024 * 1024;

/** Where drivers for the test machine live inside the package, below `lib/modules/<version>/kernel/`. */
const MODULE_DIRS = ['drivers/media', 'drivers/virtio', 'drivers/video', 'fs', 'net/9p', 'lib'];

export interface Kernel {
  readonly image: string;
  /** Module name (with `_`) → file. */
  readonly modules: ReadonlyMap<string, string>;
  /** Names of those that need not be loaded. */
  readonly builtIn: ReadonlySet<string>;
}

/** Downloads once per kernel version into `cacheDir`; later calls only ask apt for the version. */
export async function fetchKernel(cacheDir: string): Promise<Kernel> {
  const name = await kernelPackage();
  const dir = join(cacheDir, name);
  if (!(await exists(dir))) {
    await mkdir(cacheDir, { recursive: true });
    const work = await mkdtemp(join(cacheDir, '.fetch-'));
    try {
      const sandbox = process.getuid?.() === 0 ? ['-o', 'APT::Sandbox::User=root'] : [];
      await run('apt-get', [...sandbox, '-qq', 'download', name], { cwd: work });
      const [archive = ''] = globSync('*.deb', { cwd: work });
      await extract(join(work, archive), join(work, 'files'));
      await rename(join(work, 'files'), dir);
    } finally {
      await rm(work, { recursive: true });
    }
  }
  return kernelIn(dir);
}

/** Where Debian's kernel of today, which comes in several packages, has its parts. */
const NEWER_MEMBERS = ['./usr/lib/modules/*/vmlinuz'];
const NEWER_BUILT_IN = ['virtio_pci'];
const NEWER = 'trixie-backports';

/** The kernel of Debian 13's backports: the first of Debian's with simulated GPIO chips. */
export async function fetchNewerKernel(suite: Suite, cacheDir: string): Promise<Kernel> {
  const [image] = /linux-image-\d\S*/.exec(await suite.dependsOf('linux-image-amd64', NEWER)) ?? [];
  if (!image) throw new Error('apt knows no newer linux-image-amd64');
  const dir = join(cacheDir, image);
  const packages = ['binary', 'modules'].map((part) => image.replace('image', part));
  const members = [...MODULE_DIRS, 'drivers/gpio'].map((name) => `*/kernel/${name}/*`);
  await suite.unpack(packages, NEWER, dir, [...NEWER_MEMBERS, ...members]);
  return kernelIn(dir, NEWER_BUILT_IN);
}

function kernelIn(dir: string, builtIn: readonly string[] = []): Kernel {
  const [image] = globSync(['boot/vmlinuz-*', 'usr/lib/modules/*/vmlinuz'], { cwd: dir });
  if (!image) throw new Error(`${basename(dir)} holds no kernel image`);
  const files = globSync('**/*.ko*', { cwd: dir });
  return {
    image: join(dir, image),
    modules: new Map(files.map((file) => [moduleName(file), join(dir, file)])),
    builtIn: new Set(builtIn),
  };
}

/** Copies `wanted` and all they depend on to `target` (uncompressed), and returns file names in loading order. */
export async function collectModules(
  kernel: Kernel,
  wanted: readonly string[],
  target: string,
): Promise<readonly string[]> {
  const order: string[] = [];
  const visit = async (name: string): Promise<void> => {
    if (order.includes(`${name}.ko`) || kernel.builtIn.has(name)) return;
    const file = kernel.modules.get(name);
    if (!file) throw new Error(`this kernel has no module ${name}`);
    const copy = join(target, `${name}.ko`);
    if (file.endsWith('.xz')) {
      // Modules of Debian 13 and later are compressed.
      await copyFile(file, `${copy}.xz`);
      await run('xz', ['--decompress', '--force', `${copy}.xz`], { maxBuffer: MAX_MODULE_BYTES });
    } else await copyFile(file, copy);
    // The module itself says what it needs (.modinfo), so depmod is not needed.
    const [, depends = ''] = /\0depends=([^\0]*)\0/.exec(await readFile(copy, 'latin1')) ?? [];
    for (const dependency of depends.split(',').filter(Boolean)) await visit(dependency.replaceAll('-', '_'));
    order.push(`${name}.ko`);
  };
  for (const name of wanted) await visit(name);
  return order;
}

const moduleName = (file: string): string =>
  basename(file)
    .replace(/\.ko.*$/, '')
    .replaceAll('-', '_');

const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );

/** What the meta-package stands for now, e.g. `linux-image-6.1.0-44-amd64`. */
async function kernelPackage(): Promise<string> {
  const { stdout } = await run('apt-cache', ['depends', 'linux-image-amd64']);
  const [name] = /linux-image-\d\S*/.exec(stdout) ?? [];
  if (!name) throw new Error('apt knows no linux-image-amd64');
  return name;
}

async function extract(archive: string, target: string): Promise<void> {
  await mkdir(target);
  const members = ['./boot/vmlinuz-*', ...MODULE_DIRS.map((dir) => `*/kernel/${dir}/*`)];
  const script =
    'archive=$1; target=$2; shift 2; dpkg-deb --fsys-tarfile "$archive" | tar -x -C "$target" --wildcards "$@"';
  const child = spawn('sh', ['-c', script, 'sh', archive, target, ...members], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const [code] = (await once(child, 'exit')) as [number | null];
  if (code !== 0) throw new Error(`${archive} could not be unpacked`);
}
