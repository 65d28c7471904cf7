import { parse as parseToml, TomlError } from 'smol-toml';
import { LineCounter, parseDocument } from 'yaml';
import { z } from 'zod';
import { CodedError } from '../contract/errors.ts';

/** What a file says, unchecked; what it leaves out is undefined. */
export interface RawSettings {
  readonly hostName?: unknown;
  readonly country?: unknown;
  readonly wifi?: unknown;
  readonly sshKeys?: unknown;
  readonly timeZone?: unknown;
  readonly locale?: unknown;
  readonly config?: unknown;
  readonly secrets?: unknown;
  /** What of it is not used. */
  readonly notes: readonly string[];
}

interface Format {
  readonly name: string;
  /** null: it says nothing. Throws what is wrong with it. */
  readonly read: (text: string) => RawSettings | null;
}

const NO_PASSWORDS =
  'a user and its password: there are none on this box, the owner signs in to the dashboard';
const NO_SCRIPTS = 'commands: none are run';

/** In the order in which they count. */
export const FORMATS: readonly Format[] = [
  { name: 'spyoncino.yaml', read: readOwn },
  { name: 'custom.toml', read: readToml },
  { name: 'rpi-preseed.toml', read: readToml },
  { name: 'user-data', read: readUserData },
  { name: 'network-config', read: readNetworkConfig },
  { name: 'firstrun.sh', read: refuseScript },
];

const own = z.strictObject({
  hostname: z.unknown().optional(),
  wifi: z
    .union([
      z.array(
        z.strictObject({
          ssid: z.unknown(),
          password: z.unknown().optional(),
          hidden: z.unknown().optional(),
        }),
      ),
      z.strictObject({ ssid: z.unknown(), password: z.unknown().optional(), hidden: z.unknown().optional() }),
    ])
    .optional(),
  country: z.unknown().optional(),
  ssh_keys: z.unknown().optional(),
  ssh_key: z.unknown().optional(),
  timezone: z.unknown().optional(),
  locale: z.unknown().optional(),
  config: z.unknown().optional(),
  secrets: z.unknown().optional(),
});

/** Our own: keys of ours, and `config` and `secrets` as config.yaml and secrets.yaml would hold them. */
function readOwn(text: string): RawSettings | null {
  const value = yamlOf(text);
  if (value === null) return null;
  const parsed = own.safeParse(value);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new CodedError('PROVISION_INVALID', `${issue?.path.join('.') ?? ''}: ${issue?.message ?? ''}`);
  }
  const { country, config, hostname, locale, secrets, ssh_key, ssh_keys, timezone, wifi } = parsed.data;
  const networks = wifi === undefined ? undefined : Array.isArray(wifi) ? wifi : [wifi];
  return said({
    ...{ hostName: hostname, country, timeZone: timezone, locale, config, secrets },
    sshKeys: ssh_keys ?? (ssh_key === undefined ? undefined : [ssh_key]),
    wifi: networks?.map(({ hidden = false, password = null, ssid }) => ({ ssid, password, hidden })),
    notes: [],
  });
}

const table = z.record(z.string(), z.unknown()).catch({});

/** Of Raspberry Pi Imager for Bookworm (`custom.toml`), and of its later format (`rpi-preseed.toml`). */
function readToml(text: string): RawSettings | null {
  let value: Record<string, unknown> = {};
  let problem: string | null = null;
  try {
    value = parseToml(text);
  } catch (error) {
    // Its message quotes the text around, so it does not go along.
    if (!(error instanceof TomlError)) throw error;
    const { column, line } = error;
    problem = `line ${line}, column ${column}: not TOML`;
  }
  if (problem !== null) throw new Error(problem);
  if (Object.keys(value).length === 0) return null;
  const [system, user, ssh, wlan, locale] = ['system', 'user', 'ssh', 'wlan', 'locale'].map((name) =>
    table.parse(value[name] ?? {}),
  ) as [Table, Table, Table, Table, Table];
  const wantsSsh = ssh['enabled'] !== false;
  const keys = ssh['authorized_keys'];
  return said({
    hostName: system['hostname'],
    country: blankAsNothing(wlan['country']),
    wifi:
      wlan['ssid'] === undefined
        ? undefined
        : [{ ssid: wlan['ssid'], password: wlan['password'] ?? null, hidden: wlan['hidden'] ?? false }],
    sshKeys: wantsSsh && keys !== undefined ? keys : undefined,
    timeZone: locale['timezone'],
    notes: [
      ...(user['password'] === undefined ? [] : [NO_PASSWORDS]),
      ...(ssh['password_authentication'] === true ? ['passwords for SSH: keys alone are taken'] : []),
      ...(locale['keymap'] === undefined ? [] : ['the keyboard: there is none to type on']),
    ],
  });
}

