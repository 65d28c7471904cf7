/** Packages of another Debian than this machine's, unpacked into a folder: nothing is installed, no root is needed. */
import { execFile } from 'node:child_process';
import { globSync } from 'node:fs';
import { mkdir, mkdtemp, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

const MIRROR = 'http://deb.debian.org/debian';
const KEYS = '/usr/share/keyrings/debian-archive-keyring.gpg';

/** apt with lists and caches of its own, which know `suites` alone. */
export class Suite {
  readonly #dir: string;

  private constructor(dir: string) {
    this.#dir = dir;
  }

  static async open(cacheDir: string, suites: readonly string[]): Promise<Suite> {
    const dir = join(cacheDir, `apt-${suites.join('-')}`);
    for (const name of ['state/lists/partial', 'cache/archives/partial'])
      await mkdir(join(dir, name), { recursive: true });
    const sources = suites.map((suite) => `deb [signed-by=${KEYS}] ${MIRROR} ${suite} main`);
    await writeFile(join(dir, 'sources.list'), `${sources.join('\n')}\n`);
    await writeFile(join(dir, 'status'), '');
    const suite = new Suite(dir);
    await suite.#apt('apt-get', ['-qq', 'update']);
    return suite;
  }

  /** What `name` depends on, as apt words it. */
  async dependsOf(name: string, release: string): Promise<string> {
    return await this.#apt('apt-cache', ['depends', '-t', release, name]);
  }

  /** All of `names` unpacked in `target`, once; only `members` of them (globs of tar) where these are given. */
  async unpack(
    names: readonly string[],
    release: string,
    target: string,
    members: readonly string[] = [],
  ): Promise<void> {
    if (await exists(target)) return;
    const work = await mkdtemp(`${target}-`);
    try {
      await this.#apt('apt-get', ['-qq', '-t', release, 'download', ...names], work);
      await mkdir(join(work, 'files'));
      const script =
        'dpkg-deb --fsys-tarfile "$1" | { shift; tar -x -C files --no-same-owner --wildcards "$@" 2>/dev/null || true; }';
      for (const archive of globSync('*.deb', { cwd: work }))
        await run('sh', ['-c', script, 'sh', archive, ...members], { cwd: work });
      await rename(join(work, 'files'), target);
    } finally {
      await rm(work, { recursive: true });
    }
  }

  async #apt(program: string, args: readonly string[], cwd = this.#dir): Promise<string> {
    const places = {
      'Dir::State': 'state',
      'Dir::State::status': 'status',
      'Dir::Cache': 'cache',
      'Dir::Etc::sourcelist': 'sources.list',
      'Dir::Etc::sourceparts': '-',
    };
    const options = Object.entries(places).flatMap(([key, name]) => [
      '-o',
      `${key}=${join(this.#dir, name)}`,
    ]);
    const sandbox = process.getuid?.() === 0 ? ['-o', 'APT::Sandbox::User=root'] : [];
    const { stdout } = await run(program, [...options, ...sandbox, ...args], { cwd });
    return stdout;
  }
}

const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );
