/** `scripts/run` in a checkout of its own, with an npm that only pretends to install. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';

let root: string;
let env: NodeJS.ProcessEnv;

/** All that the scripts may expect of a bare system, besides Node, npm and git. */
const TOOLS = ['cat', 'cksum', 'dirname', 'flock', 'getconf', 'grep', 'ln', 'mkdir', 'rm', 'touch', 'uname'];
const NPM = `#!/bin/sh
echo "npm $*" >>"$ROOT/npm.log"
[ ! -e "$ROOT/npm-fails" ] || exit 1
case $1 in
  ci)
    rm -rf node_modules && mkdir -p node_modules/.bin && ln -s "$NODE" node_modules/.bin/node
    touch node_modules/.package-lock.json
    case "$*" in *--omit=dev*) ;; *) mkdir node_modules/vitest ;; esac ;;
  run) "$NODE" scripts/build.ts ;;
esac
`;
const MAIN = `
process.on('SIGINT', () => process.exit(42));
console.log('agent ' + process.argv.slice(2).join(' '));
if (process.argv.includes('wait')) setInterval(() => {}, 1000); else process.exit(7);
`;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'spyoncino-start-'));
  await cp('scripts', join(root, 'scripts'), { recursive: true });
  await cp('package.json', join(root, 'package.json'));
  await cp('.npmrc', join(root, '.npmrc'));
  await writeFile(join(root, 'package-lock.json'), '{}');
  await mkdir(join(root, 'device'));
  await writeFile(join(root, 'device', 'main.ts'), MAIN);
  const bin = join(root, 'bin');
  await mkdir(bin);
  await writeFile(join(bin, 'npm'), NPM, { mode: 0o755 });
  await symlink(process.execPath, join(bin, 'node'));
  const { stdout } = spawnSync('which', TOOLS, { encoding: 'utf8' });
  for (const path of stdout.trim().split('\n')) await symlink(path, join(bin, basename(path)));
  env = { ...process.env, PATH: bin, ROOT: root, NODE: process.execPath };
});
afterEach(() => rm(root, { recursive: true }));

const start = (...args: string[]) =>
  spawnSync(join(root, 'scripts/run'), args, { env, encoding: 'utf8', cwd: '/' });
const npmCalls = async (): Promise<string[]> =>
  (await readFile(join(root, 'npm.log'), 'utf8').catch(() => '')).split('\n').filter(Boolean);

test('the first start installs and builds, the second does nothing but start', async () => {
  const first = start('--port', '1');
  expect(first.stdout).toBe('agent run --port 1\n');
  expect(first.status).toBe(7);
  expect(first.stderr).toContain('installing');
  expect(await npmCalls()).toEqual([expect.stringMatching(/^npm ci --omit=dev /), 'npm run --silent build']);
  const build = JSON.parse(await readFile(join(root, 'device/build.json'), 'utf8')) as object;
  expect(build).toMatchObject({ version: expect.any(String), commit: null });

  const second = start();
  expect(second).toMatchObject({ status: 7, stderr: '', stdout: 'agent run\n' });
  expect(await npmCalls()).toHaveLength(2);
});

test('a changed lock file installs again, and keeps what a contributor has', async () => {
  start();
  await writeFile(join(root, 'package-lock.json'), '{"changed":true}');
  await mkdir(join(root, 'node_modules/vitest'));
  start();
  const installs = (await npmCalls()).filter((call) => call.startsWith('npm ci'));
  expect(installs).toHaveLength(2);
  expect(installs[1]).not.toContain('--omit=dev');
});

test('what somebody installed with npm themselves is taken as it is', async () => {
  spawnSync(join(root, 'bin/npm'), ['ci'], { env, cwd: root });
  expect(start().status).toBe(7);
  expect((await npmCalls()).filter((call) => call.startsWith('npm ci'))).toHaveLength(1);
});

test('a failed installation is not taken for one', async () => {
  await writeFile(join(root, 'npm-fails'), '');
  const failed = start();
  expect(failed.status).toBe(78);
  expect(failed.stderr).toContain('Check the network');
  await rm(join(root, 'npm-fails'));
  expect(start().status).toBe(7);
});

test('an old or absent Node is refused with advice', async () => {
  const fake = join(root, 'bin/node');
  await rm(fake);
  await writeFile(fake, '#!/bin/sh\n[ "$1" = --version ] && echo v18.0.0\nexit 1\n', { mode: 0o755 });
  const old = start();
  expect(old.status).toBe(78);
  expect(old.stderr).toContain('v18.0.0 is too old');
  await rm(fake);
  const absent = start();
  expect(absent.status).toBe(78);
  expect(absent.stderr).toContain('Node.js 20 or newer');
});

test('32-bit systems are refused with advice', async () => {
  await rm(join(root, 'bin/uname'));
  await writeFile(join(root, 'bin/uname'), '#!/bin/sh\n[ "$1" = -m ] && echo armv7l || echo Linux\n', {
    mode: 0o755,
  });
  const refused = start();
  expect(refused.status).toBe(78);
  expect(refused.stderr).toContain('64-bit Raspberry Pi OS');
});

test('Ctrl-C reaches the agent, and its exit code comes back', async () => {
  start();
  const child = spawn(join(root, 'scripts/run'), ['wait'], { env, stdio: ['ignore', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  child.kill('SIGINT');
  const [code] = (await once(child, 'exit')) as [number | null];
  expect(code).toBe(42);
});

test('two first starts at once install once', async () => {
  const both = [1, 2].map(() => once(spawn(join(root, 'scripts/run'), { env, stdio: 'ignore' }), 'exit'));
  expect((await Promise.all(both)).map(([code]) => code as number)).toEqual([7, 7]);
  expect((await npmCalls()).filter((call) => call.startsWith('npm ci'))).toHaveLength(1);
});
