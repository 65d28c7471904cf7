/** Pins that the kernel simulates, and a camera that is plugged in while the box runs. */
import { Card } from '../card.ts';
import { Guest } from '../guest.ts';
import type { Scenario } from '../scenario.ts';

const SIREN = 3;
const DOOR = 5;

/** A chip of 8 lines; says its name. */
const MAKE_CHIP = `modprobe gpio-sim && { mountpoint -q /sys/kernel/config || mount -t configfs configfs /sys/kernel/config; }
chip=/sys/kernel/config/gpio-sim/box; mkdir -p $chip/bank0/line${SIREN} $chip/bank0/line${DOOR}
echo 8 >$chip/bank0/num_lines; echo SIREN >$chip/bank0/line${SIREN}/name; echo DOOR >$chip/bank0/line${DOOR}/name
echo 1 >$chip/live; cat $chip/bank0/chip_name
sim() { echo "/sys/devices/platform/$(cat $chip/dev_name)/$(cat $chip/bank0/chip_name)/sim_gpio$1"; }`;

export const gpio: Scenario = {
  name: 'gpio',
  about: 'a contact makes an event, the siren is switched on; the camera is plugged in late',
  async run({ shown }) {
    // Without the camera's driver, and so without any of V4L2.
    using card = Card.flash('gpio', { kernelArgs: 'systemd.debug_shell=ttyAMA1' });
    await using guest = await Guest.start('gpio', card);
    await guest.line(/spyoncino: slot A is good/);
    await guest.ready();
    await guest.must('modprobe vivid n_devs=1 node_types=0x1');
    await guest.until('spyoncino command camera.snapshot --camera attic', /"path"/);
    shown('a camera that is plugged in while the agent runs gives a picture');

    const chip = await guest.must(MAKE_CHIP);
    const changes = {
      gpio: {
        outputs: [{ id: 'siren', chip, line: 'SIREN', on_seconds: 20, rest_seconds: 0 }],
        inputs: [{ id: 'door', chip, line: 'DOOR', event: { cameras: ['attic'], label: 'door' } }],
      },
    };
    await guest.must(`spyoncino command config.update '${JSON.stringify({ changes })}'`);
    await guest.until(
      'spyoncino command system.status',
      /"modules\.output\.gpio_output": \{\s*"status": "healthy"[^]*"modules\.input\.gpio_trigger": \{\s*"status": "healthy"|"modules\.input\.gpio_trigger": \{\s*"status": "healthy"[^]*"modules\.output\.gpio_output": \{\s*"status": "healthy"/,
    );
    shown(`${chip} of gpio-sim: the agent, an ordinary user, holds a line to switch and a line to hear`);

    await guest.must(
      `spyoncino subscribe gpio.triggered event.new --count 2 >/run/heard 2>&1 & sleep 20; echo pull-up >$(sim ${DOOR})/pull`,
    );
    await guest.until('cat /run/heard', /event\.new .*"label":"door"/);
    await guest.expect('cat /run/heard', /gpio\.triggered .*"door"/);
    shown('the pin is toggled: the contact is heard on the bus, and is an event of the camera');

    const level = `cat $(sim ${SIREN})/value`;
    await guest.expect(level, /^0$/);
    await guest.must(`spyoncino command gpio.pulse '{"output": "siren"}'`);
    await guest.until(level, /^1$/);
    await guest.until(level, /^0$/);
    shown("the agent switches the siren on and off again: seen at the chip's side");
  },
};
