import { execFileSync, spawnSync } from 'node:child_process';
import {
  chown,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  readlink,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { parse } from 'yaml';
import {
  applyProvision,
  defaultHostName,
  FILE_NAMES,
  filesOf,
  readProvision,
} from '../../../device/provision/index.ts';

const KEY = `ssh-ed25519 ${'A'.repeat(68)} ada@laptop`;
const SECRET = 'correct horse battery';

const read = (files: Readonly<Record<string, string>>) =>
  readProvision(new Map(Object.entries(files).map(([name, text]) => [name, Buffer.from(text)])));

let boot: string;
let root: string;
beforeEach(async () => {
  const folder = await mkdtemp(join(tmpdir(), 'spyoncino-first-boot-'));
  [boot, root] = [join(folder, 'boot'), join(folder, 'root')];
  await mkdir(boot);
  await mkdir(join(root, 'etc'), { recursive: true });
  await writeFile(join(root, 'etc/machine-id'), '0123456789abcdef0123456789abcdef\n');
});
afterEach(() => rm(join(boot, '..'), { recursive: true }));

const put = (name: string, content: string | Uint8Array) => writeFile(join(boot, name), content);
const apply = () => applyProvision({ from: boot, root, configDir: null, checkConfig: async () => {} });
const written = (path: string) => readFile(join(root, path), 'utf8');

async function tree(): Promise<Record<string, string>> {
  const names = await readdir(root, { recursive: true, withFileTypes: true });
  const files = names.filter((entry) => entry.isFile()).map(({ name, parentPath }) => join(parentPath, name));
  return Object.fromEntries(
    await Promise.all(files.map(async (path) => [path, await readFile(path, 'utf8')])),
  );
}

test('our own file sets up everything', async () => {
  await put(
    'spyoncino.yaml',
    `hostname: Porch
country: DE
wifi:
  - { ssid: "Haus \\"am\\" See", password: "${SECRET}" }
  - { ssid: guest, hidden: true }
ssh_key: ${KEY}
timezone: Europe/Berlin
locale: de_DE.UTF-8
config: { cameras: [{ camera_id: porch, usb_port: auto }] }
secrets: { outputs: { telegram: { token: "1:a" } } }
`,
  );
  const applied = await apply();
  expect(applied).toMatchObject({ outcome: 'applied', provision: { problems: [], notes: [] } });
  expect(await written('etc/hostname')).toBe('porch\n');
  expect(await written('etc/hosts')).toContain('127.0.1.1 porch\n');
  const wifi = await written('etc/wpa_supplicant/wpa_supplicant-wlan0.conf');
  expect(wifi).toContain(`ssid=${Buffer.from('Haus "am" See').toString('hex')}\n`);
  expect(wifi).toContain(`psk="${SECRET}"`);
  expect(wifi).toContain('country=DE');
  expect(wifi).toContain('key_mgmt=NONE');
  const keys = 'etc/ssh/authorized_keys';
  for (const path of ['etc/wpa_supplicant/wpa_supplicant-wlan0.conf', 'etc/spyoncino/secrets.yaml', keys]) {
    expect((await stat(join(root, path))).mode & 0o777).toBe(0o600);
  }
  expect(await written(keys)).toBe(`${KEY}\n`);
  expect(await readlink(join(root, 'etc/localtime'))).toBe('/usr/share/zoneinfo/Europe/Berlin');
  expect(parse(await written('etc/spyoncino/config.yaml'))).toEqual({
    cameras: [{ camera_id: 'porch', usb_port: 'auto' }],
  });
});

test('what Raspberry Pi Imager writes for Bookworm is understood', () => {
  const { notes, plan, problems } = read({
    'custom.toml': `config_version = 1
[system]
hostname = "porch"
[user]
name = "ada"
password = "$5$x$y"
password_encrypted = true
[ssh]
enabled = true
password_authentication = true
authorized_keys = [ "${KEY}" ]
[wlan]
ssid = "home"
password = "${'0f'.repeat(32)}"
password_encrypted = true
hidden = false
country = "GB"
[locale]
keymap = "gb"
timezone = "Europe/London"
`,
  });
  expect(problems).toEqual([]);
  expect(plan).toMatchObject({
    ...{ hostName: 'porch', country: 'GB', timeZone: 'Europe/London', sshKeys: [KEY] },
    wifi: [{ ssid: 'home', password: '0f'.repeat(32), hidden: false }],
  });
  expect(notes.map(({ code }) => code)).toEqual(Array(3).fill('PROVISION_IGNORED'));
  expect(notes.map(({ message }) => message).join()).toMatch(/password.*SSH.*keyboard/);
});

test('what Raspberry Pi Imager 2 writes is understood, and nothing in it is run', () => {
  const { notes, plan, problems, sources } = read({
    'user-data': `#cloud-config
hostname: porch
manage_etc_hosts: true
packages:
- avahi-daemon
timezone: Europe/London
keyboard:
  model: pc105
  layout: "gb"
enable_ssh: true
users:
- name: ada
  lock_passwd: false
  passwd: $5$x$y
  ssh_authorized_keys:
    - ${KEY}
  sudo: ALL=(ALL) NOPASSWD:ALL
runcmd:
  - [ rfkill, unblock, wifi ]
`,
    'network-config': `network:
  version: 2
  wifis:
    wlan0:
      dhcp4: true
      regulatory-domain: "GB"
      access-points:
        "home":
          hidden: true
          password: "${'0f'.repeat(32)}"
      optional: true
`,
  });
  expect(problems).toEqual([]);
  expect(sources).toEqual(['user-data', 'network-config']);
  expect(plan).toMatchObject({
    ...{ hostName: 'porch', country: 'GB', timeZone: 'Europe/London', sshKeys: [KEY] },
    wifi: [{ ssid: 'home', password: '0f'.repeat(32), hidden: true }],
  });
  expect(notes).toHaveLength(3);
});

test('ours counts before the others, thing by thing', () => {
  const { plan } = read({
    'spyoncino.yaml': 'hostname: ours\n',
    'custom.toml': '[system]\nhostname = "theirs"\n[locale]\ntimezone = "Europe/London"\n',
  });
  expect(plan).toMatchObject({ hostName: 'ours', timeZone: 'Europe/London' });
});

test('a script of an older Imager is not run, and the box says what to do', async () => {
  await put('firstrun.sh', '#!/bin/bash\nrm -rf /\n');
  const applied = await apply();
  expect(applied).toMatchObject({
    outcome: 'refused',
    provision: { problems: [{ code: 'PROVISION_FOREIGN' }] },
  });
  expect(Object.keys(await tree())).toEqual([join(root, 'etc/machine-id')]);
});

test('what is wrong is named without the secret, and then nothing is applied', async () => {
  const wrong = {
    'short password': ['wifi: { ssid: home, password: short12 }', 'wifi.0.password', 'short12'],
    'password of two lines': [`wifi: { ssid: home, password: "${SECRET}\\n}" }`, 'wifi.0.password', SECRET],
    'long name of a network': [
      `wifi: { ssid: ${'x'.repeat(33)}, password: ${SECRET} }`,
      'wifi.0.ssid',
      SECRET,
    ],
    'host name': ['hostname: "a b"', 'hostName', null],
    'time zone': ['timezone: ../../etc/passwd', 'timeZone', null],
    'key with a command': [`ssh_key: 'command="id" ${KEY}'`, 'sshKeys.0', null],
    'two keys in one': [`ssh_key: "${KEY}\\n${KEY}"`, 'sshKeys.0', null],
    'unknown key': [`wifi_pasword: ${SECRET}`, 'wifi_pasword', SECRET],
    'no YAML': [`wifi: {ssid: "home, password: ${SECRET}`, 'line 2', SECRET],
    'no TOML': [null, 'line 2', SECRET],
  } as const;
  for (const [what, [text, named, secret]] of Object.entries(wrong)) {
    await rm(boot, { recursive: true });
    await mkdir(boot);
    if (text === null) await put('custom.toml', `[wlan]\npassword = "${SECRET}\n`);
    else await put('spyoncino.yaml', `${text}\n`);
    const applied = await apply();
    expect(applied.outcome, what).toBe('refused');
    const said = JSON.stringify(applied.provision.problems);
    expect(said, what).toContain(named);
    if (secret !== null) expect(said, what).not.toContain(secret);
    expect(Object.keys(await tree()), what).toEqual([join(root, 'etc/machine-id')]);
  }
});

test('without any file a box gets a name that no other has, and keeps it', async () => {
  expect((await apply()).outcome).toBe('applied');
  const name = await written('etc/hostname');
  expect(name).toMatch(/^spyoncino-[0-9a-f]{6}\n$/);
  expect(defaultHostName('another')).not.toBe(name.trim());
  expect((await apply()).outcome).toBe('unchanged');
});

test('the same settings are applied once; what somebody changed stays until other settings come', async () => {
  await put('spyoncino.yaml', 'hostname: first\n');
  await apply();
  await writeFile(join(root, 'etc/hostname'), 'mine\n');
  expect((await apply()).outcome).toBe('unchanged');
  expect(await written('etc/hostname')).toBe('mine\n');
  await put('spyoncino.yaml', 'hostname: second\n');
  expect((await apply()).outcome).toBe('applied');
  expect(await written('etc/hostname')).toBe('second\n');
});

test('an attempt that was cut short is done again, whole', async () => {
  await put('spyoncino.yaml', `hostname: porch\nssh_key: ${KEY}\ntimezone: Europe/Berlin\n`);
  await apply();
  const whole = await tree();
  // After the power cut some files are there, others are not, and one is half of its temporary.
  await rm(join(root, 'var'), { recursive: true });
  await rm(join(root, 'etc/ssh'), { recursive: true });
  await writeFile(join(root, 'etc/hosts.tmp'), '127.0');
  await symlink('/nowhere', join(root, 'etc/localtime.tmp'));
  expect((await apply()).outcome).toBe('applied');
  expect(await tree()).toEqual(whole);
});

test('settings without a key take away those of settings before: SSH is off again', async () => {
  await put('spyoncino.yaml', `ssh_key: ${KEY}\n`);
  await apply();
  await put('spyoncino.yaml', 'hostname: porch\n');
  await apply();
  expect(await written('etc/ssh/authorized_keys')).toBe('');
});

test('the configuration may be elsewhere, and belongs to whom that folder belongs', async () => {
  const configDir = join(boot, '../config');
  await mkdir(configDir);
  const isRoot = process.getuid?.() === 0;
  if (isRoot) await chown(configDir, 12_345, 12_346);
  await put('spyoncino.yaml', 'config: {}\nsecrets: {}\n');
  await applyProvision({ from: boot, root, configDir, checkConfig: async () => {} });
  for (const name of ['config.yaml', 'secrets.yaml']) {
    const { gid, uid } = await stat(join(configDir, name));
    if (isRoot) expect([uid, gid]).toEqual([12_345, 12_346]);
  }
  expect(Object.keys(await tree())).not.toContain(join(root, 'etc/spyoncino/config.yaml'));
});

test('a disk that takes nothing is said, and nothing counts as applied', async () => {
  await put('spyoncino.yaml', 'hostname: porch\n');
  await writeFile(join(root, 'var'), 'not a folder');
  await expect(apply()).rejects.toMatchObject({ code: 'PROVISION_FAILED' });
  await rm(join(root, 'var'));
  expect((await apply()).outcome).toBe('applied');
});

const texts = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.json(),
  fc
    .record({ hostname: fc.anything(), wifi: fc.anything(), ssh_keys: fc.anything(), config: fc.anything() })
    .map((value) => JSON.stringify(value) ?? ''),
  fc.constantFrom(
    'a: &a [*a]\n',
    'a: &a {b: 1}\nc: *a\n',
    '[wlan]\nssid = 1\n',
    'wifis: {w: {access-points: {"": }}}\n',
    '%',
    '\uFEFFhostname: x\n',
  ),
);
const anyFiles = fc.dictionary(
  fc.constantFrom(...FILE_NAMES),
  fc.oneof(
    fc.uint8Array({ maxLength: 300 }),
    texts.map((text) => new Uint8Array(Buffer.from(text))),
  ),
);

