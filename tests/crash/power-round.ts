import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { createRememberingDisk, type LogEntry } from '../harness/drive/index.ts';
import { examine, type Findings } from './examine.ts';
import { inLanes } from './lanes.ts';
import { mountCopy } from './mounted-copy.ts';
import type { RigPlan } from './plan.ts';
import { PowerCuts, type DriveKind } from './power-cut.ts';
import { CAMERAS, type Rig } from './rig.ts';
import { seededRandom } from './seeded-random.ts';
import { plantStrangers } from './strangers.ts';
import { readReports, type Report } from './witness.ts';
import { World } from './world.ts';

const DISK_MIB = 96;
/** Below the mounted disk. */
const DATA = 'data';

/** What an agent did for a while on a drive that remembers. */
export interface DriveRecording {
  readonly plan: RigPlan;
  readonly blank: Buffer;
  readonly log: readonly LogEntry[];
  /** Number of the first entry that is of the agent; the last is from while it still ran. */
  readonly first: number;
  readonly reports: readonly Report[];
}

export interface DriveOptions {
  readonly seed: number;
  readonly seconds: number;
  readonly careless?: boolean;
}

export async function recordOnDrive(
  rig: Rig,
  { seed, seconds, careless = false }: DriveOptions,
): Promise<DriveRecording> {
  await using disk = await createRememberingDisk(DISK_MIB);
  const plan: RigPlan = {
    ...{ seed, careless, capture: false, cameras: CAMERAS, streamFile: rig.streamFile },
    dataDir: join(disk.directory, DATA),
    reportsFile: join(rig.folder, `drive-${seed}`),
  };
  await writeFile(plan.reportsFile, '');
  await plantStrangers(plan.dataDir);
  await disk.sync();
  const first = (await disk.log()).length;
  let log: readonly LogEntry[];
  {
    await using world = new World(plan);
    await world.recording();
    await delay(seconds * 1000);
    log = await disk.log();
  }
  return { plan, first, log, blank: await disk.blank(), reports: readReports(plan.reportsFile) };
}

export interface PowerCut extends Findings {
  /** Number of the entry of the drive's log that was not answered any more. */
  readonly at: number;
  readonly kind: DriveKind;
}

/** Cuts the power `count` times at random moments, and looks each time at what the agent finds when it is back. */
export async function cutPower(
  rig: Rig,
  { plan, blank, log, first, reports }: DriveRecording,
  count: number,
  onCut: (cut: PowerCut) => void,
): Promise<void> {
  const random = seededRandom(plan.seed);
  const moments = Array.from({ length: count }, () => first + Math.floor(random() * (log.length - first)));
  moments.sort((a, b) => a - b);
  const cuts = new PowerCuts(blank, log);
  await inLanes(
    count,
    async (n) => {
      const at = moments[n]!;
      const kind = n % 2 === 0 ? 'with cache' : 'without cache';
      await using copy = await mountCopy(cuts.cut(at, kind, random));
      const found = await examine({
        ...{ reports, judge: rig.judge, endMs: log[at]!.utcMs },
        plan: { ...plan, dataDir: join(copy.directory, DATA) },
      });
      return { at, kind, ...found } as const;
    },
    onCut,
  );
}
