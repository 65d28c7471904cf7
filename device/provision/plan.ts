import { z } from 'zod';
import { CodedError, type ErrorReport } from '../contract/errors.ts';
import { problemsIn } from '../contract/problems.ts';
import { FORMATS, type RawSettings } from './formats.ts';

const hostName = z
  .string()
  .regex(
    /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/i,
    'must be 1 to 63 letters, digits and -, not - at its ends',
  );
const ssid = z
  .string()
  .min(1)
  .refine((text) => Buffer.byteLength(text) <= 32, 'must be at most 32 bytes')
  .refine((text) => !text.includes('\0'), 'must not contain a null byte');
/** What is wrong with it is said without saying it. */
const wifiPassword = z
  .string()
  .refine(
    (text) => /^[\x20-\x7e]{8,63}$/.test(text) || /^[0-9a-f]{64}$/i.test(text),
    'must be 8 to 63 printable ASCII characters, or a key of 64 hexadecimal digits',
  );
const sshKey = z
  .string()
  .max(8192)
  .regex(
    /^(?:ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(?:256|384|521)|sk-(?:ssh-ed25519|ecdsa-sha2-nistp256)@openssh\.com) [A-Za-z0-9+/]{20,}={0,2}(?: [^\r\n\0]*)?$/,
    'must be one public key in one line, as in id_ed25519.pub, without options',
  );

const checked = z.strictObject({
  hostName: hostName.nullable(),
  country: z
    .string()
    .regex(/^[A-Z]{2}$/, 'must be two capital letters, such as DE')
    .nullable(),
  wifi: z.array(z.strictObject({ ssid, password: wifiPassword.nullable(), hidden: z.boolean() })).max(16),
  sshKeys: z.array(sshKey).max(32),
  timeZone: z
    .string()
    .regex(/^[A-Za-z][A-Za-z0-9_+-]*(?:\/[A-Za-z0-9_+-]+){0,2}$/, 'must be like Europe/Berlin')
    .nullable(),
  locale: z
    .string()
    .regex(/^[a-z]{2,3}_[A-Z]{2}(?:\.UTF-8)?$|^C\.UTF-8$/, 'must be like en_GB.UTF-8')
    .nullable(),
  config: z.record(z.string(), z.unknown()).nullable(),
  secrets: z.record(z.string(), z.unknown()).nullable(),
});

/** What is to be done. null and empty: as the image comes. */
export type ProvisionPlan = z.output<typeof checked>;

export interface Provision {
  readonly plan: ProvisionPlan;
  /** Files that said something, in the order in which they count. */
  readonly sources: readonly string[];
  /** Why nothing may be applied. */
  readonly problems: readonly ErrorReport[];
  /** What is not used, and why. */
  readonly notes: readonly ErrorReport[];
}

/** Larger files are none of ours. */
export const MAX_FILE_BYTES = 256 * 1024;

/** Names of the files that are looked at. */
export const FILE_NAMES: readonly string[] = FORMATS.map(({ name }) => name);

/**
 * What the files of a boot partition ask for; the first that says something about a thing counts. Whatever bytes they
 * hold, it neither throws nor lets anything through that was not checked; nothing that it says contains a password.
 */
export function readProvision(files: ReadonlyMap<string, Uint8Array>): Provision {
  const problems: ErrorReport[] = [];
  const notes: ErrorReport[] = [];
  const found: { name: string; raw: RawSettings }[] = [];
  for (const { name, read } of FORMATS) {
    const bytes = files.get(name);
    if (!bytes) continue;
    try {
      const raw = read(textOf(bytes));
      if (!raw) continue;
      found.push({ name, raw });
      notes.push(
        ...raw.notes.map((note) => new CodedError('PROVISION_IGNORED', `${name}: ${note}`).report()),
      );
    } catch (error) {
      problems.push(problemOf(name, error));
    }
  }
  const plans = found.map(({ name, raw }) => {
    const { notes: _notes, ...settings } = raw;
    const result = checked.safeParse({ ...NOTHING, ...settings });
    if (!result.success) {
      problems.push(new CodedError('PROVISION_INVALID', problemsIn(result.error, name)).report());
    }
    return result.data ?? NOTHING;
  });
  return { plan: join(plans), sources: found.map(({ name }) => name), problems, notes };
}

const NOTHING: ProvisionPlan = {
  hostName: null,
  country: null,
  wifi: [],
  sshKeys: [],
  timeZone: null,
  locale: null,
  config: null,
  secrets: null,
};

function textOf(bytes: Uint8Array): string {
  if (bytes.length > MAX_FILE_BYTES) throw new Error(`larger than ${MAX_FILE_BYTES} bytes`);
  // Windows' editors put a mark at the beginning.
  return new TextDecoder('utf-8', { fatal: true, ignoreBOM: false }).decode(bytes);
}

function problemOf(name: string, error: unknown): ErrorReport {
  if (error instanceof CodedError) {
    const report = error.report();
    return { ...report, message: `${report.message} (${name})` };
  }
  const detail = error instanceof Error ? error.message : String(error);
  // Parsers quote the lines around the error, and those may hold a password: the first line says where it is.
  return new CodedError('PROVISION_UNREADABLE', `${name}: ${detail.split('\n')[0]}`).report();
}

/** The first that says something counts. */
function join(plans: readonly ProvisionPlan[]): ProvisionPlan {
  const first = <K extends keyof ProvisionPlan>(key: K): ProvisionPlan[K] => {
    const isSaid = (value: unknown): boolean => (Array.isArray(value) ? value.length > 0 : value !== null);
    return (plans.find((plan) => isSaid(plan[key])) ?? NOTHING)[key];
  };
  return {
    hostName: first('hostName'),
    country: first('country'),
    wifi: first('wifi'),
    sshKeys: first('sshKeys'),
    timeZone: first('timeZone'),
    locale: first('locale'),
    config: first('config'),
    secrets: first('secrets'),
  };
}
