/** Every shell script of ours: understood by a plain POSIX shell, and without what shellcheck warns of. */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { expect, test } from 'vitest';
import { requirePackages } from '../harness/packages.ts';

requirePackages(['dash', 'shellcheck']);

const scripts = execFileSync(
  'git',
  ['-c', 'safe.directory=*', 'ls-files', '--cached', '--others', '--exclude-standard'],
  { encoding: 'utf8' },
)
  .split('\n')
  .filter((file) => file !== '' && existsSync(file) && statSync(file).isFile())
  .filter((file) => file.endsWith('.sh') || /^#!.*\bsh\b/.test(readFileSync(file, 'latin1').slice(0, 64)));

test('there are scripts to check, those of the image among them', () => {
  for (const file of ['os-image/recipe/slot.sh', 'os-image/initrd/init', 'scripts/install', '.ci/run'])
    expect(scripts).toContain(file);
});

test('a plain shell can read each of them', () => {
  const refused = scripts.flatMap((file) => {
    const { status, stderr } = spawnSync('dash', ['-n', file], { encoding: 'utf8' });
    return status === 0 ? [] : [stderr];
  });
  expect(refused).toEqual([]);
});

/** What is meant so, or known to every shell that runs us (dash, busybox). */
const MEANT = [
  'SC2015', // a && b || c, where b cannot fail
  'SC2016', // words for somebody else's shell, in single quotes
  'SC2154', // bootstrap.sh: $root is set by who sources it
  'SC3013', // -nt
  'SC3043', // local
];

test('shellcheck has nothing to say', () => {
  const { stdout } = spawnSync(
    'shellcheck',
    [
      '--shell=sh',
      '--format=gcc',
      '--severity=info',
      '--external-sources',
      '--source-path=SCRIPTDIR',
      `--exclude=${MEANT.join(',')}`,
      ...scripts,
    ],
    { encoding: 'utf8' },
  );
  expect(stdout.split('\n').filter((line) => line !== '')).toEqual([]);
});
