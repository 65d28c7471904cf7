import type { ParseArgsOptionsConfig } from 'node:util';
import { command, type CommandOptions } from '../bus/index.ts';
import { CodedError } from '../contract/errors.ts';
import { BUS, BUS_HELP, busAddress, type BusValues } from './bus-address.ts';
import { complaint, parseNumber } from './verb.ts';

/** Options of verbs that ask a running agent for something. */
export const ASK = {
  ...BUS,
  node: { type: 'string' },
  timeout: { type: 'string', default: '60' },
  json: { type: 'boolean', default: false },
} as const satisfies ParseArgsOptionsConfig;

export const ASK_HELP = `${BUS_HELP}
  --node ID              whom to ask, where several agents share a bus
  --timeout SECONDS      how long the answer may take (default 60)
  --json                 the whole answer as one JSON object: {"command", "ok", "result" or "error", …}`;

interface AskValues extends BusValues {
  readonly node?: string;
  readonly timeout: string;
  readonly json: boolean;
}

/** Asks, and prints what comes of it: `inWords` says how, for people. Resolves to the exit code. */
export async function ask(
  values: AskValues,
  request: CommandOptions['request'],
  inWords: (result: unknown) => string,
): Promise<number> {
  const address = await busAddress(values);
  if (address.username === undefined)
    throw new CodedError('USAGE', `${request.command} takes --username: nobody may ask without a name`);
  const answer = await command({
    ...address,
    ...(values.node === undefined ? {} : { node: values.node }),
    request,
    timeoutMs: 1000 * parseNumber('timeout', values.timeout, 1, 3600),
  });
  if (values.json) process.stdout.write(`${JSON.stringify(answer)}\n`);
  else if (answer.error) process.stderr.write(complaint(answer.error));
  else process.stdout.write(`${inWords(answer.result)}\n`);
  return answer.ok ? 0 : 1;
}
