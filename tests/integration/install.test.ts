/** scripts/install on a system that does not run, and what systemd says of the unit. */
import { execFile } from 'node:child_process';
import {
  cp,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  readlink,
  rm,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { requirePackages } from '../harness/packages.ts';

requirePackages(['systemd']);

const run = promisify(execFile);
const UNIT = 'docker/systemd/spyoncino-modular.service';
/** As `systemd-analyze security` counts, times ten. */
const MAX_EXPOSURE = 35;

let folder: string;
let tree: string;
let root: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'spyoncino-install-'));
  [tree, root] = [join(folder, 'tree'), join(folder, 'root')];
  await mkdir(tree);
  for (const name of [
    'package.json',
    'package-lock.json',
    '.npmrc',
    'scripts',
    'os-image',
    'docker',
    'README.md',
  ]) {
    await cp(name, join(tree, name), { recursive: true, verbatimSymlinks: true });
  }
  await mkdir(join(tree, 'device/cli'), { recursive: true });
  await writeFile(join(tree, 'device/cli/spyoncino.js'), '// version 1\n');
  // As npm left it, so that nothing is fetched.
  await mkdir(join(tree, 'node_modules/.bin'), { recursive: true });
  await mkdir(join(tree, 'node_modules/vitest'));
  await writeFile(join(tree, 'node_modules/.package-lock.json'), '{}');
  await symlink(process.execPath, join(tree, 'node_modules/.bin/node'));
  for (const name of ['etc', 'usr/lib']) await mkdir(join(root, name), { recursive: true });
  await writeFile(join(root, 'etc/passwd'), 'root:x:0:0:root:/root:/bin/sh\n');
  await writeFile(join(root, 'etc/group'), 'root:x:0:\nvideo:x:44:\n');
});
afterEach(() => rm(folder, { recursive: true }));

const install = (...args: string[]) => run(join(tree, 'scripts/install'), ['--root', root, ...args]);
const at = (path: string): string => join(root, path);
const text = (path: string): Promise<string> => readFile(at(path), 'utf8');
const isThere = (path: string): Promise<boolean> =>
  lstat(at(path)).then(
    () => true,
    () => false,
  );

test('the agent may do little: systemd understands the unit and counts at most 3.5', async () => {
  const { stdout } = await run('systemd-analyze', [
    ...['security', '--offline=true', '--no-pager', `--threshold=${MAX_EXPOSURE}`],
    await realUnit(),
  ]);
  expect(stdout).toMatch(/Overall exposure level .*: [0-3]\.\d OK/);
});

/** systemd-analyze goes by the name, and takes no link in the path. */
async function realUnit(): Promise<string> {
  const path = join(folder, 'spyoncino-modular.service');
  await cp(UNIT, path);
  return path;
}

test('it is installed, upgraded in place, led back, and taken away; configuration and data stay', async () => {
  await install();
  expect(await text('opt/spyoncino/device/cli/spyoncino.js')).toBe('// version 1\n');
  expect(await text('etc/systemd/system/spyoncino-modular.service')).toBe(await readFile(UNIT, 'utf8'));
  expect(await readlink(at('usr/local/bin/spyoncino'))).toBe('/opt/spyoncino/device/cli/spyoncino.js');
  expect(await text('etc/passwd')).toMatch(/^spyoncino:.*:\/var\/lib\/spyoncino:.*nologin$/m);
  const groups = await text('etc/group');
  for (const group of ['video', 'render', 'gpio'])
    expect(groups).toMatch(new RegExp(`^${group}:.*:spyoncino$`, 'm'));
  expect(groups).not.toMatch(/^(?:root|sudo|dialout):.*spyoncino/m);

  await writeFile(at('etc/spyoncino/config.yaml'), 'node: { id: attic }\n');
  await writeFile(at('var/lib/spyoncino/clip.mp4'), 'footage');
  await writeFile(join(tree, 'device/cli/spyoncino.js'), '// version 2\n');
  // An upgrade that was cut short left its half.
  await mkdir(at('opt/spyoncino.d/0.0.0.part/device'), { recursive: true });
  await setVersion('9.9.9');
  await install();
  expect(await text('opt/spyoncino/device/cli/spyoncino.js')).toBe('// version 2\n');
  expect(await readdir(at('opt/spyoncino.d'))).toHaveLength(3);

  await install('--back');
  expect(await text('opt/spyoncino/device/cli/spyoncino.js')).toBe('// version 1\n');
  await install('--back');
  expect(await text('opt/spyoncino/device/cli/spyoncino.js')).toBe('// version 2\n');

  await install('--uninstall');
  for (const gone of [
    'opt/spyoncino',
    'opt/spyoncino.d',
    'usr/local/bin/spyoncino',
    'etc/systemd/system/spyoncino-modular.service',
  ]) {
    expect(await isThere(gone), gone).toBe(false);
  }
  expect(await text('etc/spyoncino/config.yaml')).toContain('attic');
  expect(await text('var/lib/spyoncino/clip.mp4')).toBe('footage');
  await install();
  expect(await text('etc/spyoncino/config.yaml')).toContain('attic');
  await install('--uninstall', '--purge');
  expect(await isThere('etc/spyoncino')).toBe(false);
  expect(await isThere('var/lib/spyoncino')).toBe(false);
});

async function setVersion(version: string): Promise<void> {
  const path = join(tree, 'package.json');
  const manifest = await readFile(path, 'utf8');
  await writeFile(path, manifest.replace(/"version": ".*"/, `"version": "${version}"`));
}

test('an installation by hand becomes the version from before', async () => {
  await mkdir(at('opt/spyoncino/os-image/docker/systemd'), { recursive: true });
  await cp(UNIT, at('opt/spyoncino/os-image/docker/systemd/spyoncino-modular.service'));
  await writeFile(at('opt/spyoncino/by-hand'), '');
  await install();
  expect(await isThere('opt/spyoncino/by-hand')).toBe(false);
  await install('--back');
  expect(await isThere('opt/spyoncino/by-hand')).toBe(true);
});

test('a dry run says what it would do, and does nothing', async () => {
  const before = await readdir(root, { recursive: true });
  const { stdout } = await install('--dry-run');
  expect(stdout).toContain('would run: systemd-sysusers');
  expect((await install('--dry-run', '--uninstall', '--purge')).stdout).toContain('would run: rm -rf');
  expect(await readdir(root, { recursive: true })).toEqual(before);
});

test('what it does not understand changes nothing', async () => {
  for (const wrong of [['--instal'], ['--purge'], ['--back']]) {
    await expect(install(...wrong), wrong.join(' ')).rejects.toMatchObject({ code: expect.any(Number) });
  }
  expect(await isThere('opt')).toBe(false);
});
