import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { installPackages, packagesOfTests } from '../../../scripts/debian.ts';

let dir: string;

/** A Debian of our own: the archive has `ffmpeg` and `motion`, once its lists were fetched. */
const PROGRAMS = {
  'dpkg-query': `shift 2; for name; do grep -qsx "$name" "$BOX/installed" && echo "installed $name"; done; exit 1`,
  'apt-get': `
    all="$*"
    names=\${all##*install }
    echo "$all" >>"$BOX/calls"
    case "$all" in
      *update) touch "$BOX/lists" ;;
      *)
        [ -e "$BOX/lists" ] || exit 100
        for name in $names; do case $name in ffmpeg | motion) ;; *) exit 100 ;; esac; done
        for name in $names; do echo "$name" >>"$BOX/installed"; done ;;
    esac`,
  sudo: `[ "$BOX_SUDO" = yes ] || exit 1; shift; exec "$@"`,
};

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'spyoncino-debian-'));
  for (const [name, script] of Object.entries(PROGRAMS)) {
    await writeFile(join(dir, name), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  }
  vi.stubEnv('PATH', `${dir}:${process.env['PATH']}`);
  vi.stubEnv('BOX', dir);
  vi.stubEnv('BOX_SUDO', 'yes');
  vi.spyOn(process.stderr, 'write').mockReturnValue(true);
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(dir, { recursive: true });
});

const calls = async (): Promise<string[]> =>
  (await readFile(join(dir, 'calls'), 'utf8').catch(() => '')).split('\n').filter(Boolean);

test('what is there already costs nothing', async () => {
  await writeFile(join(dir, 'installed'), 'ffmpeg\n');
  expect(installPackages(['ffmpeg'])).toEqual([]);
  expect(await calls()).toEqual([]);
});

test('all missing packages are installed at once', async () => {
  await writeFile(join(dir, 'lists'), '');
  expect(installPackages(['ffmpeg', 'motion'])).toEqual([]);
  expect(await calls()).toHaveLength(1);
});

test('a fresh machine fetches package lists first; an unknown name does not spoil the others', async () => {
  expect(installPackages(['ffmpeg', 'no-such-thing'])).toEqual(['no-such-thing']);
  expect(await readFile(join(dir, 'installed'), 'utf8')).toBe('ffmpeg\n');
});

test('without the right to install, what is missing is named and nothing is tried', async () => {
  vi.spyOn(process, 'getuid').mockReturnValue(1000);
  vi.stubEnv('BOX_SUDO', 'no');
  expect(installPackages(['ffmpeg'])).toEqual(['ffmpeg']);
  expect(await calls()).toEqual([]);
});

test('with sudo, an ordinary user installs too', async () => {
  vi.spyOn(process, 'getuid').mockReturnValue(1000);
  expect(installPackages(['ffmpeg'])).toEqual([]);
});

test('declarations of all test files and harnesses are joined', async () => {
  await mkdir(join(dir, 'tests/harness'), { recursive: true });
  await writeFile(join(dir, 'tests/a.test.ts'), `requirePackages(['motion', 'ffmpeg']);\n`);
  await writeFile(join(dir, 'tests/harness/b.ts'), `requirePackages([\n  'ffmpeg',\n  'cpio',\n]);\n`);
  expect(packagesOfTests(dir)).toEqual(['cpio', 'ffmpeg', 'motion']);
});
