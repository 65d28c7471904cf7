/** No cable and no network that can be joined: the box opens its own. Radios are the kernel's (mac80211_hwsim): wlan0 the box's, wlan1 a guest's. */
import { Card } from '../card.ts';
import { Guest } from '../guest.ts';
import type { Scenario } from '../scenario.ts';

const SETTINGS = 'hostname: attic\nwifi: { ssid: elsewhere, password: never to be joined }\n';
const RADIOS = 'systemd.debug_shell=ttyAMA1 modules_load=mac80211_hwsim mac80211_hwsim.radios=2';
const OWN = /Wi-Fi of the box itself.*: (spyoncino-[0-9a-f]{6}), password ([a-z2-9]{12})/;

const IS_OPEN = 'systemctl is-active spyoncino-access-point';
/** An answer of DHCP is told, and not acted upon: this is the box, after all. */
const ASK_FOR_ADDRESS = 'busybox udhcpc -i wlan1 -f -n -q -t 10 -s /run/told';

/** From now on wlan1 tries this network with that password. */
const join = (guest: Guest, ssid: string, password: string): Promise<string> =>
  guest.must(
    `printf 'ctrl_interface=/run/wpa_supplicant\\nnetwork={\\nssid="${ssid}"\\npsk="${password}"\\n}\\n' >/run/guest.conf;` +
      ' if [ -e /run/wpa_supplicant/wlan1 ]; then wpa_cli -i wlan1 reconfigure;' +
      ' else wpa_supplicant -B -i wlan1 -D nl80211 -c /run/guest.conf; fi',
  );

export const network: Scenario = {
  name: 'network',
  about: 'an access point of its own where no network can be joined, with a secret of this box',
  async run({ shown }) {
    using card = Card.flash('network', { settings: SETTINGS, kernelArgs: RADIOS });
    await using guest = await Guest.start('network', card);
    await guest.ready();
    await guest.until('ip -o -4 address show scope global', /inet/);
    await guest.until('systemctl is-active spyoncino-wifi', /^active$/);
    await guest.expect(`${IS_OPEN} || true`, /^inactive$/);
    shown('with a cable there is no access point');
    const cable = await guest.must('basename $(ls -d /sys/class/net/e*)');
    await guest.must(`networkctl down ${cable}`);
    await guest.until(`${IS_OPEN} || true`, /^active$/);
    const [, ssid = '', password = ''] = OWN.exec(await guest.line(OWN)) ?? [];
    await guest.until('cat /boot/firmware/spyoncino-owner.txt', new RegExp(`${ssid}, password ${password}`));
    shown(
      'without it, and as the network of the settings is not there, it opens; console and card say name and password',
    );

    await join(guest, ssid, 'not the password');
    await guest.until('wpa_cli -i wlan1 list_networks', /TEMP-DISABLED/);
    shown('another password is refused');
    await join(guest, ssid, password);
    await guest.until('wpa_cli -i wlan1 status', /wpa_state=COMPLETED/);
    await guest.must(
      `printf '#!/bin/sh\\necho "$1 $ip"\\n' >/run/told; chmod 700 /run/told; mount -o remount,exec /run`,
    );
    await guest.until(ASK_FOR_ADDRESS, /bound 10\.83\.0\.\d+/);
    await guest.expect('nft list chain inet spyoncino access_point', /dport 67 accept/);
    shown('with the right one a guest joins, and gets an address; the firewall lets DHCP in');

    await guest.must(`networkctl up ${cable}`);
    await guest.until(`${IS_OPEN} || true`, /^inactive$/);
    await guest.until('ip -o -4 address show dev wlan0', /^$/);
    await guest.refuses('nft list chain inet spyoncino access_point | grep dport', /^$/);
    shown('the cable is back: the access point is gone, and the firewall closed');
    await guest.powerOff();
  },
};
