/**
 * What sustained recording asks of a disk: 16 streams of 2 Mbit/s, ours in segments that are durable every second,
 * FFmpeg's (`-c copy -f segment`) as the kernel sees fit. Where the directory has a disk of its own (`--dir`), the
 * column `to the device` counts all that reached it, file system included; otherwise others' writes are in it.
 */
import { execFile, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { mountMedia } from '../harness/media.ts';
import { missingPackages } from '../harness/packages.ts';
import { table } from './facts.ts';
import { cpuMsOf, writtenBytes } from './process.ts';
import type { RecordingChildReport, RecordingChildStart } from './recording-child.ts';

export interface RecordBenchOptions {
  readonly seconds: number;
  readonly dir: string | undefined;
}

const STREAMS = 16;
const SEGMENT_SECONDS = 60;
const LOOP_SECONDS = 10;

interface Measured {
  readonly cpuMs: number;
  readonly videoBytes: number;
  /** Handed to the kernel, and as whole pages that became dirty. */
  readonly writtenBytes: number;
  readonly dirtiedBytes: number;
  readonly device: DeviceCounts | null;
  readonly child: RecordingChildReport | null;
}

export async function benchRecord({ seconds, dir = tmpdir() }: RecordBenchOptions): Promise<string> {
  const missing = missingPackages(['ffmpeg']);
  if (missing.length > 0) return `record is left out: install ${missing.join(' ')}`;
  const folder = await mkdtemp(join(dir, 'spyoncino-bench-'));
  try {
    const source = join(folder, 'source.mp4');
    await promisify(execFile)('ffmpeg', encodeArguments(source));
    const ours = await measure(folder, () => record(source, join(folder, 'ours'), seconds));
    const peer = await measure(folder, () => copy(source, join(folder, 'peer'), seconds, ours.videoBytes));
    return report(seconds, [
      [`ours: ${STREAMS} recorders in one process`, ours],
      [`ffmpeg -c copy -f segment, ${STREAMS} outputs of one process`, peer],
    ]);
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** Two megabits in every second: what the encoder does not need is filled up. */
const encodeArguments = (path: string): string[] => [
  ...['-v', 'error', '-f', 'lavfi', '-i', 'testsrc2=size=1280x720:rate=15', '-t', String(LOOP_SECONDS)],
  ...['-pix_fmt', 'yuv420p', '-c:v', 'libx264', '-preset', 'ultrafast', '-g', '30', '-bf', '0'],
  ...['-b:v', '2M', '-minrate', '2M', '-maxrate', '2M', '-bufsize', '2M', '-x264-params', 'nal-hrd=cbr'],
  ...['-movflags', 'frag_keyframe+empty_moov+default_base_moof', '-f', 'mp4', path],
];

/** What was recorded; of CPU time, what our own process tells where that is less than all of it. */
interface Run {
  readonly videoBytes: number;
  readonly child: RecordingChildReport | null;
}

/** Numbers of children come to their parent when they end: what it has more afterwards was theirs. */
async function measure(folder: string, run: () => Promise<Run>): Promise<Measured> {
  const counts = async () => ({
    ...writtenBytes(),
    cpuMs: cpuMsOf([process.pid]),
    device: await deviceCounts(folder),
  });
  const before = await counts();
  const ran = await run();
  await promisify(execFile)('sync', ['-f', folder]);
  const after = await counts();
  return {
    ...ran,
    cpuMs: ran.child?.cpuMs ?? after.cpuMs - before.cpuMs,
    writtenBytes: ran.child?.bytes ?? after.writtenBytes - before.writtenBytes,
    dirtiedBytes: after.dirtiedBytes - before.dirtiedBytes,
    device: before.device &&
      after.device && {
        bytes: after.device.bytes - before.device.bytes,
        flushes: after.device.flushes - before.device.flushes,
      },
  };
}

async function record(source: string, dataDir: string, seconds: number): Promise<Run> {
  await mountMedia(dataDir);
  const child = fork(new URL('recording-child.ts', import.meta.url));
  try {
    const start: RecordingChildStart = {
      source,
      dataDir,
      streams: STREAMS,
      seconds,
      segmentMs: SEGMENT_SECONDS * 1000,
    };
    child.send(start);
    const [report] = (await once(child, 'message')) as [RecordingChildReport];
    await once(child, 'exit');
    return { videoBytes: report.videoBytes, child: report };
  } finally {
    child.kill();
  }
}

async function copy(source: string, dir: string, seconds: number, videoBytes: number): Promise<Run> {
  await mkdir(dir);
  const outputs = Array.from({ length: STREAMS }, (_, i) => [
    ...['-map', '0:v', '-c', 'copy', '-t', String(seconds), '-f', 'segment'],
    ...['-segment_time', String(SEGMENT_SECONDS), '-reset_timestamps', '1', join(dir, `${i}-%d.mp4`)],
  ]);
  const input = ['-v', 'error', '-nostdin', '-re', '-stream_loop', '-1', '-i', source];
  const child = spawn('ffmpeg', [...input, ...outputs.flat()], { stdio: ['ignore', 'ignore', 'inherit'] });
  await once(child, 'exit');
  return { videoBytes, child: null };
}

interface DeviceCounts {
  readonly bytes: number;
  readonly flushes: number;
}

/** Of the block device below `dir`; null where there is none. Documentation/block/stat.rst of the kernel. */
async function deviceCounts(dir: string): Promise<DeviceCounts | null> {
  const { dev } = await stat(dir);
  const [major, minor] = [(dev >> 8) & 0xfff, (dev & 0xff) | ((dev >> 12) & 0xfff00)];
  try {
    const fields = readFileSync(`/sys/dev/block/${major}:${minor}/stat`, 'utf8').trim().split(/\s+/);
    return { bytes: Number(fields[6]) * 512, flushes: Number(fields[15] ?? 0) };
  } catch {
    return null;
  }
}

function report(seconds: number, rows: readonly (readonly [string, Measured])[]): string {
  const per = (value: number | null, of: number, digits: number): string =>
    value === null ? '–' : (value / of).toFixed(digits);
  return table([
    [
      `${STREAMS} × 2 Mbit/s for ${seconds} s`,
      'bytes per byte of video',
      'dirtied',
      'to the device',
      'flushes/s',
      'writes/s',
      'fdatasync/s',
      'per file',
      'ms each',
      'CPU, % of a core',
    ],
    ...rows.map(([name, { child, device, ...row }]) => [
      name,
      per(row.writtenBytes, row.videoBytes, 4),
      per(row.dirtiedBytes, row.videoBytes, 4),
      per(device?.bytes ?? null, row.videoBytes, 3),
      per(device?.flushes ?? null, seconds, 1),
      per(child?.writes ?? null, seconds, 1),
      child ? per(child.syncs, seconds, 1) : '0',
      child ? per(child.syncs, seconds * STREAMS, 2) : '0',
      child ? per(child.syncMs, child.syncs, 1) : '–',
      per(row.cpuMs, seconds * 10, 1),
    ]),
  ]);
}
