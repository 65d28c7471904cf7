/**
 * What one camera costs: 1280×720 at 15 pictures a second, recorded for the whole run, and a 640×360 sub-stream at
 * 10, watched for motion. The floor is what FFmpeg itself needs for it without looking at any picture.
 */
import { fork, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { globSync } from 'node:fs';
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { CAMERA_HOST_FLAGS } from '../../device/camera-desk.ts';
import type { Polygon } from '../../device/contract/geometry.ts';
import { requireFootage } from '../harness/footage.ts';
import { missingPackages } from '../harness/packages.ts';
import { startRtspServer } from '../harness/rtsp-server.ts';
import type { CameraChildReport, CameraChildStart } from './camera-child.ts';
import { table } from './facts.ts';
import { QUARTER } from './privacy.ts';
import { cpuMsOf, pssBytesOf } from './process.ts';

export interface CaptureBenchOptions {
  readonly rounds: number;
  readonly secondsPerRound: number;
}

interface Streams {
  readonly mainUrl: string;
  readonly subUrl: string;
}

interface Contestant {
  readonly name: string;
  /** Starts the programs; they write below `dir`. */
  start(streams: Streams, dir: string): Promise<readonly ChildProcess[]> | readonly ChildProcess[];
  /** Asks them to finish (killed when they take too long); how many pictures were analysed, where it says so. */
  stop(children: readonly ChildProcess[]): Promise<number | null>;
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
  start(streams, dir) {
    const child = fork(new URL('camera-child.ts', import.meta.url), {
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      execArgv: [...CAMERA_HOST_FLAGS],
    });
    child.send({ ...streams, dataDir: dir, privacyMasks } satisfies CameraChildStart);
    return [child];
  },
  async stop([child]) {
    child?.send('stop');
    const [report] = child ? await once(child, 'message') : [];
    return (report as CameraChildReport).analysedPictures;
  },
});

interface Sample {
  readonly cpuPercent: number;
  readonly pssBytes: number;
  readonly writtenBytes: number;
  readonly analysedPictures: number;
}

const WARM_UP_MS = 8_000;
const STOP_TIMEOUT_MS = 10_000;

/** Contestants take turns, `rounds` times, against one server; medians of the rounds are printed. */
export async function benchCapture({ rounds, secondsPerRound }: CaptureBenchOptions): Promise<string> {
  const missing = missingPackages(['ffmpeg', 'gir1.2-gst-rtsp-server-1.0']);
  if (missing.length > 0) return `left out: needs Debian packages ${missing.join(', ')}`;
  const contestants = [
    floor,
    ...(missingPackages(['motion']).length > 0 ? [] : [motion]),
    ours('Spyoncino camera host'),
    ours('the same, a quarter masked', [QUARTER]),
  ];
  const file = await requireFootage();
  const look = { codec: 'h264' as const, ...(file && { file }) };
  await using server = await startRtspServer({
    streams: [
      { path: '/main', width: 1280, height: 720, fps: 15, bitrateKbit: 2000, ...look },
      { path: '/sub', width: 640, height: 360, fps: 10, bitrateKbit: 400, ...look },
    ],
  });
  const streams = { mainUrl: server.url('/main'), subUrl: server.url('/sub') };

  const samples = new Map<Contestant, Sample[]>(contestants.map((contestant) => [contestant, []]));
  for (let round = 1; round <= rounds; round++) {
    for (const contestant of contestants) {
      process.stderr.write(`round ${round}/${rounds}: ${contestant.name} … `);
      const sample = await measure(contestant, streams, secondsPerRound * 1000);
      samples.get(contestant)?.push(sample);
      process.stderr.write(`${sample.cpuPercent.toFixed(1)} %\n`);
    }
  }

  const middle = (contestant: Contestant, of: keyof Sample): number =>
    median((samples.get(contestant) ?? []).map((sample) => sample[of]));
  const floorCpu = middle(floor, 'cpuPercent');
  return table([
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
}

async function measure(contestant: Contestant, streams: Streams, durationMs: number): Promise<Sample> {
  const dir = await mkdtemp(join(tmpdir(), 'spyoncino-bench-'));
  const children = await contestant.start(streams, dir);
  const pids = children.map((child) => child.pid ?? 0);
  const ended = Promise.all(children.map((child) => once(child, 'exit')));
  try {
    await delay(WARM_UP_MS);
    const [cpuBefore, before] = [cpuMsOf(pids), performance.now()];
    await delay(durationMs);
    const cpuPercent = (100 * (cpuMsOf(pids) - cpuBefore)) / (performance.now() - before);
    const pssBytes = pssBytesOf(pids);
    const dead = children.find((child) => child.exitCode !== null);
    if (dead) throw new Error(`${contestant.name} ended early with code ${dead.exitCode}`);
    const timeout = delay(STOP_TIMEOUT_MS, null, { ref: false });
    const analysed = await Promise.race([contestant.stop(children), timeout]);
    await Promise.race([ended, timeout]);
    return {
      cpuPercent,
      pssBytes,
      writtenBytes: await footageBytes(dir),
      analysedPictures: analysed ?? Number.NaN,
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
