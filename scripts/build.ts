/**
 * Writes device/build.json: what this build is called. Node strips types at run time, so nothing else is built.
 * Works without git (a source archive): the commit is then null.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export interface Build {
  readonly version: string;
  /** Full id; `-dirty` is appended when tracked files differ from it. */
  readonly commit: string | null;
  /** ISO 8601, UTC. */
  readonly builtAt: string;
}

const root = fileURLToPath(new URL('..', import.meta.url));

function git(...args: string[]): string | null {
  try {
    return execFileSync('git', ['--no-optional-locks', ...args], {
      cwd: root,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
  } catch {
    return null;
  }
}

function describeCommit(): string | null {
  // A source archive inside somebody else's repository is not that repository's commit.
  if (git('rev-parse', '--show-prefix') !== '') return null;
  const head = git('rev-parse', '--verify', 'HEAD');
  return head && git('status', '--porcelain', '--untracked-files=no') ? `${head}-dirty` : head;
}

const { version } = JSON.parse(readFileSync(`${root}package.json`, 'utf8')) as { version: string };
// An image is the same bytes whenever it is made (https://reproducible-builds.org/specs/source-date-epoch/).
const epoch = process.env['SOURCE_DATE_EPOCH'];
const builtAt = epoch === undefined ? new Date() : new Date(Number(epoch) * 1000);
const build: Build = { version, commit: describeCommit(), builtAt: builtAt.toISOString() };
const target = `${root}device/build.json`;
// Of this process alone: two first starts at once build twice.
const written = `${target}.${process.pid}`;
writeFileSync(written, `${JSON.stringify(build, null, 2)}\n`);
renameSync(written, target);
