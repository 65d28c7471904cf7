/** Everything is erased, by command; a cut on the way; afterwards the box is as on its first boot. */
import { Card, SETTINGS } from '../card.ts';
import { Guest, patience } from '../guest.ts';
import { recordEvent } from '../recording.ts';
import type { Scenario } from '../scenario.ts';
import { ownerCode } from './first-boot.ts';

const WIFI_PASSWORD = 'a phrase that nobody may find';
const WITH_WIFI = `${SETTINGS}country: DE\nwifi: { ssid: home, password: ${WIFI_PASSWORD} }\n`;

/** How every fragment of a clip begins. */
const FRAGMENT = Buffer.from('moof\0\0\0\x10mfhd', 'latin1');

/** Some bytes from the middle of a clip: coded pictures, found nowhere else. */
async function clipBytes(guest: Guest): Promise<Buffer> {
  await guest.until('spyoncino command camera.snapshot --camera attic', /"path"/);
  const clip = `/var/lib/spyoncino/${(await recordEvent(guest)).clip}`;
  const middle = await guest.must(
    `sync; tail -c +$(($(stat -c %s ${clip}) / 2)) ${clip} | head -c 48 | base64 -w 0`,
  );
  return Buffer.from(middle, 'base64');
}

/** What makes this box this one. */
async function identity(guest: Guest): Promise<readonly string[]> {
  const said = await guest.must(
    'cat /etc/machine-id; hostname; sha256sum </var/lib/spyoncino/state/tls/authority.crt; cat /run/spyoncino/owner-code',
  );
  return said.split('\n');
}

export const reset: Scenario = {
  name: 'reset',
  about: 'factory reset by command, cut in between: no byte of a clip is left, the box is as new',
  async run({ shown }) {
    using card = Card.flash('reset', { settings: WITH_WIFI, sizeMib: 2048 });
    const traces = async (clip: Buffer): Promise<readonly number[]> => [
      ...(await card.find([clip, FRAGMENT], 'data')),
      ...(await card.find([Buffer.from(WIFI_PASSWORD)], 'disk')),
    ];
    let clip: Buffer;
    let before: readonly string[];
    {
      await using guest = await Guest.start('reset-before', card);
      const code = await ownerCode(guest);
      await guest.ready();
      await guest.healthy();
      clip = await clipBytes(guest);
      before = await identity(guest);
      if (!before.includes(code)) throw new Error(`the console says ${code}, the agent ${before.join()}`);
      const found = await traces(clip);
      if (found.includes(0)) throw new Error(`not found before: ${found.join()}`);
      shown(`a clip is recorded; on the disk: its bytes, ${found[1]} fragments, the password of the Wi-Fi`);
      await guest.refuses('spyoncino factory-reset', /USAGE/);
      await guest.refuses(`spyoncino command system.factory_reset '{}'`, /COMMAND_INVALID/);
      await guest.must('spyoncino factory-reset --erase-everything');
      await guest.line(/factory reset: this card does not forget by itself/);
      shown(
        'the box restarts and erases; a card that does not forget what it discards is found out; power is cut',
      );
    }
    // Without a camera, so that nothing is recorded that would be found.
    card.putOnFirmware('spyoncino.env', 'spyoncino_args=systemd.debug_shell=ttyAMA1\n');
    await using guest = await Guest.start('reset-after', card, { forgets: true });
    await guest.line(/factory reset: discarded/);
    await guest.line(/factory reset: done/);
    shown('at the next start it is done again, whole; the slot is the same');
    const code = await ownerCode(guest);
    await guest.shell.ready(patience());
    await guest.healthy();
    const after = await identity(guest);
    const kept = after.filter((value) => before.includes(value));
    if (kept.length > 0 || !after.includes(code))
      throw new Error(`before ${before.join()}, after ${after.join()}`);
    shown('machine id, host name, authority and owner code are new');
    await guest.expect('runuser -u spyoncino -- spyoncino users list', /^$/);
    await guest.expect(
      'ls /data/config /boot/firmware; systemctl is-active spyoncino-ssh || true',
      /^(?!.*secrets|.*spyoncino\.yaml)/s,
    );
    await guest.refuses('nft list ruleset | grep "dport 22"', /^$/);
    shown('no account, no settings; SSH is off and its port closed');
    await guest.powerOff();
    const found = await traces(clip);
    if (found.some((count) => count > 0)) throw new Error(`found afterwards: ${found.join()}`);
    shown('on the disk: no byte of the clip, no fragment, no password');
  },
};
