import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { examine, type Findings } from './examine.ts';
import type { RigPlan } from './plan.ts';
import { CAMERAS, type Rig } from './rig.ts';
import { seededRandom } from './seeded-random.ts';
import { plantStrangers } from './strangers.ts';
import { readReports } from './witness.ts';
import { World } from './world.ts';

export interface KillRound extends Findings {
  readonly seed: number;
  /** Who was killed, in order. */
  readonly killed: readonly string[];
}

/** Capturing costs more than recording, so not every round does. */
const CAPTURE_EVERY = 10;

/**
 * One life of an agent: it records, camera hosts are killed under it, and in the end it is killed itself, alone or
 * with all of its hosts. `seed` decides what is random, as far as it is ours to decide.
 */
export async function killRound(rig: Rig, seed: number): Promise<KillRound> {
  const random = seededRandom(seed);
  const folder = join(rig.folder, 'rounds', String(seed));
  const plan: RigPlan = {
    ...{ seed, careless: false, cameras: CAMERAS, streamFile: rig.streamFile },
    capture: seed % CAPTURE_EVERY === 0,
    dataDir: join(folder, 'data'),
    reportsFile: join(folder, 'reports'),
  };
  await mkdir(folder, { recursive: true });
  await writeFile(plan.reportsFile, '');
  await plantStrangers(plan.dataDir);
  const killed: string[] = [];
  let endMs = Infinity;
  {
    await using world = new World(plan);
    await world.recording();
    await delay(random() * 3000);
    for (const { cameraId } of CAMERAS) {
      if (random() > 0.3) continue;
      world.killHost(cameraId);
      killed.push(cameraId);
      await delay(random() * 1500);
    }
    if (random() < 0.5) {
      world.killAgent();
      killed.push('agent');
    } else {
      endMs = world.killAll();
      killed.push('all');
    }
    await world.over();
  }
  const reports = readReports(plan.reportsFile);
  endMs = Math.min(endMs, Date.now());
  const findings = await examine({ plan, judge: rig.judge, reports, endMs });
  if (findings.broken.length === 0) await rm(folder, { recursive: true });
  return { seed, killed, ...findings };
}
