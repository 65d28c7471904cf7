import { CodedError } from '../contract/errors.ts';
import { complaint, type Verb } from './verb.ts';

/** Loaded when called: one verb does not pay for what another needs. */
const VERBS: Readonly<Record<string, { summary: string; load(): Promise<{ verb: Verb }> }>> = {
  run: { summary: 'run the agent: watch, record, tell', load: () => import('./run.ts') },
  analyze: {
    summary: 'find events and motion in video files, as fast as the machine allows',
    load: () => import('./analyze.ts'),
  },
  subscribe: { summary: "print what crosses the bus, e.g. 'event.*'", load: () => import('./subscribe.ts') },
  command: {
    summary: 'ask a running agent for something: pause a module, change the configuration, …',
    load: () => import('./command.ts'),
  },
  cameras: {
    summary: 'list the cameras attached to this machine and what they can do',
    load: () => import('./cameras.ts'),
  },
  media: {
    summary: 'the disk with the footage: state, acceptance, protected footage',
    load: () => import('./media.ts'),
  },
  export: {
    summary: "cut a stretch of a camera's footage into a file, exactly and without encoding",
    load: () => import('./export.ts'),
  },
  fsck: {
    summary: 'hold index, disk and chain against each other, and mend what differs',
    load: () => import('./fsck.ts'),
  },
  config: {
    summary: 'check, compare and list configurations, and go back to one',
    load: () => import('./config.ts'),
  },
  models: { summary: 'list, add, verify and measure detection models', load: () => import('./models.ts') },
  update: {
    summary: 'a new version for a flashed box: check, install, status, rollback',
    load: () => import('./update.ts'),
  },
  'health-gate': {
    summary: 'prove that the recorder does its work, before a new version is kept',
    load: () => import('./health-gate.ts'),
  },
  'first-boot': {
    summary: 'apply the settings that lie on the boot partition, once',
    load: () => import('./first-boot.ts'),
  },
  'factory-reset': {
    summary: 'erase everything on a flashed box, as before its first start',
    load: () => import('./factory-reset.ts'),
  },
  verify: {
    summary: 'prove that footage was not altered, and where it stands in the chain',
    load: () => import('./verify.ts'),
  },
  remote: {
    summary: 'the bucket with copies of the footage: list, verify, restore',
    load: () => import('./remote.ts'),
  },
  keys: {
    summary: 'a key pair, so that what is copied to the bucket is encrypted before it leaves',
    load: () => import('./keys.ts'),
  },
  decrypt: {
    summary: 'open what was encrypted, with the private key, on any machine',
    load: () => import('./decrypt.ts'),
  },
  users: { summary: 'who may sign in, and tokens for programs', load: () => import('./users.ts') },
  version: {
    summary: 'print version, commit, build time and the versions of what does the work',
    load: () => import('./version.ts'),
  },
};

/** Runs one verb; resolves to the exit code: 0 done, 1 failed, 2 command line not understood. */
export async function main(argv: readonly string[]): Promise<number> {
  const [first, ...rest] = argv;
  // A reader that went away (`| head`) is no failure.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));
  try {
    if (first === undefined || first === 'help' || first === '--help' || first === '-h') {
      process.stdout.write(overview());
      return first === undefined ? 2 : 0;
    }
    // Options without a verb are those of `run`, as of the original system.
    if (first.startsWith('-') && first !== '--version') return await main(['run', ...argv]);
    const name = first === '--version' ? 'version' : first;
    const known = Object.hasOwn(VERBS, name) ? VERBS[name] : undefined;
    if (!known) throw new CodedError('USAGE', `there is no verb "${name}"; see spyoncino --help`);
    const { verb } = await known.load();
    if (rest.includes('--help') || rest.includes('-h')) {
      process.stdout.write(`${verb.help.trim()}\n`);
      return 0;
    }
    return await verb.run(rest);
  } catch (error) {
    if (!(error instanceof CodedError)) throw error;
    process.stderr.write(complaint(error.report()));
    return error.code === 'USAGE' || error.code.startsWith('CONFIG_') ? 2 : 1;
  }
}

function overview(): string {
  const lines = Object.entries(VERBS).map(([name, { summary }]) => `  ${name.padEnd(13)} ${summary}`);
  return `spyoncino — a camera appliance that never loses a finished second

usage: spyoncino <verb> [options]

${lines.join('\n')}

\`spyoncino <verb> --help\` explains a verb; \`spyoncino --version\` says what runs here.
`;
}
