/** Versions that do not work, installed as an owner would: the box comes back by itself, and says why. */
import { readFileSync } from 'node:fs';
import { serveBundle } from '../../../tests/harness/bundle-server.ts';
import { BROKEN, buildBroken } from '../broken.ts';
import { bundleOf, Card } from '../card.ts';
import { Guest, inGuest } from '../guest.ts';
import type { Scenario, Shown } from '../scenario.ts';

/** Into slot B, only what differs from what runs; the restart is somebody else's. */
async function install(guest: Guest, version: string): Promise<string> {
  const content = readFileSync(bundleOf(version));
  await using server = await serveBundle(content);
  server.tag = version;
  await guest.must(`spyoncino update install ${inGuest(server)} --stream --no-reboot --timeout 600`);
  const share = Math.round((100 * server.sentBytes) / content.length);
  return `${Math.round(server.sentBytes / 2 ** 20)} MiB, ${share} % of it, were fetched`;
}

/** Slot A again, which tells of the version that it came back from. */
async function isBack(guest: Guest, version: string, reason: RegExp): Promise<void> {
  await guest.line(/spyoncino: booting slot A, good/);
  await guest.ready();
  await guest.until('spyoncino update status', new RegExp(`last +${version}: rolled back`));
  await guest.expect('spyoncino update status', reason);
  await guest.line(/spyoncino: slot A is good/);
}

async function crashing(guest: Guest, shown: Shown): Promise<void> {
  const fetched = await install(guest, BROKEN.crashing);
  shown(`${BROKEN.crashing} is streamed into slot B: ${fetched}`);
  guest.mark();
  await guest.must('systemctl reboot');
  await guest.line(/spyoncino: booting slot B, trial, 2 attempts left/);
  await guest.line(/spyoncino: the health gate refuses slot B/);
  shown('its agent ends at once: the health gate refuses it');
  await isBack(guest, BROKEN.crashing, /GATE_AGENT_CRASHES/);
  shown('slot A again after one restart; the update is told as rolled back, with the reason');
}

/** The first program hangs, and with it whoever keeps the hardware's watchdog quiet. */
async function unbootable(guest: Guest, shown: Shown): Promise<void> {
  await install(guest, BROKEN.unbootable);
  shown(`${BROKEN.unbootable}, whose root hash is another, is streamed into slot B`);
  guest.mark();
  await guest.expect('cat /sys/class/watchdog/watchdog0/state; sync', /^active/);
  await guest.must('echo 1 >/sys/fs/cgroup/init.scope/cgroup.freeze');
  for (const left of [2, 1, 0]) {
    await guest.line(new RegExp(`spyoncino: booting slot B, trial, ${left} attempts left`));
    if (left === 2) shown('systemd is frozen, nothing else: the watchdog resets the box');
  }
  await isBack(guest, BROKEN.unbootable, /tried 3 times: .* does not have the root hash/);
  shown(
    'its kernel finds no root file system: slot A again after three attempts; number and reason are told',
  );
}

async function blind(guest: Guest, shown: Shown): Promise<void> {
  await install(guest, BROKEN.blind);
  guest.mark();
  await guest.must('systemctl reboot');
  await guest.line(/spyoncino: booting slot B, trial, 2 attempts left/);
  await guest.line(/spyoncino: the health gate refuses slot B/);
  shown(`${BROKEN.blind}, whose agent runs and whose camera processes end, is refused by the health gate`);
  await isBack(guest, BROKEN.blind, /CAMERA_HOST_CRASHED.*GATE_NO_FRAME/);
  shown('slot A again after one restart; the update is told as rolled back, with the reason');
}

export const fallback: Scenario = {
  name: 'fallback',
  about: 'versions that crash, do not boot or record nothing; a box that hangs: it comes back, and says why',
  async run({ shown }) {
    buildBroken();
    using card = Card.flash('fallback');
    await using guest = await Guest.start('fallback', card);
    await guest.ready();
    await guest.line(/spyoncino: slot A is good/);
    await crashing(guest, shown);
    await unbootable(guest, shown);
    await blind(guest, shown);
    await guest.powerOff();
  },
};
