import { readFile } from 'node:fs/promises';
import { subscribe } from '../bus/index.ts';
import { CodedError } from '../contract/errors.ts';
import { parse, parseNumber, type Verb } from './verb.ts';

export const verb: Verb = {
  help: `
usage: spyoncino subscribe [TOPIC…] [options]

Prints one line per message: topic, then payload as JSON. Topics are dotted names; a \`*\` at the end stands
for everything below, elsewhere for one segment. Without a topic: everything. Ends with Ctrl-C.

  spyoncino subscribe 'event.*'
  spyoncino subscribe status.camera.porch clip.ready

  --host HOST            the agent's bus (default 127.0.0.1)
  --port PORT            (default 1883; with TLS 8883)
  --username NAME        a user, or any name with the secret of a token (see \`spyoncino users\`)
  --password-file FILE   its password or token, on one line; else SPYONCINO_BUS_PASSWORD says it
  --tls                  connect with TLS
  --ca FILE              PEM file of who vouches for the agent; means --tls
  --node ID              only this node's messages
  --count N              end after N messages
  --json                 one JSON object per line: {"topic", "payload"}
`,
  async run(argv) {
    const { values, positionals } = parse(
      argv,
      {
        host: { type: 'string', default: '127.0.0.1' },
        port: { type: 'string' },
        username: { type: 'string' },
        'password-file': { type: 'string' },
        tls: { type: 'boolean' },
        ca: { type: 'string' },
        node: { type: 'string' },
        count: { type: 'string' },
        json: { type: 'boolean' },
      },
      true,
    );
    const isSecure = values.tls === true || values.ca !== undefined;
    const password = await passwordOf(values);
    const stop = new AbortController();
    const end = (): void => stop.abort();
    process.once('SIGINT', end);
    process.once('SIGTERM', end);
    let left = values.count === undefined ? Infinity : parseNumber('count', values.count, 1, 1e9);
    await subscribe({
      host: values.host,
      port: parseNumber('port', values.port ?? (isSecure ? '8883' : '1883'), 1, 65_535),
      ...(values.username === undefined ? {} : { username: values.username }),
      ...(password === undefined ? {} : { password }),
      ...(isSecure ? { tls: { ca: values.ca === undefined ? null : await read('ca', values.ca) } } : {}),
      ...(values.node === undefined ? {} : { node: values.node }),
      globs: positionals.length > 0 ? positionals : ['*'],
      signal: stop.signal,
      onMessage({ topic, payload }) {
        if (left <= 0) return;
        left -= 1;
        const text = JSON.stringify(payload);
        process.stdout.write(
          values.json ? `{"topic":${JSON.stringify(topic)},"payload":${text}}\n` : `${topic} ${text}\n`,
        );
        if (left <= 0) stop.abort();
      },
      onState: (state) => process.stderr.write(`subscribe: ${state}\n`),
    });
    return 0;
  },
};

/** Never an argument: the process list shows those to everybody. */
async function passwordOf({
  username,
  'password-file': path,
}: {
  username?: string;
  'password-file'?: string;
}): Promise<string | undefined> {
  const secret = path === undefined ? process.env.SPYONCINO_BUS_PASSWORD : await read('password-file', path);
  if (username === undefined && path !== undefined)
    throw new CodedError('USAGE', '--password-file takes --username');
  return username === undefined ? undefined : secret?.trim();
}

async function read(option: string, path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw new CodedError('USAGE', `--${option}: ${(error as Error).message}`, { cause: error });
  }
}