type Table = Readonly<Record<string, unknown>>;

/** Of Raspberry Pi Imager 2 (cloud-init): only what it writes itself is understood. */
function readUserData(text: string): RawSettings | null {
  const value = yamlOf(text);
  if (value === null) return null;
  const data = table.parse(value);
  const users = z
    .array(z.unknown())
    .catch([])
    .parse(data['users'])
    .map((user) => table.parse(user));
  const keys = [data, ...users].flatMap((each) => {
    const given = each['ssh_authorized_keys'];
    return given === undefined ? [] : Array.isArray(given) ? (given as unknown[]) : [given];
  });
  const hasPassword = [data, ...users].some(
    (each) => each['passwd'] !== undefined || each['password'] !== undefined,
  );
  const hasCommands = ['runcmd', 'bootcmd', 'write_files', 'packages'].some((key) => data[key] !== undefined);
  return said({
    hostName: data['hostname'],
    timeZone: data['timezone'],
    locale: data['locale'],
    sshKeys: keys.length === 0 ? undefined : keys,
    notes: [
      ...(hasPassword ? [NO_PASSWORDS] : []),
      ...(hasCommands ? [NO_SCRIPTS] : []),
      ...(data['keyboard'] === undefined ? [] : ['the keyboard: there is none to type on']),
    ],
  });
}

/** Of the same: netplan's format, of which Wi-Fi networks with a password are taken. */
function readNetworkConfig(text: string): RawSettings | null {
  const value = yamlOf(text);
  if (value === null) return null;
  const data = table.parse(value);
  const network = data['network'] === undefined ? data : table.parse(data['network']);
  const links = Object.values(table.parse(network['wifis'] ?? {})).map((link) => table.parse(link));
  const wifi = links.flatMap((link) =>
    Object.entries(table.parse(link['access-points'] ?? {})).map(([ssid, of]) => {
      const { hidden = false, password } = table.parse(of ?? {});
      return { ssid, password: password === undefined || password === '' ? null : password, hidden };
    }),
  );
  const country = links.map((link) => link['regulatory-domain']).find((domain) => domain !== undefined);
  if (wifi.length === 0 && country === undefined) return null;
  const hasAddresses = links.some(({ addresses }) => addresses !== undefined);
  return said({
    wifi: wifi.length === 0 ? undefined : wifi,
    country,
    notes: hasAddresses ? ['fixed addresses: they come from DHCP'] : [],
  });
}

/** Older versions of Raspberry Pi Imager write a script: running what lies on a card is not for us. */
function refuseScript(): never {
  throw new CodedError('PROVISION_FOREIGN');
}

/** Without what is not said: `undefined` would count as a value. */
const said = (settings: RawSettings): RawSettings =>
  Object.fromEntries(
    Object.entries(settings).filter(([, value]) => value !== undefined),
  ) as unknown as RawSettings;

const blankAsNothing = (value: unknown): unknown => (value === '' ? undefined : value);

/** null: the file is empty. What aliases would blow up is refused by the parser. */
function yamlOf(text: string): unknown {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const [error] = document.errors;
  if (error) {
    const { line, col } = lines.linePos(error.pos[0]);
    throw new Error(`line ${line}, column ${col}: not YAML (${error.code})`);
  }
  try {
    return document.toJS({ maxAliasCount: 0 }) ?? null;
  } catch {
    throw new Error('aliases are not taken');
  }
}
