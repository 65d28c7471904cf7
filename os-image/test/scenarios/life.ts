/** The life of a box: flashed, set up, recording, updated; what must not be installed is refused. */
import { readFileSync } from 'node:fs';
import { serveBundle } from '../../../tests/harness/bundle-server.ts';
import { badBundles } from '../broken.ts';
import { bundleOf, Card, VERSIONS } from '../card.ts';
import { Guest, inGuest } from '../guest.ts';
import { recordEvent } from '../recording.ts';
import type { Scenario, Shown } from '../scenario.ts';

async function firstBoot(guest: Guest, shown: Shown): Promise<void> {
  await guest.line(/spyoncino: booting slot A, good, 2 attempts left, recovery none/);
  shown('U-Boot reads the boot state, takes one attempt in one write, chooses slot A');
  await guest.line(/Debian GNU\/Linux 13 attic /);
  shown(
    "kernel, dm-verity, data partition mounted; the owner's settings give the host name of the login prompt",
  );
  await guest.healthy();
  shown('the agent answers /health over TLS');
  await guest.line(/spyoncino: slot A is good/);
  shown('the slot gets its attempts back');
  await guest.ready();
  const rules = await guest.must('nft list ruleset');
  const open = [...rules.matchAll(/dport (.*) accept/g)].map(([, ports]) => ports);
  const wanted = ['68', '5353', '{ 8443, 8883, 9443 }'];
  if (!/policy drop/.test(rules) || open.join() !== wanted.join()) throw new Error(`firewall: ${rules}`);
  shown('the firewall is loaded: what is open is 8443, 9443, 8883, mDNS');
  await guest.until('systemctl is-active spyoncino-grow.service', /^active$/);
  const ids = await guest.must('sfdisk --dump /dev/$(cat /run/spyoncino-image/boot-disk)');
  if (/5b10c1a0/i.test(ids)) throw new Error(`ids as flashed: ${ids}`);
  await guest.expect('sfdisk --verify /dev/$(cat /run/spyoncino-image/boot-disk)', /No errors detected/);
  shown('disk and partitions have ids of their own, and the table is whole');
}

/** Resolves to the path of a clip below the data directory. */
async function record(guest: Guest, shown: Shown): Promise<string> {
  await guest.until('spyoncino command camera.snapshot --camera attic', /"path"/);
  shown("the kernel's vivid camera is read by V4L2: a picture of it");
  const { clip } = await recordEvent(guest);
  shown('the clip of an event is there');
  return clip;
}

async function update(guest: Guest, clip: string, shown: Shown): Promise<void> {
  await using server = await serveBundle(readFileSync(bundleOf(VERSIONS.next)));
  // In the background: the restart that follows ends the shell.
  await guest.must(`spyoncino update install ${inGuest(server)} --timeout 600 >/dev/null 2>&1 &`);
  await guest.line(/spyoncino: booting slot B, trial, 2 attempts left/);
  shown(
    `${VERSIONS.next} is fetched, verified, written to slot B; the agent asks for a restart, and B is tried`,
  );
  await guest.line(/spyoncino: slot B is good/);
  shown('the health gate confirms it: picture, clip, bus, API');
  await guest.ready();
  await guest.until('spyoncino update status', new RegExp(`last +${VERSIONS.next}: succeeded`));
  await guest.expect('spyoncino update status', /slot B +booted, good/);
  await guest.must(`test -s /var/lib/spyoncino/${clip}`);
  await guest.expect('hostname', /^attic$/);
  shown('the update is told as succeeded; clip and settings are there');
}

async function refusals(guest: Guest, shown: Shown): Promise<void> {
  for (const { name, content, code } of badBundles(VERSIONS.first)) {
    await using server = await serveBundle(content);
    server.tag = name.replaceAll(' ', '-');
    await guest.refuses(`spyoncino update install ${inGuest(server)} --timeout 300`, code);
    if (server.sentBytes > 1_000_000) throw new Error(`${server.sentBytes} bytes were fetched of it`);
    shown(`a bundle that is ${name} is refused, after ${Math.round(server.sentBytes / 1024)} KiB`);
  }
}

export const life: Scenario = {
  name: 'life',
  about: 'flashed, set up, recording, updated; what must not be installed is refused',
  async run({ shown }) {
    using card = Card.flash('life');
    await using guest = await Guest.start('life', card);
    await firstBoot(guest, shown);
    const clip = await record(guest, shown);
    await update(guest, clip, shown);
    await refusals(guest, shown);
    await guest.powerOff();
    const pictures = await card.picturesOf(clip);
    if (pictures < 5) throw new Error(`${clip} has ${pictures} pictures`);
    shown(`switched off; the clip is read from the disk and decoded: ${pictures} pictures`);
  },
};
