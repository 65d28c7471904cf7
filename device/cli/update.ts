import { join, resolve } from 'node:path';
import { z } from 'zod';
import { subscribe } from '../bus/index.ts';
import { CodedError } from '../contract/errors.ts';
import { TOPICS, type Payload } from '../contract/topics.ts';
import { systemClock } from '../kernel/clock.ts';
import { createLog } from '../kernel/log.ts';
import { loadSettings } from '../settings/index.ts';
import { openUpdater, slotsPayload, targetPayload, viewPayload } from '../update-desk.ts';
import { ask, ASK, ASK_HELP } from './ask.ts';
import { busAddress } from './bus-address.ts';
import { megabytes, showProgress, untilInterrupted } from './progress.ts';
import { complaint, loadOptions, parse, PLACES, PLACES_HELP, type Verb } from './verb.ts';

const ACTIONS = ['check', 'install', 'status', 'rollback'] as const;

export const verb: Verb = {
  help: `
usage: spyoncino update check [SOURCE] [options]
       spyoncino update install [SOURCE] [--now] [--stream] [--no-reboot] [options]
       spyoncino update status [options]
       spyoncino update rollback [--now] [--no-reboot] [options]

A new version for a box that was flashed with our image. The running agent does it, as when the dashboard asks. SOURCE
is the address of a bundle, a file on the box, or \`usb\`; without it what system.updates.source says.

  check      whether there is something newer; only the signed ends of the bundle are fetched for that
  install    into the other slot; then the box restarts into it, and keeps it if it does its work
  status     how far it is, what came of the last one, and what is in the slots
  rollback   restart into the version in the other slot

  --now        also while an event is being recorded
  --stream     fetch only what differs from what runs here, and keep no copy of the bundle
  --no-reboot  install or switch, and leave the restart to somebody else
  --local      without an agent, as root, where it is dead; as nobody knows then whether an event is being recorded,
               install and rollback take --now as well
${ASK_HELP}
${PLACES_HELP}

Exit code 0: done, also when there is nothing newer; 1: refused or failed; 2: command line not understood.
`,
  async run(argv) {
    const { values, positionals } = parse(
      argv,
      {
        ...ASK,
        ...PLACES,
        now: { type: 'boolean', default: false },
        stream: { type: 'boolean', default: false },
        'no-reboot': { type: 'boolean', default: false },
        local: { type: 'boolean', default: false },
      },
      true,
    );
    const [name, named, ...others] = positionals;
    const action = ACTIONS.find((known) => known === name);
    const takesSource = action === 'check' || action === 'install';
    if (!action || others.length > 0 || (named !== undefined && !takesSource)) {
      throw new CodedError('USAGE', `update takes one of ${ACTIONS.join(', ')}, the first two a SOURCE`);
    }
    const source = named === undefined ? undefined : absolute(named);
    const { json, local, now, stream } = values;
    const reboot = !values['no-reboot'];
    if (local) return await locally({ values, action, source: source ?? null, now, stream, reboot, json });

    const args = {
      check: { source },
      install: { source, now, stream, reboot },
      status: {},
      rollback: { now, reboot },
    }[action];
    const request = { command: `update.${action}`, arguments: withoutGaps(args) };
    const code = await ask(values, request, (result) => IN_WORDS[action](result));
    return action === 'install' && code === 0 ? await follow(values) : code;
  },
};

/** A file is meant as seen from here, and the agent is somewhere else. */
const absolute = (source: string): string =>
  source === 'usb' || /^https?:/.test(source) ? source : resolve(source);

const withoutGaps = (args: object): Record<string, unknown> =>
  Object.fromEntries(Object.entries(args).filter(([, value]) => value !== undefined));

const checkResult = z.object({ version: z.string(), running: z.string().nullable(), newer: z.boolean() });
const statusResult = TOPICS['status.update'].payload.extend({
  system: z
    .object({
      booted: z.string().nullable(),
      slots: z.array(
        z.object({
          name: z.string(),
          boot_name: z.string().nullable(),
          state: z.string(),
          boot_status: z.string().nullable(),
          version: z.string().nullable(),
        }),
      ),
    })
    .nullable(),
});

