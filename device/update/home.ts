import { access, readFile } from 'node:fs/promises';

/** What kind of installation this is, and how it is brought up to date. */
export type Home =
  | { readonly kind: 'image'; readonly version: string }
  | { readonly kind: 'balena' | 'container' | 'systemd' | 'checkout'; readonly howTo: string };

export interface HomeFacts {
  /** Of /etc/os-release; empty where there is none. */
  readonly osRelease: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly isContainer: boolean;
}

const HOW_TO = {
  balena: 'push a release to the fleet: balena brings it here',
  container: 'fetch or build the new container image, then `docker compose up -d`',
  systemd: 'unpack the new version and run its `scripts/install`',
  checkout: '`git pull`, then start the agent again',
} as const;

/** Pure. A container on our image is a container. */
export function homeOf({ osRelease, env, isContainer }: HomeFacts): Home {
  if (env['BALENA'] === '1') return { kind: 'balena', howTo: HOW_TO.balena };
  if (isContainer) return { kind: 'container', howTo: HOW_TO.container };
  const release = parseOsRelease(osRelease);
  const version = release.get('IMAGE_VERSION');
  if (release.get('IMAGE_ID') === 'spyoncino' && version) return { kind: 'image', version };
  return env['INVOCATION_ID'] === undefined
    ? { kind: 'checkout', howTo: HOW_TO.checkout }
    : { kind: 'systemd', howTo: HOW_TO.systemd };
}

export async function findHome(env: HomeFacts['env'], osReleasePath = '/etc/os-release'): Promise<Home> {
  const isThere = (path: string): Promise<boolean> =>
    access(path).then(
      () => true,
      () => false,
    );
  return homeOf({
    osRelease: await readFile(osReleasePath, 'utf8').catch(() => ''),
    env,
    isContainer: (await isThere('/.dockerenv')) || (await isThere('/run/.containerenv')),
  });
}

/** Assignments of os-release(5), unquoted as far as versions and names need it. */
function parseOsRelease(text: string): ReadonlyMap<string, string> {
  const pairs = [...text.matchAll(/^([A-Z_][A-Z0-9_]*)=(?:"([^"]*)"|'([^']*)'|(\S*))\s*$/gm)];
  return new Map(pairs.map(([, name = '', double, single, bare]) => [name, double ?? single ?? bare ?? '']));
}
