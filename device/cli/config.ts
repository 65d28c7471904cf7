import { join } from 'node:path';
import type { KeyChange } from '../contract/config.ts';
import { CodedError } from '../contract/errors.ts';
import {
  configJsonSchema,
  diffConfig,
  History,
  loadSettings,
  planChange,
  planInWords,
  type LoadedSettings,
  type LoadOptions,
  type Snapshot,
} from '../settings/index.ts';
import { ASK_HELP } from './ask.ts';
import { rollback } from './config-rollback.ts';
import { loadOptions, parse, PLACES, PLACES_HELP, type Verb } from './verb.ts';

const HELP = `
usage: spyoncino config check
       spyoncino config diff [FINGERPRINT]
       spyoncino config history
       spyoncino config schema
       spyoncino config rollback FINGERPRINT --username NAME

  check     read all files as the agent would; say everything that is wrong, or the fingerprint
  diff      what config.yaml says otherwise than what the agent last ran with (or than a snapshot), and what
            applying it would restart
  history   configurations that the agent ran with, newest last: fingerprint, when, who, what
  schema    JSON schema of config.yaml, for editors
  rollback  back to a configuration of the history, or the beginning of its fingerprint; the running agent does it,
            without a restart, and takes it back if something is worse off afterwards

  --json             machine readable
${PLACES_HELP}

Options of rollback:
${ASK_HELP}

Exit code 0: fine; 1: rollback refused, or no agent there; 2: the configuration is not valid.
`;

interface Call {
  readonly load: LoadOptions;
  readonly json: boolean;
  readonly fingerprint: string | undefined;
}

export const verb: Verb = {
  help: HELP,
  async run(argv) {
    if (argv[0] === 'rollback') return await rollback(argv.slice(1));
    const { values, positionals } = parse(
      argv,
      { ...PLACES, json: { type: 'boolean', default: false } },
      true,
    );
    const [action = 'check', fingerprint] = positionals;
    const known = Object.hasOwn(ACTIONS, action) ? ACTIONS[action] : undefined;
    if (!known)
      throw new CodedError('USAGE', `config takes check, diff, history, schema or rollback, not "${action}"`);
    for (const line of await known({ load: loadOptions(values), json: values.json, fingerprint }))
      process.stdout.write(`${line}\n`);
    return 0;
  },
};

const ACTIONS: Readonly<Record<string, (call: Call) => Promise<readonly string[]>>> = {
  async check({ load, json }) {
    const { fingerprint, settings, sources, warnings } = await loadSettings(load);
    if (json) return [JSON.stringify({ fingerprint, cameras: settings.cameras.length, sources, warnings })];
    return [
      ...warnings.map((warning) => `warning: ${warning}`),
      `valid: ${settings.cameras.length} cameras, from ${sources.join(', ') || 'defaults alone'}`,
      `fingerprint ${fingerprint}`,
    ];
  },

  async diff({ load, json, fingerprint }) {
    const now = await loadSettings(load);
    const snapshots = await historyOf(now).list();
    const snapshot = fingerprint
      ? snapshots.findLast((known) => known.fingerprint.startsWith(fingerprint))
      : snapshots.at(-1);
    if (!snapshot) throw new CodedError('CONFIG_UNKNOWN', fingerprint ?? 'the agent has never run here');
    const before = await loadSettings({ ...load, configText: snapshot.text });
    const changes = diffConfig(before.written, now.written);
    const summary = planInWords(planChange(before.settings, now.settings));
    if (json) return [JSON.stringify({ from: before.fingerprint, to: now.fingerprint, changes, summary })];
    return [...changes.map(changeInWords), summary];
  },

  async history({ load, json }) {
    const snapshots = await historyOf(await loadSettings(load)).list();
    return snapshots.map((snapshot) => (json ? JSON.stringify(withoutText(snapshot)) : inWords(snapshot)));
  },

  async schema() {
    return [JSON.stringify({ title: 'Spyoncino config.yaml', ...configJsonSchema() }, null, 2)];
  },
};

const historyOf = ({ settings }: LoadedSettings): History => new History(join(settings.dataDir, 'state'));

const withoutText = ({ text: _text, ...rest }: Snapshot) => rest;

const inWords = ({ fingerprint, utcMs, author, changes }: Snapshot): string =>
  [
    `${fingerprint.slice(0, 12)}  ${new Date(utcMs).toISOString()}  ${author}`,
    ...changes.map((change) => `    ${changeInWords(change)}`),
  ].join('\n');

const changeInWords = ({ key, before, after }: KeyChange): string =>
  `${key}: ${shown(before)} → ${shown(after)}`;

const shown = (value: unknown): string => (value === undefined ? 'not set' : JSON.stringify(value));
