import { createHash } from 'node:crypto';
import { stringify } from 'yaml';
import type { ProvisionPlan } from './plan.ts';

export interface PlannedFile {
  /** Of the agent's configuration, or of the rest of the system. */
  readonly place: 'config' | 'system';
  /** Below the root; of the configuration: in its folder. */
  readonly path: string;
  readonly mode: number;
  readonly content: string;
}

/** Wireless cards are found under this name on boards with one. */
const WIRELESS = 'wlan0';

/** A host name that no second box has, and that stays the same: of the machine's id. */
export const defaultHostName = (machineId: string): string =>
  `spyoncino-${createHash('sha256').update(`spyoncino host name ${machineId.trim()}`).digest('hex').slice(0, 6)}`;

/** What has to be written so that `plan` holds, secrets with a mode that only root may read. Pure. */
export function filesOf(plan: ProvisionPlan, machineId: string): readonly PlannedFile[] {
  const hostName = (plan.hostName ?? defaultHostName(machineId)).toLowerCase();
  const file = (path: string, content: string, mode = 0o644): PlannedFile => ({
    ...{ place: 'system', path, content, mode },
  });
  const ofAgent = (path: string, content: string, mode: number): PlannedFile => ({
    ...{ place: 'config', path, content, mode },
  });
  return [
    file('etc/hostname', `${hostName}\n`),
    file(
      'etc/hosts',
      `127.0.0.1 localhost\n127.0.1.1 ${hostName}\n::1 localhost ip6-localhost ip6-loopback\n`,
    ),
    ...(plan.timeZone === null ? [] : [file('etc/timezone', `${plan.timeZone}\n`)]),
    ...(plan.locale === null ? [] : [file('etc/locale.conf', `LANG=${plan.locale}\n`)]),
    ...(plan.wifi.length === 0 && plan.country === null
      ? []
      : [
          file(`etc/wpa_supplicant/wpa_supplicant-${WIRELESS}.conf`, supplicantConfig(plan), 0o600),
          file(`etc/systemd/network/25-${WIRELESS}.network`, NETWORK),
        ]),
    // SSH runs if there is a key in it. Root's, not the agent's: whoever captures the agent must not let himself in.
    file('etc/ssh/authorized_keys', plan.sshKeys.map((key) => `${key}\n`).join(''), 0o600),
    ...(plan.config === null ? [] : [ofAgent('config.yaml', stringify(plan.config), 0o640)]),
    ...(plan.secrets === null ? [] : [ofAgent('secrets.yaml', stringify(plan.secrets), 0o600)]),
  ];
}

const NETWORK = `[Match]
Name=${WIRELESS}

[Network]
DHCP=yes
IPv6PrivacyExtensions=yes

[DHCPv4]
RouteMetric=600
`;

/** wpa_supplicant.conf(5). Names go as hexadecimal digits, so that no character of them means anything. */
function supplicantConfig({ country, wifi }: ProvisionPlan): string {
  const networks = wifi.map(({ hidden, password, ssid }) =>
    [
      'network={',
      `\tssid=${Buffer.from(ssid).toString('hex')}`,
      ...(hidden ? ['\tscan_ssid=1'] : []),
      ...securityOf(password),
      '}',
    ].join('\n'),
  );
  const head = ['ctrl_interface=/run/wpa_supplicant', ...(country === null ? [] : [`country=${country}`])];
  return `${[...head, ...networks].join('\n')}\n`;
}

function securityOf(password: string | null): readonly string[] {
  if (password === null) return ['\tkey_mgmt=NONE'];
  // A key that was derived already serves WPA2 alone.
  if (/^[0-9a-f]{64}$/i.test(password)) return ['\tkey_mgmt=WPA-PSK WPA-PSK-SHA256', `\tpsk=${password}`];
  // What stands between the first and the last quote counts, whatever it is.
  return ['\tkey_mgmt=WPA-PSK WPA-PSK-SHA256 SAE', '\tieee80211w=1', `\tpsk="${password}"`];
}
