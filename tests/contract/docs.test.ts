import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { posix } from 'node:path';
import { expect, test } from 'vitest';

/** Everything that is in the repository or about to be. */
const tracked = execFileSync(
  'git',
  ['-c', 'safe.directory=*', 'ls-files', '--cached', '--others', '--exclude-standard'],
  { encoding: 'utf8' },
)
  .split('\n')
  .filter((file) => file !== '' && existsSync(file) && statSync(file).isFile());

const documents = tracked.filter((file) => file.endsWith('.md'));

/** Markdown without its code, where brackets mean something else. */
const prose = (file: string): string =>
  readFileSync(file, 'utf8')
    .replaceAll(/^```[\s\S]*?^```/gm, '')
    .replaceAll(/`[^`\n]*`/g, '');

/** Anchors of headings as GitHub makes them. */
function anchorsOf(file: string): ReadonlySet<string> {
  const headings = [
    ...readFileSync(file, 'utf8')
      .replaceAll(/^```[\s\S]*?^```/gm, '')
      .matchAll(/^#+ +(.+)$/gm),
  ];
  return new Set(
    headings.map(([, title]) =>
      (title ?? '')
        .toLowerCase()
        .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
        .trim()
        .replaceAll(/\s/g, '-'),
    ),
  );
}

test('there are documents to check', () => {
  expect(documents.length).toBeGreaterThan(3);
});

test('links between documents lead somewhere', () => {
  const broken = documents.flatMap((file) =>
    [...prose(file).matchAll(/\]\(([^()\s]+)\)/g)].flatMap(([, link = '']) => {
      if (/^[a-z]+:/.test(link)) return [];
      const [path = '', anchor] = link.split('#');
      const target = path === '' ? file : posix.normalize(posix.join(posix.dirname(file), path));
      if (!existsSync(target)) return [`${file}: ${link} is not there`];
      if (anchor && target.endsWith('.md') && !anchorsOf(target).has(anchor)) {
        return [`${file}: ${link} names no heading of ${target}`];
      }
      return [];
    }),
  );
  expect(broken).toEqual([]);
});

const containing = (needles: readonly string[]): readonly string[] =>
  tracked.flatMap((file) => {
    const text = readFileSync(file, 'latin1');
    return needles.filter((needle) => text.includes(needle)).map((needle) => `${file} contains ${needle}`);
  });

test('no file names a path of the machine it was written on', () => {
  const own = [process.cwd(), homedir()].filter((path) => path.split('/').length > 2);
  expect(containing([...own, `${posix.sep}work${posix.sep}`])).toEqual([]);
});

test('no file names the host that packages are installed from', () => {
  const registry = execFileSync('npm', ['config', 'get', 'registry'], { encoding: 'utf8' }).trim();
  const hosts = ['npmjs', 'yarnpkg'].map((name) => `registry.${name}.`);
  expect(containing([new URL(registry).hostname, ...hosts])).toEqual([]);
  expect(readFileSync('package-lock.json', 'utf8')).not.toContain('"resolved"');
});
