/**
 * What one camera costs (see one-camera.ts), without detection. The floor is what FFmpeg itself needs for it without
 * looking at any picture.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { globSync } from 'node:fs';
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Polygon } from '../../device/contract/geometry.ts';
import { missingPackages } from '../harness/packages.ts';
import type { CameraChildReport, StartTimes } from './camera-child.ts';
import { table } from './facts.ts';
import { NEEDED_PACKAGES, startCamera, startHost, stopHost, type Streams } from './one-camera.ts';
import { QUARTER } from './privacy.ts';
import { cpuMsOf, pssBytesOf, threadCpuMsOf } from './process.ts';

export interface CaptureBenchOptions {
  readonly rounds: number;
  readonly secondsPerRound: number;
}

interface Contestant {
  readonly name: string;
  /** Starts the programs; they write below `dir`. */
  start(streams: Streams, dir: string): Promise<readonly ChildProcess[]> | readonly ChildProcess[];
  /** Asks them to finish (killed when they take too long); what was done, where it says so. */
  stop(children: readonly ChildProcess[]): Promise<CameraChildReport | null>;
}

async function interrupt(children: readonly ChildProcess[]): Promise<null> {
  for (const child of children) child.kill('SIGINT');
  return null;
}

const ffmpeg = (...args: string[]): ChildProcess =>
  spawn('ffmpeg', ['-nostdin', '-loglevel', 'error', '-rtsp_transport', 'tcp', ...args], { stdio: 'ignore' });

const floor: Contestant = {
  name: 'floor: ffmpeg copies main, decodes sub',
  start: ({ mainUrl, subUrl }, dir) => [
    ffmpeg('-i', mainUrl, '-c', 'copy', '-f', 'mp4', join(dir, 'main.mp4')),
    ffmpeg('-i', subUrl, '-f', 'null', '-'),
  ],
  stop: interrupt,
};

const motion: Contestant = {
  name: 'Motion (Debian), passthrough',
  async start({ mainUrl, subUrl }, dir) {
    const settings = {
      daemon: 'off',
      log_level: 3,
      target_dir: dir,
      netcam_url: subUrl,
      netcam_high_url: mainUrl,
      netcam_params: 'rtsp_transport=tcp',
      netcam_high_params: 'rtsp_transport=tcp',
      width: 640,
      height: 360,
      framerate: 10,
      // Record all the time, as the others do.
      emulate_motion: 'on',
      movie_output: 'on',
      movie_passthrough: 'on',
      picture_output: 'off',
      webcontrol_port: 0,
      stream_port: 0,
    };
    const file = join(dir, 'motion.conf');
    await writeFile(
      file,
      Object.entries(settings)
        .map((pair) => `${pair.join(' ')}\n`)
        .join(''),
    );
    return [spawn('motion', ['-n', '-c', file], { stdio: 'ignore' })];
  },
  stop: interrupt,
};

const ours = (name: string, privacyMasks: readonly Polygon[] = []): Contestant => ({
  name,
  start: (streams, dir) => [startHost(streams, dir, privacyMasks)],
  stop: ([host]) => stopHost(host!),
});

interface Sample {
  readonly cpuPercent: number;
  readonly pssBytes: number;
  readonly writtenBytes: number;
  readonly analysedPictures: number;
  /** Of the threads by name, ms of CPU a second. */
  readonly threads: ReadonlyMap<string, number>;
  readonly report: CameraChildReport | null;
}

/** Cameras run for months: what compiling hot code costs in the first minute is not what they cost. */
const WARM_UP_MS = 60_000;
const STOP_TIMEOUT_MS = 10_000;

