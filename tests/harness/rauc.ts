/** RAUC as on the image: a two-level authority, bundles signed by it, and its service on a bus and slots (files) of its own. */
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { Rauc, type RaucOptions } from '../../device/update/index.ts';
import { requirePackages } from './packages.ts';

requirePackages(['rauc', 'squashfs-tools', 'openssl', 'dbus-daemon']);

const run = promisify(execFile);
const SLOT_BYTES = 4 * 1024 * 1024;

export const COMPATIBLE = 'spyoncino-test';

export interface BundleOptions {
  readonly version: string;
  readonly compatible?: string;
  /** Of somebody whom the box does not trust. */
  readonly isForeign?: boolean;
  readonly format?: 'verity' | 'plain';
  readonly content?: Uint8Array;
}

export interface RaucWorld extends AsyncDisposable {
  readonly folder: string;
  readonly rauc: Rauc;
  /** Path of a new bundle. */
  bundle(options: BundleOptions): Promise<string>;
  /**
   * A verity bundle, and RAUC for it on a kernel without device mapper: looks at it as it is, but installs a plain one with
   * the same content in its place, once what is to be installed is that bundle byte for byte.
   */
  verityBundle(options: BundleOptions): Promise<{ path: string; rauc: Rauc }>;
  /** A squashfs like that of a bundle, without any signature. */
  unsigned(): Promise<string>;
  /** What stands in a slot. */
  slot(name: 'A' | 'B'): Promise<Buffer>;
  /** Boot name of the slot that starts next. */
  primary(): Promise<string>;
  mark(name: 'A' | 'B', state: 'good' | 'bad'): Promise<void>;
  /** The boot state takes no change. */
  setStuck(isStuck: boolean): Promise<void>;
}

/** Slot A runs. */
export async function createRaucWorld(): Promise<RaucWorld> {
  const folder = await mkdtemp(join(tmpdir(), 'spyoncino-rauc-'));
  const at = (name: string): string => join(folder, name);
  const children: ChildProcess[] = [];
  let bundles = 0;
  const dispose = async (): Promise<void> => {
    for (const child of children.toReversed()) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const gone = once(child, 'exit');
      child.kill();
      await gone;
    }
    await rm(folder, { recursive: true, force: true });
  };
  try {
    await makeAuthority(folder);
    for (const name of ['A', 'B']) {
      await writeFile(at(name), '');
      await truncate(at(name), SLOT_BYTES);
      await writeFile(at(`state-${name}`), 'good');
    }
    await writeFile(at('primary'), 'A');
    await writeFile(at('backend'), backend(folder), { mode: 0o755 });
    await mkdir(at('mnt'));
    await writeFile(at('system.conf'), systemConf(folder));
    await writeFile(at('bus.conf'), busConf(folder));
    const env = { DBUS_SYSTEM_BUS_ADDRESS: `unix:path=${at('bus')}` };
    const rauc = new Rauc({ config: at('system.conf'), env });
    children.push(spawn('dbus-daemon', [`--config-file=${at('bus.conf')}`, '--nofork'], { stdio: 'ignore' }));
    await untilDone(() => readFile(at('pid')));
    const service = ['--conf', at('system.conf'), '--override-boot-slot=A', 'service'];
    children.push(spawn('rauc', service, { env: { ...process.env, ...env }, stdio: 'ignore' }));
    await untilDone(() => rauc.status());
    const world: RaucWorld = {
      folder,
      rauc,
      async verityBundle(options) {
        const [path, twin] = [
          await world.bundle(options),
          await world.bundle({ ...options, format: 'plain' }),
        ];
        return { path, rauc: new RaucWithoutVerity({ config: at('system.conf'), env }, path, twin) };
      },
      async bundle({ compatible = COMPATIBLE, content = randomBytes(300_000), format = 'verity', ...of }) {
        const source = at(`bundle-${++bundles}`);
        const path = `${source}.raucb`;
        await mkdir(source);
        await writeFile(join(source, 'rootfs.img'), content);
        await writeFile(join(source, 'manifest.raucm'), manifest(compatible, of.version, format));
        const signer = of.isForeign ? 'foreign' : 'signer';
        const chain = of.isForeign ? [] : ['--intermediate', at('release.crt')];
        const keys = ['--cert', at(`${signer}.crt`), '--key', at(`${signer}.key`), ...chain];
        await run('rauc', ['bundle', ...keys, source, path]);
        return path;
      },
      async unsigned() {
        const source = at('unsigned');
        await mkdir(source, { recursive: true });
        await writeFile(join(source, 'manifest.raucm'), manifest(COMPATIBLE, '9.0.0', 'plain'));
        await run('mksquashfs', [source, at('unsigned.raucb'), '-quiet', '-no-progress', '-noappend']);
        return at('unsigned.raucb');
      },
      slot: (name) => readFile(at(name)),
      primary: async () => (await readFile(at('primary'), 'utf8')).trim(),
      mark: (name, state) => writeFile(at(`state-${name}`), state),
      setStuck: (isStuck) => (isStuck ? writeFile(at('stuck'), '') : rm(at('stuck'))),
      [Symbol.asyncDispose]: dispose,
    };
    return world;
  } catch (error) {
    await dispose();
    throw error;
  }
}

