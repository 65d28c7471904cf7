import { expect, test } from 'vitest';
import { requireDrives } from '../harness/drive/index.ts';
import { cutPower, recordOnDrive, type DriveOptions } from './power-round.ts';
import { startRig, type Rig } from './rig.ts';
import { Summary } from './summary.ts';

await requireDrives();

const CUTS = 120;

async function cutMany(rig: Rig, options: DriveOptions, cuts: number): Promise<Summary> {
  const summary = new Summary();
  const recording = await recordOnDrive(rig, options);
  await cutPower(rig, recording, cuts, (cut) => summary.add(cut, `cut at ${cut.at} of a drive ${cut.kind}`));
  return summary;
}

test(`a power cut at ${CUTS} random points of a recording`, { timeout: 20 * 60_000 }, async () => {
  await using rig = await startRig();
  const summary = await cutMany(rig, { seed: 1, seconds: 25 }, CUTS);
  console.log(summary.toString());
  expect(summary.broken).toEqual([]);
  expect(summary.keptPromise).toBeGreaterThan(0.95);
  expect(summary.recovered).toBeGreaterThan(CUTS / 2);
});

test('a recorder that syncs nothing is caught', { timeout: 5 * 60_000 }, async () => {
  await using rig = await startRig();
  const summary = await cutMany(rig, { seed: 2, seconds: 8, careless: true }, 12);
  expect(summary.keptPromise).toBeLessThan(0.95);
});
