/** What the image leaves out of node_modules is not missed: the agent's parts run from a copy without it. */
import { execFile } from 'node:child_process';
import { globSync, readFileSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readdir, rm, symlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { importsOf } from '../contract/layers.ts';
import { requirePackages } from '../harness/packages.ts';

requirePackages(['ffmpeg']);

const exec = promisify(execFile);
const { packages } = JSON.parse(readFileSync('package-lock.json', 'utf8')) as {
  packages: Readonly<Record<string, { readonly dev?: boolean }>>;
};

let copy: string;
beforeAll(async () => {
  await mkdir('.cache', { recursive: true });
  copy = await mkdtemp(join(process.cwd(), '.cache/pruned-'));
  const inUse = Object.entries(packages)
    .filter(([path, { dev }]) => /^node_modules\/(@[^/]+\/)?[^/]+$/.test(path) && dev !== true)
    .map(([path]) => path);
  for (const path of inUse.filter((one) => globSync(one).length > 0)) {
    await mkdir(join(copy, dirname(path)), { recursive: true });
    // Hard links: a file that is removed there stays here.
    await exec('cp', ['-al', path, join(copy, path)]);
  }
  await mkdir(join(copy, 'node_modules/.bin'));
  await symlink(process.execPath, join(copy, 'node_modules/.bin/node'));
  await cp('device', join(copy, 'device'), { recursive: true });
  await cp('package.json', join(copy, 'package.json'));
  await exec('os-image/recipe/prune.sh', [join(copy, 'node_modules'), process.arch, 'device/detect/models']);
});
afterAll(() => rm(copy, { recursive: true, force: true }));

const spyoncino = (...args: string[]) =>
  exec(
    process.execPath,
    [join(copy, 'device/cli/spyoncino.js'), ...args, '--json', '--data-dir', join(copy, 'data')],
    { cwd: copy },
  );

test('every package that the agent names is found and loads', async () => {
  const wanted = globSync('device/**/*.ts')
    .flatMap((file) => importsOf(readFileSync(file, 'utf8').replaceAll(/^(?:im|ex)port type [^;]*;/gm, '')))
    .filter((name) => /^[@a-z]/.test(name) && !name.startsWith('node:'));
  const names = [...new Set(wanted)].sort();
  expect(names).toContain('node-av/lib');
  const { stdout } = await exec(
    process.execPath,
    [
      '--input-type=module',
      '--eval',
      `await import('reflect-metadata'); // as device/tls does before its packages
       for (const name of ${JSON.stringify(names)})
         await import(name).then(() => {}, (error) => console.log(name + ': ' + error.message));`,
    ],
    { cwd: copy },
  );
  expect(stdout).toBe('');
});

test('the model that comes with us detects', async () => {
  const { stdout } = await spyoncino('models', 'bench', 'centernet', '--backend', 'tfjs-wasm');
  expect(stdout).toContain('tfjs-wasm');
});

test('pictures are decoded and searched', async () => {
  const video = join(copy, 'video.mp4');
  await exec('ffmpeg', ['-v', 'error', '-f', 'lavfi', '-i', 'testsrc=d=2:s=320x240:r=10', video]);
  const { stdout } = await spyoncino('analyze', video);
  expect(stdout).toContain('"frames"');
});

test('of models those of ours are left alone, and no types', async () => {
  const models = await readdir(join(copy, 'node_modules/@vladmandic/human/models'));
  expect(models.sort()).toEqual(['centernet.bin', 'centernet.json']);
  expect(globSync('node_modules/**/*.{ts,map}', { cwd: copy })).toEqual([]);
});
