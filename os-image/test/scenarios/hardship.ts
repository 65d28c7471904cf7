/** What a box is put through that nobody wishes for it: no clock, no network, no room, no card that takes writes. */
import { setTimeout as delay } from 'node:timers/promises';
import { Card, KERNEL_ARGS } from '../card.ts';
import { Guest } from '../guest.ts';
import { showPins } from '../pins.ts';
import { recordEvent, type Recorded } from '../recording.ts';
import type { Scenario, Shown } from '../scenario.ts';

const DATA = '/var/lib/spyoncino';

/** Asks the API from inside, by the box's own authority; says the status, or why there is none. */
const ASK_API = `node -e '
  const ca = require("node:fs").readFileSync("${DATA}/state/tls/authority.crt");
  require("node:https").get({ host: "127.0.0.1", port: 8443, path: "/health", ca }, (r) => console.log("HTTP " + r.statusCode))
    .on("error", (e) => console.log(e.code));'`;

/** The networks of the agent, and of the host of its camera. */
const NETWORKS = `readlink /proc/$(systemctl show -p MainPID --value spyoncino-modular)/ns/net
for process in /proc/[0-9]*; do grep -qs '^spyoncino camera attic' $process/cmdline && readlink $process/ns/net; done`;

/** Systemd waits for a sign of life for so long. */
const WATCHDOG_MS = 120_000;

/** First boot, with a clock that is decades late and a network in which nobody answers. */
async function alone(card: Card, shown: Shown): Promise<{ kept: Recorded; other: Recorded }> {
  await using guest = await Guest.start('hardship-alone', card, { rtc: '1970-01-01', isAlone: true });
  await guest.line(/spyoncino: slot A is good/);
  await guest.ready();
  const [date = ''] = (await guest.must('date -u +%F')).split('\n');
  shown(`1970, and nobody in the network, not even DHCP: it comes up (as of ${date}) and confirms its slot`);
  // Until now without the camera's driver, and so without any of V4L2.
  await guest.must('modprobe vivid n_devs=1 node_types=0x1');
  await guest.until('spyoncino command camera.snapshot --camera attic', /"path"/);
  shown('a camera that is plugged in while the agent runs gives a picture');
  const kept = await recordEvent(guest);
  shown(`it records: ${kept.clip}`);
  const [agent, host] = (await guest.must(`${NETWORKS}; true`)).match(/net:\[\d+\]/g) ?? [];
  if (agent === undefined || host === undefined || agent === host) throw new Error(`${agent}, ${host}`);
  shown("the host of the camera, in systemd's sandbox and without rights, has no network");

  await guest.must(`spyoncino command storage.protect '{"id": "${kept.eventId}"}'`);
  await guest.must(`date -u -s @${Math.floor(Date.now() / 1000)}`);
  await guest.until(ASK_API, /HTTP 200/);
  shown('the clock is set: the certificate of the API holds');
  await showPins(guest, shown);
  const other = await recordEvent(guest);
  await guest.must('fallocate -l $(df --output=avail -B1 /data | tail -n 1) /data/filler');
  await guest.powerOff();
  card.putOnFirmware('spyoncino.env', `spyoncino_args=${KERNEL_ARGS}\n`);
  return { kept, other };
}

async function full(card: Card, { kept, other }: { kept: Recorded; other: Recorded }, shown: Shown) {
  await using guest = await Guest.start('hardship-full', card);
  await guest.line(/spyoncino: slot A is good/);
  shown('not a byte is free: it comes up and confirms its slot');
  await guest.ready();
  await guest.until(
    'spyoncino command system.status',
    /"modules\.storage\.retention": \{\s*"status": "error"[^]*?"code": "(DISK_FULL|STORAGE_LOW)"/,
  );
  await guest.until(`test -e ${DATA}/${other.clip} || echo gone`, /^gone$/);
  await guest.must(`test -s ${DATA}/${kept.clip}`);
  shown('the oldest footage goes, protected footage stays, and health says that there is no room');
  await guest.must('rm /data/filler');
  await guest.until(
    'spyoncino command system.status',
    /"modules\.storage\.retention": \{\s*"status": "healthy"/,
  );
  await recordEvent(guest);
  shown('there is room again: it is well by itself, and records');
  await guest.powerOff();
}

async function locked(card: Card, kept: Recorded, shown: Shown): Promise<void> {
  await using guest = await Guest.start('hardship-locked', card, { isReadOnly: true });
  await guest.line(/spyoncino: the card takes no writes: nothing is recorded/);
  await guest.line(/spyoncino: the card takes no writes: slot A runs/);
  shown('a card that is locked: the box comes up, and says on its console that nothing is recorded');
  await guest.healthy();
  await guest.ready();
  await guest.expect('hostname', /^attic$/);
  await guest.until(
    'spyoncino command system.status',
    /"modules\.storage\.retention": \{\s*"status": "error"[^]*?"code": "DISK_READ_ONLY"/,
  );
  shown('settings and accounts are there, the API answers, health says DISK_READ_ONLY');
  await guest.must(`cmp ${DATA}/${kept.clip} /run/spyoncino-image/card/spyoncino/${kept.clip}`);
  await guest.refuses(`touch ${DATA}/media/try`, /Read-only file system/);
  shown('footage from before can be read, and none is recorded into memory');
  await delay(WATCHDOG_MS);
  await guest.expect('systemctl show -p NRestarts spyoncino-modular', /^NRestarts=0$/);
  shown('the agent is not restarted for it');
}

export const hardship: Scenario = {
  name: 'hardship',
  about: 'no clock, no network, a full disk, a card that takes no writes; pins, a camera that comes late',
  async run({ shown }) {
    using card = Card.flash('hardship', { kernelArgs: 'systemd.debug_shell=ttyAMA1' });
    const recorded = await alone(card, shown);
    await full(card, recorded, shown);
    await locked(card, recorded.kept, shown);
  },
};
