import { CodedError } from '../contract/errors.ts';
import { ask, ASK } from './ask.ts';
import { parse } from './verb.ts';

/**
 * `spyoncino config rollback FINGERPRINT`. The running agent does it, as for every surface: it alone knows what a change
 * restarts, and takes it back when it does not work out. Resolves to the exit code.
 */
export async function rollback(argv: readonly string[]): Promise<number> {
  const { values, positionals } = parse(argv, ASK, true);
  const [fingerprint, ...others] = positionals;
  if (fingerprint === undefined || others.length > 0)
    throw new CodedError('USAGE', 'config rollback takes one FINGERPRINT, see `spyoncino config history`');
  return await ask(values, { command: 'config.rollback', arguments: { fingerprint } }, inWords);
}

/** Of the result that `handlers.ts` gives. */
function inWords(result: unknown): string {
  const { fingerprint, summary } = result as { fingerprint: string; summary: string };
  return `back to ${fingerprint.slice(0, 12)}: ${summary}`;
}
