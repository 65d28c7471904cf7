import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { pino } from 'pino';
import { noMeter } from '../../device/contract/metrics.ts';
import { systemClock } from '../../device/kernel/clock.ts';
import { fsck, openAsGuest, openLibrary } from '../../device/library/index.ts';
import { recoverFootage } from '../../device/record/index.ts';
import { quiet } from '../unit/record/rig.ts';
import { defaultSettings } from '../../device/settings/index.ts';
import { indexComplaints } from './index-check.ts';
import type { Judge, Verdict } from './judge.ts';
import { recordingOf, type RigPlan } from './plan.ts';
import { STRANGERS, strangersTouched } from './strangers.ts';
import { filmedOf, lossOf, type Report } from './witness.ts';

export interface Findings {
  /** Per camera. */
  readonly lostMs: readonly number[];
  /** Everything that is not as promised, in words. */
  readonly broken: readonly string[];
  /** Files that were completed after their writer had died. */
  readonly recovered: number;
}

export interface Examination {
  readonly plan: RigPlan;
  readonly judge: Judge;
  readonly reports: readonly Report[];
  /** When the processes were killed, or the power went. */
  readonly endMs: number;
}

/** Does what an agent does when it starts, on what a crash left behind, and looks at everything. */
export async function examine({ plan, judge, reports, endMs }: Examination): Promise<Findings> {
  const { dataDir } = plan;
  const broken = await deniedAnnouncements(dataDir, reports, endMs);
  const before = await filesBelow(dataDir);
  const { recovered, complaints } = await restart(plan);
  broken.push(...complaints);
  const after = await filesBelow(dataDir);
  broken.push(...missingFiles(before, after), ...(await strangersTouched(dataDir)));

  const films = after.filter((path) => path.endsWith('.mp4') && !STRANGERS.has(path));
  const verdicts = await judge.judge(films.map((path) => join(dataDir, path)));
  const known = new Map([...verdicts].map(([path, verdict]) => [relative(dataDir, path), verdict]));
  for (const [path, { complaint }] of known) if (complaint) broken.push(`${path}: ${complaint}`);
  const held = new Map(plan.cameras.map(({ cameraId }) => [cameraId, picturesOf(cameraId, known)]));
  const filmed = new Set(
    [...held].flatMap(([cameraId, heldUtcMs]) => filmedOf({ reports, cameraId, heldUtcMs })),
  );
  broken.push(...indexComplaints(dataDir, known, filmed), ...(await fsckComplaints(dataDir)));

  const lostMs = plan.cameras.map(({ cameraId, mode }) => {
    const heldUtcMs = held.get(cameraId) ?? [];
    const recording = recordingOf(mode);
    const { lostMs, denied } = lossOf({ reports, cameraId, recording, heldUtcMs, endMs });
    if (denied > 0) broken.push(`${cameraId}: ${denied} pictures are missing that had been written`);
    return lostMs;
  });
  return { lostMs, broken, recovered };
}

/** What had been announced must be there, with its name and all its bytes, before anybody mends anything. */
async function deniedAnnouncements(
  dataDir: string,
  reports: readonly Report[],
  endMs: number,
): Promise<string[]> {
  const broken: string[] = [];
  for (const report of reports) {
    if (report.type !== 'announced' || report.atMs >= endMs) continue;
    const bytes = await readFile(join(dataDir, report.path)).catch(() => null);
    const sha256 = bytes && createHash('sha256').update(bytes).digest('hex');
    if (sha256 !== report.sha256) broken.push(`${report.path} was announced and is not there as announced`);
  }
  return broken;
}

/** Files that were completed, and all that went wrong. */
export async function restart({
  cameras,
  dataDir,
}: {
  readonly cameras: readonly { readonly cameraId: string }[];
  readonly dataDir: string;
}): Promise<{ recovered: number; complaints: readonly string[] }> {
  const { storage } = defaultSettings(dataDir);
  const complaints: string[] = [];
  const log = pino({ level: 'error' }, { write: (line) => complaints.push(line.trim()) });
  const shared = { dataDir, clock: systemClock, log };
  await using library = await openLibrary({
    ...shared,
    settings: storage,
    logLevel: 'silent',
    meter: noMeter,
  });
  complaints.push(...library.troubles.map(({ message }) => message));
  const { mediaId } = library;
  const committed: Promise<unknown>[] = [];
  let recovered = 0;
  for (const { cameraId } of cameras) {
    await recoverFootage(
      {
        ...{ ...shared, cameraId, mediaId, run: 'next' },
        emit(fact) {
          if (fact.type === 'segment.ready' || fact.clip.path !== null) recovered++;
          committed.push(library.footage(fact));
        },
      },
      new AbortController().signal,
    );
  }
  await Promise.all(committed);
  await library.ask('reconcile', {}).catch((error: unknown) => complaints.push(String(error)));
  return { recovered, complaints };
}

/** What the product's own check has to say, but for the strangers. */
async function fsckComplaints(dataDir: string): Promise<readonly string[]> {
  const { signal } = new AbortController();
  const complaints: string[] = [];
  using guest = await openAsGuest(dataDir, { signal, clock: systemClock, log: quiet });
  await fsck(guest, {
    level: 'hash',
    repair: false,
    onFinding: ({ type, path, detail }) => {
      if (!STRANGERS.has(path)) complaints.push(`fsck: ${type} ${path} ${detail}`);
    },
  });
  return complaints;
}

async function filesBelow(dataDir: string): Promise<readonly string[]> {
  const names = await readdir(join(dataDir, 'media'), { recursive: true, withFileTypes: true });
  return names
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => relative(dataDir, join(parentPath, name)));
}

function missingFiles(before: readonly string[], after: readonly string[]): readonly string[] {
  const there = new Set(after);
  return [
    ...after.filter((path) => path.endsWith('.part.mp4')).map((path) => `${path} was not completed`),
    ...before
      // A temporary file of ours is written anew.
      .filter((path) => !path.endsWith('.tmp'))
      .filter(
        (path) => ![path, path.replace('.part.mp4', '.mp4'), `${path}.broken`].some((p) => there.has(p)),
      )
      .map((path) => `${path} was deleted`),
  ];
}

const picturesOf = (cameraId: string, films: ReadonlyMap<string, Verdict>): readonly number[] =>
  [...films].flatMap(([path, { picturesUtcMs }]) => (path.split('/')[2] === cameraId ? picturesUtcMs : []));