test('whatever bytes lie there: never a crash, and never a plan beside a problem that is applied', () => {
  fc.assert(
    fc.property(anyFiles, (files) => {
      const { plan, problems } = readProvision(new Map(Object.entries(files)));
      for (const { code } of problems) expect(code).toMatch(/^PROVISION_/);
      for (const { content, path, place } of filesOf(plan, 'machine')) {
        expect(path).toMatch(place === 'system' ? /^etc\/[\w./-]+$/ : /^(?:config\.yaml|secrets\.yaml)$/);
        expect(path).not.toContain('..');
        // One line more than were meant would be another setting.
        if (path === 'etc/hostname') expect(content).toMatch(/^[a-z0-9-]+\n$/);
      }
    }),
    { numRuns: 500 },
  );
});

test('whatever bytes lie there, applied to a real folder: all or nothing', async () => {
  await fc.assert(
    fc.asyncProperty(anyFiles, async (files) => {
      await rm(boot, { recursive: true });
      await rm(join(root, 'var'), { recursive: true, force: true });
      await mkdir(boot);
      for (const [name, bytes] of Object.entries(files)) await put(name, bytes);
      const before = await tree();
      const applied = await apply();
      const after = await tree();
      if (applied.outcome === 'refused') expect(after).toEqual(before);
      else expect(Object.keys(after)).toContain(join(root, 'var/lib/spyoncino/first-boot.json'));
    }),
    { numRuns: 60 },
  );
});

