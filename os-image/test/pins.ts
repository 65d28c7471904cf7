/** Pins that the kernel simulates. */
import type { Guest } from './guest.ts';
import type { Shown } from './scenario.ts';

const SIREN = 3;
const DOOR = 5;

/** A chip of 8 lines; says its name. */
const MAKE_CHIP = `modprobe gpio-sim && { mountpoint -q /sys/kernel/config || mount -t configfs configfs /sys/kernel/config; }
chip=/sys/kernel/config/gpio-sim/box; mkdir -p $chip/bank0/line${SIREN} $chip/bank0/line${DOOR}
echo 8 >$chip/bank0/num_lines; echo SIREN >$chip/bank0/line${SIREN}/name; echo DOOR >$chip/bank0/line${DOOR}/name
echo 1 >$chip/live; cat $chip/bank0/chip_name
sim() { echo "/sys/devices/platform/$(cat $chip/dev_name)/$(cat $chip/bank0/chip_name)/sim_gpio$1"; }`;

/** A contact makes an event of the camera, and the siren is switched. */
export async function showPins(guest: Guest, shown: Shown): Promise<void> {
  const chip = await guest.must(MAKE_CHIP);
  const changes = {
    gpio: {
      outputs: [{ id: 'siren', chip, line: 'SIREN', on_seconds: 20, rest_seconds: 0 }],
      inputs: [{ id: 'door', chip, line: 'DOOR', event: { cameras: ['attic'], label: 'door' } }],
    },
  };
  await guest.must(`spyoncino command config.update '${JSON.stringify({ changes })}'`);
  for (const module of ['output.gpio_output', 'input.gpio_trigger'])
    await guest.until(
      'spyoncino command system.status',
      new RegExp(`"modules.${module}": \\{\\s*"status": "healthy"`),
    );
  shown(`${chip} of gpio-sim: the agent, an ordinary user, holds a line to switch and a line to hear`);

  // What is told every few seconds says that it listens.
  await guest.must("spyoncino subscribe status.bus 'gpio.*' event.new >/run/heard 2>&1 &");
  await guest.until('cat /run/heard', /^status\.bus /m);
  await guest.must(`echo pull-up >$(sim ${DOOR})/pull`);
  await guest.until('cat /run/heard', /^event\.new .*"label":"door"/m);
  await guest.expect('cat /run/heard', /gpio\.triggered .*"door"/);
  shown('the pin is toggled: the contact is heard on the bus, and is an event of the camera');

  const level = `cat $(sim ${SIREN})/value`;
  await guest.expect(level, /^0$/);
  await guest.must(`spyoncino command gpio.pulse '{"output": "siren"}'`);
  await guest.until(level, /^1$/);
  await guest.until(level, /^0$/);
  shown("the agent switches the siren on and off again: seen at the chip's side");
}
