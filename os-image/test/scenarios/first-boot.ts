/** One boot of a fresh card, with a clock at 1970: what the owner finds, and what is open. */
import { generateKeyPairSync } from 'node:crypto';
import { mkdirSync, truncateSync, writeFileSync } from 'node:fs';
import { bundleOf, Card, VERSIONS } from '../card.ts';
import { Guest } from '../guest.ts';
import type { Scenario, Shown } from '../scenario.ts';
import { cache, toolbox } from '../toolbox.ts';

const OWNER_CODE = /the code for its owner: ([A-Z0-9]{5}-[A-Z0-9]{5})/;

/** Resolves to the code that the console shows. */
export async function ownerCode(guest: Guest): Promise<string> {
  return OWNER_CODE.exec(await guest.line(OWNER_CODE))?.[1] ?? '';
}

interface SshKey {
  readonly publicLine: string;
  readonly privatePem: string;
}

function sshKey(): SshKey {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const raw = Buffer.from(publicKey.export({ format: 'jwk' }).x ?? '', 'base64url');
  const field = (bytes: Buffer): Buffer => {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(bytes.length);
    return Buffer.concat([length, bytes]);
  };
  const blob = Buffer.concat([field(Buffer.from('ssh-ed25519')), field(raw)]);
  return {
    publicLine: `ssh-ed25519 ${blob.toString('base64')} owner@laptop`,
    privatePem: privateKey.export({ format: 'pem', type: 'pkcs8' }) as string,
  };
}

/** A stick as people have them, FAT without partitions, with a bundle on it. */
function stick(bundle: string): string {
  mkdirSync(`${cache}/vm`, { recursive: true });
  writeFileSync(`${cache}/vm/stick.img`, '');
  truncateSync(`${cache}/vm/stick.img`, 512 * 1024 * 1024);
  toolbox('mkfs.vfat', '-F', '32', '/cache/vm/stick.img');
  toolbox('mcopy', '-i', '/cache/vm/stick.img', bundle.replace(cache, '/cache'), '::');
  return '/cache/vm/stick.img';
}

async function owner(guest: Guest, shown: Shown): Promise<void> {
  const code = await ownerCode(guest);
  shown('the console shows where to open the box, and the code for its owner');
  await guest.ready();
  await guest.until('cat /boot/firmware/spyoncino-owner.txt', new RegExp(`attic\\.local[^]*${code}`));
  await guest.until('grep " /boot/firmware " /proc/mounts', / vfat ro,/);
  await guest.expect('agetty --show-issue', new RegExp(code));
  shown('the same stands before each login prompt and on the firmware partition, which is read-only again');

  await guest.must('systemctl restart spyoncino-modular');
  await guest.until('cat /run/spyoncino/owner-code', new RegExp(code));
  shown('the agent starts again: the code is the same');
  await guest.healthy();
  const body = { code, name: 'ada', password: 'correct horse battery' };
  const { status, text } = await guest.call('POST', '/api/setup', body);
  if (status !== 201) throw new Error(`the code makes no owner: ${status}, ${text}`);
  await guest.until('ls /boot/firmware; wc -c </run/spyoncino/owner-code', /^(?![^]*owner\.txt)[^]*\n0$/);
  await guest.expect('! agetty --show-issue | grep "code for its owner"', /^/);
  shown('who types it owns the box: file and code are gone');
}

async function clock(guest: Guest, shown: Shown): Promise<void> {
  const authority = '/var/lib/spyoncino/state/tls/authority.crt';
  const seconds = (text: string): number => Number(text.split('\n').at(-1));
  const built = seconds(await guest.must('stat -c %Y /usr/lib/clock-epoch'));
  const from = `date -d "$(openssl x509 -in ${authority} -noout -startdate | cut -d = -f 2)" +%s`;
  const validFrom = seconds(await guest.must(from));
  const dayS = 86_400;
  if (built < 1_760_000_000 || validFrom < built - dayS || validFrom > built + dayS)
    throw new Error(`image of ${built}, certificate from ${validFrom}`);
  shown('with the clock at 1970 the certificate is valid from the day before the image was made');
}

