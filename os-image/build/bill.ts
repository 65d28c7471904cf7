/** The bill of materials of an image: CycloneDX 1.6 over its Debian and npm packages. Pure. */
import { createHash } from 'node:crypto';

export interface Component {
  readonly type: 'library';
  readonly 'bom-ref': string;
  readonly name: string;
  readonly version: string;
  readonly purl: string;
  readonly licenses?: readonly (
    | { readonly expression: string }
    | { readonly license: { readonly name: string } | { readonly id: string } }
  )[];
  readonly hashes?: readonly { readonly alg: 'SHA-512'; readonly content: string }[];
  readonly properties?: readonly { readonly name: string; readonly value: string }[];
}

export interface Bill {
  readonly $schema: string;
  readonly bomFormat: 'CycloneDX';
  readonly specVersion: '1.6';
  readonly serialNumber: string;
  readonly version: 1;
  readonly metadata: {
    readonly timestamp: string;
    readonly component: {
      readonly type: 'operating-system';
      readonly 'bom-ref': string;
      readonly name: string;
      readonly version: string;
    };
  };
  readonly components: readonly Component[];
}

/** A Debian package; `source` is what its security tracker knows it by. */
function debian(name: string, version: string, architecture: string, source: string): Component {
  const purl = `pkg:deb/debian/${encodeURIComponent(name)}@${encodeURIComponent(version)}?arch=${architecture}&distro=trixie`;
  return {
    type: 'library',
    'bom-ref': purl,
    name,
    version,
    purl,
    properties: [{ name: 'debian:source', value: source }],
  };
}

/** From dpkg's `status`: what is installed. */
export const debianPackages = (status: string): readonly Component[] =>
  status.split('\n\n').flatMap((paragraph) => {
    const field = (name: string): string => new RegExp(`^${name}: (.*)$`, 'm').exec(paragraph)?.[1] ?? '';
    const name = field('Package');
    return name === '' || field('Status') !== 'install ok installed'
      ? []
      : [debian(name, field('Version'), field('Architecture'), field('Source') || name)];
  });

/** From lines of name, version and architecture, as the recipe notes what it unpacks without dpkg. */
export const unpackedPackages = (lines: string): readonly Component[] =>
  lines
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const [name = '', version = '', architecture = ''] = line.split('\t');
      return debian(name, version, architecture, name);
    });

interface Lock {
  readonly packages: Readonly<
    Record<string, { readonly version?: string; readonly license?: string; readonly integrity?: string }>
  >;
}

/** From npm's own list of what it has put into `node_modules`. `isThere` says what the image kept of it.*/
export const npmPackages = (
  lock: Lock,
  isThere: (path: string) => boolean = () => true,
): readonly Component[] =>
  Object.entries(lock.packages).flatMap(([path, { integrity, license, version }]): readonly Component[] => {
    const name = path.split('node_modules/').at(-1) ?? '';
    if (name === '' || version === undefined || !isThere(path)) return [];
    const purl = `pkg:npm/${name.split('/').map(encodeURIComponent).join('/')}@${encodeURIComponent(version)}`;
    const sha512 = /^sha512-(\S+)/.exec(integrity ?? '')?.[1];
    return [
      {
        type: 'library',
        'bom-ref': purl,
        name,
        version,
        purl,
        ...(license === undefined ? {} : { licenses: [licence(license)] }),
        ...(sha512 === undefined
          ? {}
          : {
              hashes: [{ alg: 'SHA-512' as const, content: Buffer.from(sha512, 'base64').toString('hex') }],
            }),
      },
    ];
  });

const licence = (text: string): { expression: string } | { license: { name: string } } =>
  /^\(?[A-Z][\w.+-]*( (AND|OR|WITH) \(?[A-Z][\w.+-]*\)?)*\)?$/i.test(text) && !/^(UNLICENSED|SEE)/.test(text)
    ? { expression: text }
    : { license: { name: text } };

/** Each package once, in order; two calls with the same give the same bytes. */
export function billOf(version: string, timestamp: string, components: readonly Component[]): Bill {
  const byRef = new Map(components.map((component) => [component['bom-ref'], component]));
  const sorted = [...byRef.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, component]) => component);
  const hex = createHash('sha256')
    .update(JSON.stringify([version, sorted]))
    .digest('hex');
  const uuid = [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `8${hex.slice(13, 16)}`,
    `a${hex.slice(17, 20)}`,
    hex.slice(20, 32),
  ];
  return {
    $schema: 'http://cyclonedx.org/schema/bom-1.6.schema.json',
    bomFormat: 'CycloneDX',
    specVersion: '1.6',
    serialNumber: `urn:uuid:${uuid.join('-')}`,
    version: 1,
    metadata: {
      timestamp,
      component: { type: 'operating-system', 'bom-ref': 'spyoncino', name: 'spyoncino', version },
    },
    components: sorted,
  };
}
