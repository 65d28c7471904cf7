import { open } from 'node:fs/promises';
import { CodedError } from '../contract/errors.ts';
import { recipientText } from '../contract/recipient.ts';
import { newKeyPair, recipientOfKey } from '../sync/index.ts';
import { readPrivateKeys } from './private-keys.ts';
import { friendlyPath, parse, type Verb } from './verb.ts';

export const verb: Verb = {
  help: `
usage: spyoncino keys new FILE
       spyoncino keys show FILE

Keys for encrypting what is copied to a bucket (storage.remote.encrypt_to). \`new\` makes a pair on the machine where
you will one day read the footage, not on the device: the private half goes to FILE (PEM, readable by you
alone), the public half is printed and goes into config.yaml. \`show\` prints the public half of FILE again.

Whoever has FILE can read everything that is encrypted for it; without FILE nobody can, you included. Keep a copy
of it elsewhere, and never on the device or in the bucket.
`,
  async run(argv) {
    const { positionals } = parse(argv, {}, true);
    const [action, path, ...more] = positionals;
    if (path === undefined || more.length > 0 || (action !== 'new' && action !== 'show')) {
      throw new CodedError('USAGE', 'keys takes new or show, and a file');
    }
    if (action === 'show') {
      const [key] = (await readPrivateKeys([path])).values();
      process.stdout.write(`${recipientText(recipientOfKey(key!))}\n`);
      return 0;
    }
    const { pem, recipient } = newKeyPair();
    await writeNew(path, pem);
    process.stdout.write(`${recipientText(recipient)}\n`);
    process.stderr.write(`
The private key is in ${friendlyPath(path)}. Keep it OFF the device and out of the bucket, and keep a copy of it: footage that
is encrypted for it cannot be read without it, by nobody, ever.

The line above is the public key. On the device, in config.yaml:

  storage:
    remote:
      encrypt_to: ${recipientText(recipient)}
`);
    return 0;
  },
};

/** What is there already may be the only copy of a key. */
async function writeNew(path: string, pem: string): Promise<void> {
  try {
    await using file = await open(path, 'wx', 0o600);
    await file.writeFile(pem);
    await file.sync();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') {
      throw new CodedError('USAGE', `${path} exists, and may hold a key; name another file`);
    }
    throw new CodedError('USAGE', (error as Error).message, { cause: error });
  }
}