/** A neighbour in the network: a namespace at the other end of a cable. */
async function neighbour(guest: Guest): Promise<void> {
  await guest.must(
    'ip netns add near && ip link add cable type veth peer name eth0 netns near' +
      ' && ip address add 192.0.2.1/24 dev cable && ip link set cable up' +
      ' && ip -n near address add 192.0.2.2/24 dev eth0 && ip -n near link set eth0 up',
  );
}

/** What is open from outside equals `wanted`. Everything that listens is tried, and what must not. */
export async function openPorts(guest: Guest, wanted: readonly number[]): Promise<void> {
  const listening = await guest.must("ss -Hlnt | awk '{ print $4 }' | sed 's/.*://' | sort -nu");
  const tried = new Set([
    22,
    80,
    443,
    1883,
    5355,
    8443,
    8883,
    9093,
    9443,
    ...listening.split(/\s+/).map(Number),
  ]);
  const open = await guest.must(
    `for port in ${[...tried].join(' ')}; do` +
      ' ip netns exec near timeout 5 bash -c "</dev/tcp/192.0.2.1/$port" 2>/dev/null && echo $port; done; true',
  );
  if (open.split(/\s+/).join() !== wanted.join())
    throw new Error(`open from outside: ${open}, listening: ${listening}`);
  const rules = await guest.must('nft list chain inet spyoncino input');
  const udp = [...rules.matchAll(/udp dport (\S+)/g)].map(([, port]) => port);
  if (!/policy drop/.test(rules) || udp.join() !== '68,5353') throw new Error(`firewall: ${rules}`);
}

async function ssh(guest: Guest, key: SshKey, shown: Shown): Promise<void> {
  await guest.must(`umask 077; echo '${key.privatePem.trim()}' >/run/owner-key`);
  const login =
    'ip netns exec near ssh -F none -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null';
  await guest.until(`${login} -i /run/owner-key root@192.0.2.1 id -un`, /^root$/m);
  await guest.refuses(
    `${login} -o PubkeyAuthentication=no root@192.0.2.1 true`,
    /Permission denied \(publickey\)/,
  );
  await guest.refuses(
    `${login} -i /run/owner-key spyoncino@192.0.2.1 true`,
    /Permission denied \(publickey\)/,
  );
  await guest.must('test -s /data/system/ssh/ssh_host_ed25519_key');
  shown(
    'SSH takes the key of the settings, for root; no password, nobody else; its own key is on the data partition',
  );
}

export const firstBoot: Scenario = {
  name: 'first-boot',
  about: 'owner code, certificates without a clock, SSH by key, open ports, a USB stick',
  async run({ shown }) {
    const key = sshKey();
    using card = Card.flash('first-boot', { settings: `hostname: attic\nssh_key: ${key.publicLine}\n` });
    const usb = ['-device', 'qemu-xhci', '-device', 'usb-storage,drive=stick'];
    await using guest = await Guest.start('first-boot', card, {
      rtc: '1970-01-01T00:00:00',
      more: ['-drive', `file=${stick(bundleOf(VERSIONS.next))},format=raw,if=none,id=stick`, ...usb],
    });
    await owner(guest, shown);
    await clock(guest, shown);
    await neighbour(guest);
    await openPorts(guest, [22, 8443, 9443]);
    shown('open from outside: 8443, 9443, and 22 as the settings give a key; of UDP mDNS alone');
    await ssh(guest, key, shown);
    await guest.until('grep " /run/media/" /proc/mounts', / vfat ro,nosuid,nodev,noexec/);
    await guest.until('spyoncino update check usb', new RegExp(`${VERSIONS.next} can be installed`));
    shown('a USB stick is mounted read-only, and its bundle found');
    await guest.powerOff();
  },
};