/** Contestants take turns, `rounds` times, against one server; medians of the rounds are printed. */
export async function benchCapture({ rounds, secondsPerRound }: CaptureBenchOptions): Promise<string> {
  const missing = missingPackages(NEEDED_PACKAGES);
  if (missing.length > 0) return `left out: needs Debian packages ${missing.join(', ')}`;
  const host = ours('Spyoncino camera host');
  const contestants = [
    floor,
    ...(missingPackages(['motion']).length > 0 ? [] : [motion]),
    host,
    ours('the same, a quarter masked', [QUARTER]),
  ];
  await using streams = await startCamera();

  const samples = new Map<Contestant, Sample[]>(contestants.map((contestant) => [contestant, []]));
  for (let round = 1; round <= rounds; round++) {
    for (const contestant of contestants) {
      process.stderr.write(`round ${round}/${rounds}: ${contestant.name} … `);
      const sample = await measure(contestant, streams, secondsPerRound * 1000);
      samples.get(contestant)?.push(sample);
      process.stderr.write(`${sample.cpuPercent.toFixed(1)} %\n`);
    }
  }

  type Figure = Exclude<keyof Sample, 'threads' | 'report'>;
  const middle = (contestant: Contestant, of: Figure): number =>
    median((samples.get(contestant) ?? []).map((sample) => sample[of]));
  const hosts = samples.get(host) ?? [];
  const floorCpu = middle(floor, 'cpuPercent');
  const comparison = table([
    [
      'one camera, 1280×720@15 written, 640×360@10 watched',
      'CPU % of a core',
      '× floor',
      'PSS MB',
      'written MB',
      'pictures analysed',
    ],
    ...contestants.map((contestant) => {
      const cpu = middle(contestant, 'cpuPercent');
      return [
        contestant.name,
        cpu.toFixed(1),
        (cpu / floorCpu).toFixed(2),
        (middle(contestant, 'pssBytes') / 1e6).toFixed(0),
        (middle(contestant, 'writtenBytes') / 1e6).toFixed(1),
        // A connection that failed costs nothing: without this column it would look like a good result.
        middle(contestant, 'analysedPictures').toFixed(0).replace('NaN', '–'),
      ];
    }),
  ]);
  return [comparison, threadTable(hosts), startTable(hosts)].join('\n\n');
}

function threadTable(hosts: readonly Sample[]): string {
  const names = [...new Set(hosts.flatMap(({ threads }) => [...threads.keys()]))];
  return table([
    ['our camera host, by threads', 'ms of CPU a second'],
    ...names
      .map((name) => [name, median(hosts.map(({ threads }) => threads.get(name) ?? 0))] as const)
      .filter(([, ms]) => ms >= 0.05)
      .sort(([, a], [, b]) => b - a)
      .map(([name, ms]) => [name, ms.toFixed(1)]),
  ]);
}

/** From the birth of the process; how long the server takes to connect and to send a key frame stands apart. */
function startTable(hosts: readonly Sample[]): string {
  const starts = hosts.flatMap(({ report }) => (report ? [report.start] : []));
  const row = (name: string, of: (start: StartTimes) => number): string[] => [
    name,
    median(starts.map(of)).toFixed(0),
  ];
  return table([
    ['our camera host, from spawn to its first picture', 'ms'],
    row('code loaded', ({ connectingMs }) => connectingMs),
    row('server: connected, first key frame', ({ connectingMs, connectedMs }) => connectedMs - connectingMs),
    row('first picture analysed', ({ connectedMs, firstPictureMs }) => firstPictureMs - connectedMs),
    row('in all', ({ firstPictureMs }) => firstPictureMs),
    row(
      'in all, without the server',
      ({ connectingMs, connectedMs, firstPictureMs }) => firstPictureMs - (connectedMs - connectingMs),
    ),
  ]);
}

async function measure(contestant: Contestant, streams: Streams, durationMs: number): Promise<Sample> {
  const dir = await mkdtemp(join(tmpdir(), 'spyoncino-bench-'));
  const children = await contestant.start(streams, dir);
  const pids = children.map((child) => child.pid ?? 0);
  const ended = Promise.all(children.map((child) => once(child, 'exit')));
  try {
    await delay(WARM_UP_MS);
    const [cpuBefore, threadsBefore, before] = [cpuMsOf(pids), threadCpuMsOf(pids), performance.now()];
    await delay(durationMs);
    const passedMs = performance.now() - before;
    const cpuPercent = (100 * (cpuMsOf(pids) - cpuBefore)) / passedMs;
    const threads = new Map(
      [...threadCpuMsOf(pids)].map(([name, ms]) => [
        name,
        (1000 * (ms - (threadsBefore.get(name) ?? 0))) / passedMs,
      ]),
    );
    const pssBytes = pssBytesOf(pids);
    const dead = children.find((child) => child.exitCode !== null);
    if (dead) throw new Error(`${contestant.name} ended early with code ${dead.exitCode}`);
    const timeout = delay(STOP_TIMEOUT_MS, null, { ref: false });
    const report = await Promise.race([contestant.stop(children), timeout]);
    await Promise.race([ended, timeout]);
    return {
      cpuPercent,
      pssBytes,
      writtenBytes: await footageBytes(dir),
      analysedPictures: report?.analysedPictures ?? Number.NaN,
      threads,
      report,
    };
  } finally {
    for (const child of children) child.kill('SIGKILL');
    await ended;
    await rm(dir, { recursive: true });
  }
}

async function footageBytes(dir: string): Promise<number> {
  const files = globSync('**/*.{mp4,mkv}', { cwd: dir });
  const sizes = await Promise.all(files.map(async (file) => (await stat(join(dir, file))).size));
  return sizes.reduce((sum, size) => sum + size, 0);
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
