/**
 * Completes package-lock.json with the optional packages of other platforms that the registry in use does not
 * carry. `npm install` leaves those out, and `npm ci` then refuses the lock file everywhere. They are never
 * fetched on a platform they are not for, so a name, a version and a platform are enough. Run after `npm install`.
 */
import { readFileSync, writeFileSync } from 'node:fs';

interface LockedPackage {
  readonly version?: string;
  readonly dev?: boolean;
  readonly optional?: boolean;
  readonly os?: readonly string[];
  readonly cpu?: readonly string[];
  readonly libc?: readonly string[];
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

export type LockedPackages = Readonly<Record<string, LockedPackage>>;

/** Entries that `packages` lacks, by their place in node_modules. */
export function missingPlatformPackages(packages: LockedPackages): LockedPackages {
  const missing: Record<string, LockedPackage> = {};
  for (const [place, { dev, optionalDependencies = {} }] of Object.entries(packages)) {
    for (const [name, version] of Object.entries(optionalDependencies)) {
      if (resolves(packages, place, name)) continue;
      missing[`node_modules/${name}`] = { version, ...(dev && { dev }), optional: true, ...platformOf(name) };
    }
  }
  return missing;
}

/** Node's look-up: in the package's own node_modules, then in those of each parent. */
function resolves(packages: LockedPackages, place: string, name: string): boolean {
  const parts = place.split('/node_modules/');
  const places = parts.map((_, i) => parts.slice(0, parts.length - i).join('/node_modules/'));
  return [...places, ''].some((from) => `${from && `${from}/`}node_modules/${name}` in packages);
}

const SYSTEMS = new Set(['android', 'darwin', 'freebsd', 'linux', 'openharmony', 'win32']);
const PROCESSORS = new Set(['arm', 'arm64', 'ia32', 'ppc64', 'riscv64', 's390x', 'x64']);

/** Such packages carry their platform in the name, as in `@oxlint/binding-linux-arm64-musl`. */
function platformOf(name: string): Pick<LockedPackage, 'os' | 'cpu' | 'libc'> {
  const words = name.split(/[/-]/);
  const os = words.filter((word) => SYSTEMS.has(word));
  const cpu = words.filter((word) => PROCESSORS.has(word));
  if (os.length !== 1 || cpu.length !== 1)
    throw new Error(`${name} is missing and does not name its platform`);
  const libc = words.flatMap((word) =>
    word.startsWith('gnu') ? 'glibc' : word.startsWith('musl') ? 'musl' : [],
  );
  return { os, cpu, ...(os[0] === 'linux' && libc.length > 0 && { libc }) };
}

if (import.meta.main) {
  const lock = JSON.parse(readFileSync('package-lock.json', 'utf8')) as { packages: LockedPackages };
  const missing = missingPlatformPackages(lock.packages);
  const all = Object.entries({ ...lock.packages, ...missing });
  lock.packages = Object.fromEntries(all.sort(([a], [b]) => a.localeCompare(b, 'en')));
  writeFileSync('package-lock.json', `${JSON.stringify(lock, null, 2)}\n`);
  process.stdout.write(`${Object.keys(missing).length} packages of other platforms added\n`);
}
