import { X509Certificate } from 'node:crypto';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline/promises';
import { ROLES, type Role } from '../contract/access.ts';
import { CodedError } from '../contract/errors.ts';
import { Access } from '../control/index.ts';
import { systemClock } from '../kernel/clock.ts';
import { createLog } from '../kernel/log.ts';
import { loadSettings } from '../settings/index.ts';
import { hostNames, issueClient } from '../tls/index.ts';
import { loadOptions, parse, parseNumber, PLACES, PLACES_HELP, type Verb } from './verb.ts';

const DAY_MS = 86_400_000;
const CERTIFICATE_DAYS = 365;

const HELP = `
usage: spyoncino users [list]
       spyoncino users add NAME --role ROLE
       spyoncino users password NAME
       spyoncino users token NAME --role ROLE [--days N]
       spyoncino users certificate NAME --role ROLE [--days N] FILE.pem
       spyoncino users remove NAME

  list      users and tokens
  add       a person; the password is asked for, or read from standard input
  password  another password; the user's sessions end
  token     a program (Home Assistant, a script); its secret is printed once
  certificate
            a program that shows a certificate instead of a password to the bus (bus.tls.client_certificates); key and
            certificate go to FILE.pem, which must not exist
  remove    a user, a token or a certificate

  --role ROLE  viewer (sees everything), operator (also pauses, switches, protects), admin (everything)
  --days N     how long it is valid (default: a token until removed, a certificate 365 days)
  --json       machine readable
${PLACES_HELP}

Works beside the running agent, which takes notice at once. Needs write access to the state directory.
`;

interface Call {
  readonly access: Access;
  readonly name: string;
  readonly file: string | null;
  readonly stateDir: string;
  readonly role: Role;
  readonly days: number | null;
  readonly json: boolean;
}

export const verb: Verb = {
  help: HELP,
  async run(argv) {
    const { values, positionals } = parse(
      argv,
      {
        ...PLACES,
        role: { type: 'string' },
        days: { type: 'string' },
        json: { type: 'boolean', default: false },
      },
      true,
    );
    const [action = 'list', name = '', file = null] = positionals;
    const known = Object.hasOwn(ACTIONS, action) ? ACTIONS[action] : undefined;
    if (!known)
      throw new CodedError('USAGE', `users takes ${Object.keys(ACTIONS).join(', ')}, not "${action}"`);
    if (action !== 'list' && name === '') throw new CodedError('USAGE', `users ${action} takes a NAME`);
    const needsRole = ['add', 'token', 'certificate'].includes(action);
    const { settings } = await loadSettings(loadOptions(values));
    const stateDir = join(settings.dataDir, 'state');
    const access = await Access.open({ stateDir, clock: systemClock });
    const lines = await known({
      access,
      name,
      file,
      stateDir,
      role: needsRole ? parseRole(values.role) : 'viewer',
      days: values.days === undefined ? null : parseNumber('days', values.days, 1, 36_500),
      json: values.json,
    });
    for (const line of lines) process.stdout.write(`${line}\n`);
    return 0;
  },
};

const ACTIONS: Readonly<Record<string, (call: Call) => Promise<readonly string[]>>> = {
  async list({ access, json }) {
    return access.accounts.map((account) => {
      if (json) return JSON.stringify(account);
      const { name, kind, role, expiresUtcMs } = account;
      const until = expiresUtcMs === null ? '' : `until ${new Date(expiresUtcMs).toISOString()}`;
      return `${name.padEnd(20)} ${kind.padEnd(6)} ${role.padEnd(9)} ${until}`.trimEnd();
    });
  },

  async add({ access, name, role }) {
    await access.addUser(name, role, await askPassword());
    return [`${name} may sign in as ${role}`];
  },

  async password({ access, name }) {
    await access.setPassword(name, await askPassword());
    return [`${name} has a new password`];
  },

  async token({ access, name, role, days, json }) {
    const expiresUtcMs = days === null ? null : systemClock.utcMs() + days * DAY_MS;
    const secret = await access.addToken(name, role, expiresUtcMs);
    if (json) return [JSON.stringify({ name, role, secret, expiresUtcMs })];
    return [secret];
  },

  async certificate({ access, name, file, stateDir, role, days, json }) {
    if (file === null) throw new CodedError('USAGE', 'users certificate takes a NAME and a FILE');
    const log = createLog({ name: 'users', level: 'warn' });
    const validMs = (days ?? CERTIFICATE_DAYS) * DAY_MS;
    const { key, cert } = await issueClient({
      stateDir,
      names: hostNames,
      name,
      validMs,
      clock: systemClock,
      log,
    });
    const { fingerprint256, validToDate } = new X509Certificate(cert);
    const sha256 = fingerprint256.replaceAll(':', '').toLowerCase();
    await writeFile(file, key + cert, { mode: 0o600, flag: 'wx' }).catch((error: NodeJS.ErrnoException) => {
      throw new CodedError(
        'USAGE',
        `${file}: ${error.code === 'EEXIST' ? 'is there already' : error.message}`,
      );
    });
    try {
      await access.addCertificate(name, role, sha256, validToDate.getTime());
    } catch (error) {
      await rm(file);
      throw error;
    }
    const until = validToDate.toISOString();
    return [
      json
        ? JSON.stringify({ name, role, file, sha256, until })
        : `${name} is ${role} until ${until}: ${file}`,
    ];
  },

  async remove({ access, name }) {
    await access.remove(name);
    return [`${name} is removed`];
  },
};

function parseRole(text: string | undefined): Role {
  const role = ROLES.find((known) => known === text);
  if (!role) throw new CodedError('USAGE', `--role takes one of ${ROLES.join(', ')}`);
  return role;
}

/** Not as an argument: those are public on the machine. */
async function askPassword(): Promise<string> {
  const { stdin, stderr } = process;
  if (!stdin.isTTY) {
    for await (const line of createInterface({ input: stdin })) return line;
    throw new CodedError('USAGE', 'no password on standard input');
  }
  // In its hands the terminal shows nothing of what is typed; that comes before the question.
  const typed = createInterface({ input: stdin, terminal: true });
  stderr.write('Password: ');
  try {
    return await typed.question('');
  } finally {
    typed.close();
    stderr.write('\n');
  }
}
