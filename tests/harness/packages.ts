/**
 * Debian packages that tests need. A test file (or a harness it imports) says so at its top level:
 *
 *     requirePackages(['ffmpeg']);
 *
 * `scripts/test` reads these calls as text to install the union beforehand, so the argument must be a
 * literal list. Where a package is missing all the same, every test of the file is skipped, with the reason.
 */
import { spawnSync } from 'node:child_process';

/** Shared with the runner, which may hold another copy of this module. */
const LACKS = Symbol.for('spyoncino.tests.lacks');
const shared = globalThis as { [LACKS]?: Set<string> };

/** Call at the top level of a test file or of a harness module. */
export function requirePackages(names: readonly string[]): void {
  for (const name of missingPackages(names)) lack(`Debian package ${name}`);
}

/** Says that this machine lacks `what` the current test file needs. */
export function lack(what: string): void {
  (shared[LACKS] ??= new Set()).add(what);
}

/** What the file that was just collected lacks; forgets it, so that the next file starts clean. */
export function takeLacks(): readonly string[] {
  const lacks = [...(shared[LACKS] ?? [])];
  shared[LACKS]?.clear();
  return lacks;
}

/** Those of `names` that dpkg does not have installed; all of them where there is no dpkg. */
export function missingPackages(names: readonly string[]): readonly string[] {
  if (names.length === 0) return [];
  const { stdout } = spawnSync('dpkg-query', ['-W', '-f=${db:Status-Status} ${Package}\n', ...names], {
    encoding: 'utf8',
  });
  const installed = new Set(
    (stdout ?? '')
      .split('\n')
      .filter((line) => line.startsWith('installed '))
      .map((line) => line.slice('installed '.length)),
  );
  return names.filter((name) => !installed.has(name));
}

/** Names in the `requirePackages([...])` calls of a source text. */
export function declaredPackages(source: string): readonly string[] {
  return [...source.matchAll(/^requirePackages\(\[([^\]]*)\]\)/gm)].flatMap(([, list]) =>
    [...(list ?? '').matchAll(/'([^']+)'/g)].map(([, name]) => name ?? ''),
  );
}
