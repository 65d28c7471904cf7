import { CodedError, type ErrorReport } from '../contract/errors.ts';
import type { StorageSettings } from '../contract/settings.ts';
import { systemClock } from '../kernel/clock.ts';
import { createLog } from '../kernel/log.ts';
import {
  acceptMounted,
  forecastDays,
  knownMedia,
  libraryStats,
  lookAtMedia,
  mediaDir,
  openAsGuest,
  protect,
  Store,
  type ClassStats,
  type Guest,
  type LibraryStats,
} from '../library/index.ts';
import { loadSettings } from '../settings/index.ts';
import { friendlyPath, loadOptions, parse, PLACES, PLACES_HELP, type Verb } from './verb.ts';

export const verb: Verb = {
  help: `
usage: spyoncino media [status]
       spyoncino media accept
       spyoncino media protect ID
       spyoncino media unprotect ID

  status     the disk with the footage: is it the right one, how full is it, and with what
  accept     go on with the disk that is mounted now, whatever it is; footage on the one before stays there
  protect    never delete the footage of this event, clip or segment
  unprotect  treat it like any other again

All of this works while the agent runs. Exit code 1: the disk cannot be used, or the id is not known.

  --json     one JSON object
${PLACES_HELP}
`,
  async run(argv) {
    const { values, positionals } = parse(
      argv,
      { ...PLACES, json: { type: 'boolean', default: false } },
      true,
    );
    const [name = 'status', ...ids] = positionals;
    const action = Object.hasOwn(ACTIONS, name) ? ACTIONS[name] : undefined;
    if (!action || ids.length !== action.ids) {
      throw new CodedError('USAGE', 'media takes status, accept, protect ID or unprotect ID');
    }
    const { settings } = await loadSettings(loadOptions(values));
    const { code, facts, text } = await action.run({
      id: ids[0] ?? '',
      dataDir: settings.dataDir,
      storage: settings.storage,
    });
    process.stdout.write(values.json ? `${JSON.stringify(facts)}\n` : text);
    return code;
  },
};

interface Call {
  readonly id: string;
  readonly dataDir: string;
  readonly storage: StorageSettings;
}

interface Outcome {
  readonly code: number;
  readonly facts: object;
  readonly text: string;
}

const ACTIONS: Readonly<Record<string, { ids: number; run(call: Call): Promise<Outcome> }>> = {
  status: { ids: 0, run: status },
  accept: { ids: 0, run: accept },
  protect: { ids: 1, run: (call) => setProtection(call, true) },
  unprotect: { ids: 1, run: (call) => setProtection(call, false) },
};

const openGuest = (dataDir: string): Promise<Guest> =>
  openAsGuest(dataDir, {
    signal: new AbortController().signal,
    clock: systemClock,
    log: createLog({ name: 'media', level: 'warn' }),
  });

async function accept({ dataDir, storage }: Call): Promise<Outcome> {
  using store = await Store.open({ dataDir, as: 'guest' });
  const mediaId = await acceptMounted(
    { dataDir, pinnedId: storage.mediaId, utcMs: systemClock.utcMs() },
    store,
  );
  return {
    code: 0,
    facts: { media_id: mediaId },
    text: `accepted: footage belongs on ${mediaId} from now on\n`,
  };
}

async function setProtection({ id, dataDir }: Call, isProtected: boolean): Promise<Outcome> {
  using guest = await openGuest(dataDir);
  const { eventIds, files, sizeBytes } = await protect(guest, { id, isProtected });
  return {
    code: 0,
    facts: { event_ids: eventIds, files, size_bytes: sizeBytes },
    text: row(
      isProtected ? 'protected' : 'released',
      `${eventIds.length} events, ${files} more files, ${gigabytes(sizeBytes)}`,
    ),
  };
}

async function status({ dataDir, storage }: Call): Promise<Outcome> {
  using store = await Store.open({ dataDir, as: 'guest' });
  const known = knownMedia(store);
  const expectedId = storage.mediaId ?? known.at(-1)?.mediaId ?? null;
  const media = await lookAtMedia({ dataDir, expectedId, newId: null, utcMs: systemClock.utcMs() });
  let stats: LibraryStats | null = null;
  if (media.isThere) {
    using guest = await openGuest(dataDir);
    stats = await libraryStats(guest);
  }
  const { mediaId, problem } = media;
  const forecast = stats && forecastDays(stats, storage.headroomBytes);
  return {
    code: problem ? 1 : 0,
    facts: {
      directory: mediaDir(dataDir),
      media_id: mediaId,
      problem,
      known: known.map(({ mediaId, acceptedUtcMs }) => ({ media_id: mediaId, accepted_ts: acceptedUtcMs })),
      headroom_bytes: storage.headroomBytes,
      total_bytes: stats?.disk.totalBytes ?? null,
      free_bytes: stats?.disk.freeBytes ?? null,
      continuous: stats && classFacts(stats.classes.continuous),
      event: stats && classFacts(stats.classes.event),
      protected: stats && classFacts(stats.classes.protected),
      forecast_days: forecast,
    },
    text: [
      row('directory', friendlyPath(mediaDir(dataDir))),
      row('disk', mediaId),
      ...known
        .filter((disk) => disk.mediaId !== mediaId)
        .map((disk) => row('before', `${disk.mediaId}, accepted ${day(disk.acceptedUtcMs)}`)),
      ...(stats ? statsRows(stats, storage.headroomBytes, forecast) : []),
      ...(problem ? problemRows(problem) : []),
    ].join(''),
  };
}

const classFacts = ({ files, sizeBytes, oldestUtcMs }: ClassStats): object => ({
  files,
  size_bytes: sizeBytes,
  oldest_ts: oldestUtcMs,
});

function statsRows(
  { disk, classes, writtenBytesPerDay }: LibraryStats,
  headroomBytes: number,
  forecast: number | null,
): string[] {
  const free = `${gigabytes(disk.freeBytes)} of ${gigabytes(disk.totalBytes)}, ${gigabytes(headroomBytes)} are kept free`;
  return [
    row('free', free),
    ...Object.entries(classes).map(([name, { files, sizeBytes, oldestUtcMs }]) =>
      row(
        name,
        `${gigabytes(sizeBytes)} in ${files} files${oldestUtcMs === null ? '' : `, since ${day(oldestUtcMs)}`}`,
      ),
    ),
    ...(forecast === null || writtenBytesPerDay === null
      ? []
      : [
          row('holds', `${forecast.toFixed(1)} days at today's rate, ${gigabytes(writtenBytesPerDay)} a day`),
        ]),
  ];
}

const problemRows = ({ code, message, advice }: ErrorReport): string[] => [
  row('trouble', `${message}  [${code}]`),
  row('', advice),
];

const row = (name: string, text: string): string => `${name.padEnd(12)}${text}\n`;
const gigabytes = (bytes: number): string => `${(bytes / 1e9).toFixed(2)} GB`;
const day = (utcMs: number): string => new Date(utcMs).toISOString().slice(0, 10);
