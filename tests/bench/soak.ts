/** One camera host for a long time: does its memory grow? A line a minute; nothing is asserted. */
import { once } from 'node:events';
import { globSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { missingPackages } from '../harness/packages.ts';
import { NEEDED_PACKAGES, startCamera, startHost, stopHost } from './one-camera.ts';
import { cpuMsOf, ownRssBytesOf, pssBytesOf } from './process.ts';

const MINUTE_MS = 60_000;
/** The ring fills, hot code is compiled, the heap finds its size. */
const SETTLING_MINUTES = 5;

export async function soak(minutes: number): Promise<string> {
  const missing = missingPackages(NEEDED_PACKAGES);
  if (missing.length > 0) return `left out: needs Debian packages ${missing.join(', ')}`;
  await using camera = await startCamera();
  const dir = await mkdtemp(join(tmpdir(), 'spyoncino-soak-'));
  const host = startHost(camera, dir);
  const ended = once(host, 'exit');
  const pids = [host.pid ?? 0];
  const settled: { minute: number; pssBytes: number }[] = [];
  try {
    for (let minute = 1; minute <= minutes; minute++) {
      const cpuBefore = cpuMsOf(pids);
      await Promise.race([delay(MINUTE_MS), ended]);
      if (host.exitCode !== null) return `the camera host ended with code ${host.exitCode}`;
      const pssBytes = pssBytesOf(pids);
      const cpuPercent = (100 * (cpuMsOf(pids) - cpuBefore)) / MINUTE_MS;
      if (minute > SETTLING_MINUTES) settled.push({ minute, pssBytes });
      process.stdout.write(
        `minute ${minute}: PSS ${megabytes(pssBytes)} MB, RSS ${megabytes(ownRssBytesOf(pids[0]!))} MB, ` +
          `CPU ${cpuPercent.toFixed(1)} %\n`,
      );
      // Nobody else does; the one that grows is left alone.
      for (const clip of globSync('**/*.mp4', { cwd: dir })) {
        if (!clip.includes('.part.')) await rm(join(dir, clip));
      }
    }
    const { analysedPictures } = await stopHost(host);
    const slope = settled.length > 1 ? `${((slopeOf(settled) * 60) / 1e6).toFixed(2)} MB an hour` : 'unknown';
    return `slope of PSS after minute ${SETTLING_MINUTES}: ${slope}; ${analysedPictures} pictures analysed`;
  } finally {
    host.kill('SIGKILL');
    await ended;
    await rm(dir, { recursive: true });
  }
}

const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(1);

/** Bytes a minute, by least squares. */
function slopeOf(points: readonly { minute: number; pssBytes: number }[]): number {
  const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;
  const meanMinute = mean(points.map(({ minute }) => minute));
  const meanBytes = mean(points.map(({ pssBytes }) => pssBytes));
  const sum = (of: (minute: number, bytes: number) => number): number =>
    points.reduce((total, { minute, pssBytes }) => total + of(minute - meanMinute, pssBytes - meanBytes), 0);
  return sum((minute, bytes) => minute * bytes) / sum((minute) => minute ** 2);
}
