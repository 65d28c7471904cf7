import { readFile } from 'node:fs/promises';
import type { ParseArgsOptionsConfig } from 'node:util';
import type { BusAddress } from '../bus/index.ts';
import { CodedError } from '../contract/errors.ts';
import { parseNumber } from './verb.ts';

/** Options of verbs that speak with the bus of a running agent. */
export const BUS = {
  host: { type: 'string', default: '127.0.0.1' },
  port: { type: 'string' },
  username: { type: 'string' },
  'password-file': { type: 'string' },
  tls: { type: 'boolean' },
  ca: { type: 'string' },
} as const satisfies ParseArgsOptionsConfig;

export const BUS_HELP = `  --host HOST            the agent's bus (default 127.0.0.1)
  --port PORT            (default 1883; with TLS 8883)
  --username NAME        a user, or a token by its name (SPYONCINO_BUS_USERNAME; see \`spyoncino users\`)
  --password-file FILE   its password or secret, on one line (SPYONCINO_BUS_PASSWORD holds the secret itself)
  --tls                  connect with TLS
  --ca FILE              PEM file of who vouches for the agent; means --tls`;

export interface BusValues {
  readonly host: string;
  readonly port?: string;
  readonly username?: string;
  readonly 'password-file'?: string;
  readonly tls?: boolean;
  readonly ca?: string;
}

/** @throws CodedError USAGE for what makes no sense together, and files that cannot be read */
export async function busAddress(values: BusValues): Promise<BusAddress> {
  const { host, port, tls, ca } = values;
  const isSecure = tls === true || ca !== undefined;
  const username = values.username ?? process.env.SPYONCINO_BUS_USERNAME;
  const password = await passwordOf(username, values['password-file']);
  return {
    host,
    port: parseNumber('port', port ?? (isSecure ? '8883' : '1883'), 1, 65_535),
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(isSecure ? { tls: { ca: ca === undefined ? null : await read('ca', ca) } } : {}),
  };
}

/** Never an argument: the process list shows those to everybody. */
async function passwordOf(
  username: string | undefined,
  path: string | undefined,
): Promise<string | undefined> {
  if (username === undefined && path !== undefined)
    throw new CodedError('USAGE', '--password-file takes --username');
  const secret = path === undefined ? process.env.SPYONCINO_BUS_PASSWORD : await read('password-file', path);
  return username === undefined ? undefined : secret?.trim();
}

async function read(option: string, path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw new CodedError('USAGE', `--${option}: ${(error as Error).message}`, { cause: error });
  }
}