const IN_WORDS: Readonly<Record<(typeof ACTIONS)[number], (result: unknown) => string>> = {
  check(result) {
    const { newer, running, version } = checkResult.parse(result);
    return newer
      ? `${version} can be installed; ${running} runs`
      : `${version} runs already: nothing is newer`;
  },
  install: (result) => `${z.object({ version: z.string() }).parse(result).version} is good for this box`,
  status(result) {
    const { error, last, state, system, version } = statusResult.parse(result);
    const slots = system?.slots.filter(({ boot_name }) => boot_name !== null) ?? [];
    return [
      `${version ?? 'no image of ours'}: ${state}`,
      ...slots.map((slot) => `  slot ${slot.boot_name}  ${slot.state}, ${slot.boot_status ?? 'unknown'}`),
      ...(last ? [`  last    ${last.version}: ${last.outcome.replaceAll('_', ' ')}`] : []),
      ...(last?.reasons ?? []).map(({ code, message }) => `          ${message} [${code}]`),
      ...(error ? [`  failed  ${error.message} [${error.code}]`] : []),
    ].join('\n');
  },
  rollback: (result) => `slot ${z.object({ slot: z.string() }).parse(result).slot} starts next`,
};

/** Shows how far it is, until it is installed or has failed; resolves to the exit code. */
async function follow(
  values: Parameters<typeof busAddress>[0] & { node?: string; json: boolean },
): Promise<number> {
  const progress = showProgress();
  const over = new AbortController();
  let code = 1;
  let hasBegun = false;
  await subscribe({
    ...(await busAddress(values)),
    ...(values.node === undefined ? {} : { node: values.node }),
    globs: ['status.update'],
    signal: over.signal,
    onMessage({ payload, raw }) {
      const view = TOPICS['status.update'].payload.safeParse(payload).data;
      if (!view) return;
      if (values.json) process.stdout.write(`${raw}\n`);
      else progress.show(howFar(view));
      hasBegun ||= view.target !== null;
      const isOver = view.state === 'installed' || view.error !== null || (hasBegun && view.state === 'idle');
      if (!isOver || over.signal.aborted) return;
      progress.clear();
      code = view.state === 'installed' ? 0 : 1;
      if (!values.json && view.error) process.stderr.write(complaint(view.error));
      else if (!values.json) process.stdout.write('installed: it starts with the next restart of the box\n');
      over.abort();
    },
  });
  return code;
}

function howFar({ progress, received_bytes, state, target }: Payload<'status.update'>): string {
  const percent = progress === null ? '' : ` ${Math.floor(100 * progress)} %`;
  const bytes = state === 'downloading' && received_bytes !== null ? ` (${megabytes(received_bytes)})` : '';
  return `${target?.version ?? ''} ${state}${percent}${bytes}`;
}

interface LocalOptions {
  readonly values: Parameters<typeof loadOptions>[0];
  readonly action: (typeof ACTIONS)[number];
  readonly source: string | null;
  readonly now: boolean;
  readonly stream: boolean;
  readonly reboot: boolean;
  readonly json: boolean;
}

async function locally({ action, json, now, reboot, source, stream, values }: LocalOptions): Promise<number> {
  const { settings } = await loadSettings(loadOptions(values));
  return await untilInterrupted(async (signal) => {
    const progress = showProgress();
    const updater = await openUpdater({
      stateDir: join(settings.dataDir, 'state'),
      env: process.env,
      bus: { publish: (_topic, payload) => progress.show(howFar(payload as Payload<'status.update'>)) },
      defaultSource: () => settings.updates.source,
      recording: () => 'unknown: there is no agent to ask',
      clock: systemClock,
      log: createLog({ name: 'update', level: settings.logLevel }),
    });
    const stop = (): void => void updater.stop();
    signal.addEventListener('abort', stop, { once: true });
    try {
      await updater.start();
      const result = await {
        check: async () => {
          const { isNewer, target } = await updater.check(source);
          return { ...targetPayload(target), running: updater.view.version, newer: isNewer };
        },
        install: async () => targetPayload(await updater.install({ source, now, stream, reboot })),
        status: async () => ({ ...viewPayload(updater.view), system: slotsPayload(await updater.slots()) }),
        rollback: async () => ({ slot: (await updater.rollback({ now, reboot })).bootName }),
      }[action]();
      await updater.settle();
      progress.clear();
      const { error } = updater.view;
      if (error) throw CodedError.of(error);
      process.stdout.write(json ? `${JSON.stringify(result)}\n` : `${IN_WORDS[action](result)}\n`);
      return 0;
    } finally {
      signal.removeEventListener('abort', stop);
      await updater.stop();
    }
  });
}
