/** Machines whose firmware is UEFI: what is chosen by GRUB becomes a box that records; its slots; a lost boot state. */
import { readFileSync } from 'node:fs';
import { serveBundle } from '../../../tests/harness/bundle-server.ts';
import { bundleOf, Card, KERNEL_ARGS, KERNEL_ARGS_PC, VERSIONS } from '../card.ts';
import { Guest, HOST } from '../guest.ts';
import type { Scenario, Shown } from '../scenario.ts';

const CONFIRMED = 'systemctl is-active spyoncino-confirm.service';

async function firstBoot(guest: Guest, shown: Shown): Promise<void> {
  await guest.line(/spyoncino: booting slot A, good, 2 attempts left, recovery none/);
  shown('shim, GRUB and our script: slot A is chosen, one attempt taken away');
  await guest.healthy();
  shown('kernel, dm-verity, data partition; the agent answers /health over TLS');
  await guest.ready();
  await guest.until(CONFIRMED, /^active$/);
  await guest.expect('/usr/lib/spyoncino/boot-state show', /"A": \{\s+"state": "good",\s+"left": 3/);
  shown('the slot gets its attempts back: the boot state is written by Linux as GRUB reads it');
}

export const mini: Scenario = {
  name: 'mini',
  target: 'amd64',
  about: 'a mini PC (q35, UEFI): records, is updated, goes back, loses its boot state',
  async run({ shown }) {
    using card = Card.flash('mini', { target: 'amd64', kernelArgs: KERNEL_ARGS_PC });
    await using guest = await Guest.start('mini', card, { machine: 'amd64' });
    await firstBoot(guest, shown);
    await guest.expect('cat /sys/class/watchdog/watchdog0/identity', /i6300ESB/);
    shown('the watchdog of the machine is there');
    await guest.until('spyoncino command camera.snapshot --camera attic', /"path"/);
    shown("the kernel's vivid camera is read by V4L2: a picture of it");

    await using server = await serveBundle(readFileSync(bundleOf(VERSIONS.next, 'amd64')));
    const source = server.url.replace('127.0.0.1', HOST);
    await guest.must(`spyoncino update install ${source} --timeout 600 >/dev/null 2>&1 &`);
    await guest.line(/spyoncino: booting slot B, trial, 2 attempts left/);
    shown(`${VERSIONS.next} is fetched, verified, written to slot B; after the restart GRUB tries it`);
    await guest.ready();
    await guest.until('spyoncino update status', /slot B +booted, good/);
    shown('the health gate confirms it');

    guest.mark();
    await guest.must('/usr/lib/spyoncino/boot-state set-state B bad; systemctl --no-block reboot');
    await guest.line(/spyoncino: booting slot A, good, 2 attempts left, recovery none/);
    await guest.ready();
    await guest.expect('cat /proc/cmdline', /spyoncino\.slot=A/);
    await guest.until(CONFIRMED, /^active$/);
    shown('slot B is refused: the next boot is slot A');

    await guest.must(
      'dd if=/dev/zero of=/dev/spyoncino/boot_state bs=1M count=1 conv=fsync; systemctl --no-block reboot',
    );
    await guest.line(/spyoncino: booting slot A, trial, 2 attempts left, recovery state-lost/);
    await guest.ready();
    await guest.expect('cat /proc/cmdline', /spyoncino\.recovery=state-lost/);
    await guest.until(CONFIRMED, /^active$/);
    await guest.expect('/usr/lib/spyoncino/boot-state show', /"A": \{\s+"state": "good"/);
    shown('the boot state is lost: A is tried and has to prove itself; then there is a boot state again');
    await guest.powerOff();
  },
};

export const secure: Scenario = {
  name: 'secure',
  target: 'amd64',
  about: 'the same with Secure Boot switched on',
  async run({ shown }) {
    using card = Card.flash('secure', { target: 'amd64', kernelArgs: KERNEL_ARGS_PC });
    await using guest = await Guest.start('secure', card, { machine: 'secure-amd64' });
    await firstBoot(guest, shown);
    await guest.expect('dmesg; cat /sys/kernel/security/lockdown', /Secure boot enabled[^]*\[integrity\]/);
    shown('the kernel says that Secure Boot is on');
    await guest.powerOff();
  },
};

export const jetson: Scenario = {
  name: 'jetson',
  target: 'jetson',
  about: 'arm64 with UEFI (virt): as far as a slot that is confirmed',
  async run({ shown }) {
    using card = Card.flash('jetson', { target: 'jetson', kernelArgs: `console=ttyAMA0 ${KERNEL_ARGS}` });
    await using guest = await Guest.start('jetson', card, { machine: 'jetson' });
    await firstBoot(guest, shown);
    await guest.powerOff();
  },
};
