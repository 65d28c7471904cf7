import { resolve } from 'node:path';
import { CodedError } from '../contract/errors.ts';
import { systemClock } from '../kernel/clock.ts';
import { loadSettings } from '../settings/index.ts';
import { openArchive, type Archive, type DayChoice, type Manifest, type SealKeys } from '../sync/index.ts';
import { readPrivateKeys } from './private-keys.ts';
import { isoTime, megabytes, showProgress, untilInterrupted } from './progress.ts';
import { friendlyPath, loadOptions, parse, PLACES, PLACES_HELP, type Verb } from './verb.ts';

export const verb: Verb = {
  help: `
usage: spyoncino remote list|verify|restore [options]

The bucket of \`storage.remote\`, by its manifests alone: the device that filled it need not be there any more, only
a configuration with the bucket and the keys (storage.remote in config.yaml and secrets.yaml).

  list              days of cameras, with what there is of each
  verify            compares what is there with the manifests: size and ETag of each object
  restore --to DIR  brings everything to its place below DIR (a data directory's media/); what is there stays

  --camera ID       of this camera only
  --day YYYY-MM-DD  of this day (UTC) only
  --deep            verify: read every object and compare its SHA-256; what is encrypted needs no key for that
  --key FILE        restore: private key for what was encrypted (\`spyoncino keys new\`); may be repeated
  --json            one JSON object per line
${PLACES_HELP}

Exit code 1 when an object is missing or is not what was sent.
`,
  async run(argv) {
    const { values, positionals } = parse(
      argv,
      {
        ...PLACES,
        camera: { type: 'string' },
        day: { type: 'string' },
        to: { type: 'string' },
        deep: { type: 'boolean', default: false },
        key: { type: 'string', multiple: true, default: [] },
        json: { type: 'boolean', default: false },
      },
      true,
    );
    const [action, ...more] = positionals;
    if (more.length > 0 || (action !== 'list' && action !== 'verify' && action !== 'restore')) {
      throw new CodedError('USAGE', 'remote takes list, verify or restore');
    }
    const { to, day, camera } = values;
    if ((action === 'restore') !== (to !== undefined)) {
      throw new CodedError('USAGE', 'restore takes --to DIR, the others do not');
    }
    if (action !== 'restore' && values.key.length > 0) {
      throw new CodedError('USAGE', 'only restore takes --key: nothing else needs one');
    }
    if (day !== undefined && !/^\d{4}-\d\d-\d\d$/.test(day)) {
      throw new CodedError('USAGE', `--day takes YYYY-MM-DD, not "${day}"`);
    }
    const { settings } = await loadSettings(loadOptions(values));
    const { remote } = settings;
    if (!remote) throw new CodedError('UPLOADS_OFF');
    const keys = await readPrivateKeys(values.key);
    return await untilInterrupted(async (signal) => {
      using archive = await openArchive({ settings: remote, clock: systemClock, signal });
      const choice: DayChoice = {
        ...(camera === undefined ? {} : { cameraId: camera }),
        ...(day === undefined ? {} : { day }),
      };
      const tell = (text: string, value: object): void => {
        process.stdout.write(values.json ? `${JSON.stringify(value)}\n` : `${text}\n`);
      };
      let isGood = true;
      let days = 0;
      for await (const manifest of archive.days(choice)) {
        days++;
        if (action === 'list') list(manifest, tell);
        else if (action === 'verify') isGood = (await verify(archive, manifest, values.deep, tell)) && isGood;
        else isGood = (await restore(archive, manifest, { folder: resolve(to ?? ''), keys }, tell)) && isGood;
      }
      if (days === 0) process.stderr.write('there is no manifest of that in the bucket\n');
      return isGood ? 0 : 1;
    });
  },
};

type Tell = (text: string, value: object) => void;

function list({ cameraId, day, writtenUtcMs, objects, coverage }: Manifest, tell: Tell): void {
  const count = (kind: string): number => objects.filter((object) => object.kind === kind).length;
  const bytes = objects.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  const coveredMs = coverage.reduce((sum, { startUtcMs, endUtcMs }) => sum + endUtcMs - startUtcMs, 0);
  const [stills, clips, segments] = [count('still'), count('clip'), count('segment')];
  const sealed = objects.filter((object) => object.sealed !== null).length;
  const encrypted = sealed === 0 ? '' : `, ${sealed} of them encrypted`;
  tell(
    `${cameraId} ${day}: ${stills} stills, ${clips} clips, ${segments} segments, ${megabytes(bytes)}${encrypted}; ` +
      `${(coveredMs / 60_000).toFixed(1)} min of footage (as of ${isoTime(writtenUtcMs)})`,
    {
      ...{ camera_id: cameraId, day, written_ts: writtenUtcMs, stills, clips, segments },
      ...{ size_bytes: bytes, covered_ms: coveredMs, encrypted: sealed },
    },
  );
}

async function verify(archive: Archive, manifest: Manifest, isDeep: boolean, tell: Tell): Promise<boolean> {
  const progress = showProgress();
  const { cameraId, day, objects } = manifest;
  let [looked, bad] = [0, 0];
  try {
    for await (const [object, verdict] of archive.verify(manifest, isDeep)) {
      looked++;
      progress.show(`${cameraId} ${day}: ${looked} of ${objects.length}`);
      if (verdict === 'good') continue;
      bad++;
      progress.clear();
      tell(`${object.key} is ${verdict === 'missing' ? 'missing' : 'NOT what was sent'}`, {
        key: object.key,
        verdict,
      });
    }
  } finally {
    progress.clear();
  }
  const how = isDeep ? 'byte for byte' : 'by size and ETag';
  tell(`${cameraId} ${day}: ${looked - bad} of ${looked} objects are there ${how}`, {
    ...{ camera_id: cameraId, day, objects: looked, good: looked - bad, deep: isDeep },
  });
  return bad === 0;
}

async function restore(
  archive: Archive,
  manifest: Manifest,
  { folder, keys }: { folder: string; keys: SealKeys },
  tell: Tell,
): Promise<boolean> {
  const progress = showProgress();
  const { cameraId, day, objects } = manifest;
  let [brought, bad] = [0, 0];
  try {
    for (const object of objects) {
      progress.show(`${object.key}, ${megabytes(object.sizeBytes)}`);
      try {
        if (await archive.restore(object, folder, keys)) brought++;
      } catch (error) {
        if (!(error instanceof CodedError)) throw error;
        bad++;
        progress.clear();
        tell(`${object.key}: ${error.message}`, { key: object.key, error: error.report() });
      }
    }
  } finally {
    progress.clear();
  }
  const there = objects.length - brought - bad;
  tell(
    `${cameraId} ${day}: ${brought} objects brought to ${friendlyPath(folder)}, ${there} were there, ${bad} cannot be had`,
    { camera_id: cameraId, day, restored: brought, present: there, failed: bad },
  );
  return bad === 0;
}
