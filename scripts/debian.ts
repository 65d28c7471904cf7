/** Debian packages that tests need: which ones, and installing them where that is allowed. */
import { spawnSync } from 'node:child_process';
import { globSync, readFileSync } from 'node:fs';
import { declaredPackages, missingPackages } from '../tests/harness/packages.ts';

/** The union of what all tests and harnesses under `root`/tests declare, sorted. */
export function packagesOfTests(root: string): readonly string[] {
  const files = globSync('tests/**/*.ts', { cwd: root });
  const names = files.flatMap((file) => declaredPackages(readFileSync(`${root}/${file}`, 'utf8')));
  return [...new Set(names)].sort();
}

/**
 * Installs `names` with apt when this user is root or may sudo without a password; says on stderr what it does.
 * Returns what is still missing afterwards; never throws, as tests that lack a package are skipped.
 */
export function installPackages(names: readonly string[]): readonly string[] {
  const missing = missingPackages(names);
  const asRoot = rootPrefix();
  if (missing.length === 0 || asRoot === null) return missing;
  process.stderr.write(`installing Debian packages: ${missing.join(' ')}\n`);
  if (apt(asRoot, ['install', ...missing])) return missingPackages(names);

  // The package lists may be absent (a fresh machine) or old, or one of the names unknown to this release.
  apt(asRoot, ['update']);
  for (const name of missingPackages(names)) {
    if (!apt(asRoot, ['install', name])) process.stderr.write(`could not install ${name}\n`);
  }
  return missingPackages(names);
}

/** Words before a command that make it run as root; null when we may not. */
function rootPrefix(): readonly string[] | null {
  if (process.getuid?.() === 0) return [];
  return spawnSync('sudo', ['-n', 'true'], { stdio: 'ignore' }).status === 0 ? ['sudo', '-n'] : null;
}

function apt(prefix: readonly string[], args: readonly string[]): boolean {
  const quiet = ['-qq', '-y', '--no-install-recommends', '-o', 'DPkg::Lock::Timeout=300'];
  const [program = 'env', ...rest] = [
    ...prefix,
    'env',
    'DEBIAN_FRONTEND=noninteractive',
    'apt-get',
    ...quiet,
  ];
  return spawnSync(program, [...rest, ...args], { stdio: 'ignore' }).status === 0;
}
