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
  const settled: Point[] = [];
  try {
    for (let minute = 1; minute <= minutes; minute++) {
      const cpuBefore = cpuMsOf(pids);
      await Promise.race([delay(MINUTE_MS), ended]);
      if (host.exitCode !== null) return `the camera host ended with code ${host.exitCode}`;
      const pssBytes = pssBytesOf(pids);
      const cpuPercent = (100 * (cpuMsOf(pids) - cpuBefore)) / MINUTE_MS;
      const rssBytes = ownRssBytesOf(pids[0]!);
      if (minute > SETTLING_MINUTES) settled.push({ minute, pssBytes, rssBytes });
      process.stdout.write(
        `minute ${minute}: PSS ${megabytes(pssBytes)} MB, RSS ${megabytes(rssBytes)} MB, ` +
          `CPU ${cpuPercent.toFixed(1)} %\n`,
      );
      // Nobody else does; the one that grows is left alone.
      for (const clip of globSync('**/*.mp4', { cwd: dir })) {
        if (!clip.includes('.part.')) await rm(join(dir, clip));
      }
    }
    const { analysedPictures } = await stopHost(host);
    // PSS also falls and rises with the other processes that share Node's and FFmpeg's pages; RSS does not.
    const slopes = [
      `PSS ${perHour(settled, ({ pssBytes }) => pssBytes)}`,
      `RSS ${perHour(settled, ({ rssBytes }) => rssBytes)}`,
    ];
    return `slope after minute ${SETTLING_MINUTES}: ${slopes.join(', ')}; ${analysedPictures} pictures analysed`;
  } finally {
    host.kill('SIGKILL');
    await ended;
    await rm(dir, { recursive: true });
  }
}

const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(1);

interface Point {
  readonly minute: number;
  readonly pssBytes: number;
  readonly rssBytes: number;
}

/** By least squares. */
function perHour(points: readonly Point[], bytesOf: (point: Point) => number): string {
  if (points.length < 2) return 'unknown';
  const mean = (of: (point: Point) => number): number =>
    points.reduce((sum, point) => sum + of(point), 0) / points.length;
  const [meanMinute, meanBytes] = [mean(({ minute }) => minute), mean(bytesOf)];
  const bytesPerMinute =
    mean((point) => (point.minute - meanMinute) * (bytesOf(point) - meanBytes)) /
    mean(({ minute }) => (minute - meanMinute) ** 2);
  return `${((bytesPerMinute * 60) / 1e6).toFixed(2)} MB an hour`;
}