const printable = fc.string({
  unit: fc.integer({ min: 32, max: 126 }).map((at) => String.fromCharCode(at)),
  minLength: 8,
  maxLength: 63,
});

test('any name and password of a network stand in one block, as they are', () => {
  fc.assert(
    fc.property(fc.string({ minLength: 1, maxLength: 8 }), printable, (ssid, password) => {
      const { plan, problems } = read({ 'spyoncino.yaml': JSON.stringify({ wifi: { ssid, password } }) });
      if (problems.length > 0) {
        expect(ssid).toContain('\0');
        return;
      }
      const file = filesOf(plan, 'x').find(({ path }) => path.includes('wpa_supplicant'))!.content;
      expect(file.match(/^network=\{$/gm)).toHaveLength(1);
      const hex = /^\tssid=([0-9a-f]+)$/m.exec(file)![1]!;
      expect(Buffer.from(hex, 'hex').toString()).toBe(Buffer.from(ssid).toString());
      expect(file).toContain(`\tpsk="${password}"\n}\n`);
    }),
  );
});

test('a first configuration that the agent would refuse is not applied', async () => {
  await put('spyoncino.yaml', 'hostname: porch\nconfig: { camras: [] }\n');
  const argv = ['device/main.ts', 'first-boot', '--from', boot, '--root', root, '--json'];
  const { status, stdout } = spawnSync(process.execPath, argv, { encoding: 'utf8' });
  expect(status).toBe(1);
  expect(JSON.parse(stdout)).toMatchObject({ outcome: 'refused', problems: [{ code: 'CONFIG_INVALID' }] });
  expect(stdout).toContain('camras');
  expect(Object.keys(await tree())).toEqual([join(root, 'etc/machine-id')]);
});

test('the verb says what it did, without secrets', async () => {
  await put('spyoncino.yaml', `hostname: porch\nwifi: { ssid: home, password: "${SECRET}" }\n`);
  const run = () =>
    execFileSync(
      process.execPath,
      ['device/main.ts', 'first-boot', '--from', boot, '--root', root, '--json'],
      {
        encoding: 'utf8',
      },
    );
  const said = run();
  expect(JSON.parse(said)).toMatchObject({ outcome: 'applied', sources: ['spyoncino.yaml'], wifi: 1 });
  expect(said).not.toContain(SECRET);
  expect(JSON.parse(run())).toMatchObject({ outcome: 'unchanged', wrote: [] });
});
