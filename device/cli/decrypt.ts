import { createReadStream } from 'node:fs';
import { addAbortSignal } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { CodedError } from '../contract/errors.ts';
import { replaceFileBy } from '../kernel/durable-file.ts';
import { expectName, openSealed } from '../sync/index.ts';
import { readPrivateKeys } from './private-keys.ts';
import { megabytes, showProgress, untilInterrupted } from './progress.ts';
import { friendlyPath, parse, type Verb } from './verb.ts';

export const verb: Verb = {
  help: `
usage: spyoncino decrypt --key FILE [--key FILE…] [IN [OUT]]

Opens an object from the bucket that was encrypted before it left the device (storage.remote.encrypt_to). It needs
neither the device nor its configuration. IN and OUT are files; - or nothing is standard input and output. Nothing is
given out that was not found to be genuine; a file OUT is there whole or not at all. What comes out of a pipe is whole only
if the exit code is 0.

  --key FILE   private key, as \`spyoncino keys new\` wrote it; of several the right one is taken
  --name KEY   refuse it unless it was encrypted as this object (its key in the bucket, with the prefix)

Exit code 1 with SEAL_KEY_WRONG, SEAL_BROKEN (altered), SEAL_TRUNCATED, SEAL_SWAPPED or SEAL_UNKNOWN (not encrypted).
`,
  async run(argv) {
    const { values, positionals } = parse(
      argv,
      { key: { type: 'string', multiple: true, default: [] }, name: { type: 'string' } },
      true,
    );
    const [from = '-', to = '-', ...more] = positionals;
    if (more.length > 0) throw new CodedError('USAGE', 'decrypt takes IN and OUT');
    if (values.key.length === 0) throw new CodedError('USAGE', 'decrypt takes --key FILE');
    if (to === '-' && process.stdout.isTTY) {
      throw new CodedError('USAGE', 'footage is not written to a terminal: name a file, or use a pipe');
    }
    const keys = await readPrivateKeys(values.key);
    return await untilInterrupted(async (signal) => {
      const source: AsyncIterable<Buffer> = addAbortSignal(
        signal,
        from === '-' ? process.stdin : createReadStream(from),
      );
      const { envelope, content } = await openSealed(source, keys);
      const { name } = values;
      const plain = watched(name === undefined ? content : expectName(envelope, name, content), signal);
      if (to === '-') await pipeline(plain, process.stdout, { end: false });
      else await replaceFileBy(to, plain);
      process.stderr.write(
        `${envelope.name}: ${megabytes(envelope.sizeBytes)}${to === '-' ? '' : ` to ${friendlyPath(to)}`}\n`,
      );
      return 0;
    });
  },
};

async function* watched(content: AsyncIterable<Buffer>, signal: AbortSignal): AsyncGenerator<Buffer> {
  const progress = showProgress();
  let doneBytes = 0;
  try {
    for await (const chunk of content) {
      signal.throwIfAborted();
      progress.show(megabytes((doneBytes += chunk.byteLength)));
      yield chunk;
    }
  } finally {
    progress.clear();
  }
}