class RaucWithoutVerity extends Rauc {
  readonly #bundle: string;
  readonly #twin: string;

  constructor(options: RaucOptions, bundle: string, twin: string) {
    super(options);
    this.#bundle = bundle;
    this.#twin = twin;
  }

  override async install(
    source: string,
    onProgress: (fraction: number) => void,
    signal: AbortSignal,
  ): Promise<void> {
    const given = source.startsWith('http:')
      ? Buffer.from(await (await fetch(source)).arrayBuffer())
      : await readFile(source);
    if (!given.equals(await readFile(this.#bundle))) throw new Error('another bundle is to be installed');
    await super.install(this.#twin, onProgress, signal);
  }
}

async function makeAuthority(folder: string): Promise<void> {
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  const openssl = (...args: string[]) => run('openssl', args, { cwd: folder });
  const self = (name: string) =>
    openssl(
      'req',
      '-x509',
      ...key,
      '-days',
      '400',
      '-subj',
      `/CN=${name}`,
      '-keyout',
      `${name}.key`,
      '-out',
      `${name}.crt`,
    );
  const signedBy = async (issuer: string, name: string, extensions: string): Promise<void> => {
    await writeFile(join(folder, `${name}.ext`), extensions);
    await openssl('req', ...key, '-subj', `/CN=${name}`, '-keyout', `${name}.key`, '-out', `${name}.csr`);
    const by = ['-CA', `${issuer}.crt`, '-CAkey', `${issuer}.key`, '-CAcreateserial'];
    await openssl(
      ...['x509', '-req', '-in', `${name}.csr`, ...by, '-days', '300', '-extfile', `${name}.ext`],
      ...['-out', `${name}.crt`],
    );
  };
  await self('root');
  await self('foreign');
  await signedBy(
    'root',
    'release',
    'basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n',
  );
  await signedBy('release', 'signer', 'keyUsage=critical,digitalSignature\nextendedKeyUsage=codeSigning\n');
}

const manifest = (compatible: string, version: string, format: string): string => `[update]
compatible=${compatible}
version=${version}
[bundle]
format=${format}
[image.rootfs]
filename=rootfs.img
`;

const systemConf = (folder: string): string => `[system]
compatible=${COMPATIBLE}
bootloader=custom
mountprefix=${folder}/mnt
statusfile=${folder}/status
[keyring]
path=${folder}/root.crt
check-purpose=codesign
[handlers]
bootloader-custom-backend=${folder}/backend
[slot.rootfs.0]
device=${folder}/A
type=raw
bootname=A
[slot.rootfs.1]
device=${folder}/B
type=raw
bootname=B
`;

const backend = (folder: string): string => `#!/bin/sh
cd ${folder}
case $1 in
  get-primary) cat primary;;
  set-primary) [ ! -e stuck ] && echo "$2" > primary;;
  get-state) cat "state-$2";;
  set-state) echo "$3" > "state-$2";;
  get-current) echo A;;
esac
`;

const busConf = (folder: string): string => `<!DOCTYPE busconfig PUBLIC
 "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN" "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <pidfile>${folder}/pid</pidfile>
  <listen>unix:path=${folder}/bus</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/>
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
`;

/** What is started is not there at once, and says so to nobody. */
async function untilDone(work: () => Promise<unknown>): Promise<void> {
  for (let triesLeft = 200; ; triesLeft--) {
    try {
      await work();
      return;
    } catch (error) {
      if (triesLeft === 0) throw error;
      await delay(50);
    }
  }
}
