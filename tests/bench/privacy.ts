/** What a privacy mask costs: CPU time per recorded picture, copied as the camera sent it and masked. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Frame } from 'node-av/lib';
import { AV_PIX_FMT_YUV420P } from 'node-av/constants';
import { pino } from 'pino';
import { runCapture } from '../../device/capture/index.ts';
import { PrivacyMask } from '../../device/capture/privacy-mask.ts';
import type { Polygon, Size } from '../../device/contract/geometry.ts';
import { noMeter } from '../../device/contract/metrics.ts';
import { boxPolygon } from '../../device/contract/settings.ts';
import { systemClock } from '../../device/kernel/clock.ts';
import { requireFootage } from '../harness/footage.ts';
import { table } from './facts.ts';

const run = promisify(execFile);
const SIZES: readonly Size[] = [
  { width: 1280, height: 720 },
  { width: 1920, height: 1080 },
];
const SECONDS = 20;
const FPS = 15;
/** A quarter of the picture. */
export const QUARTER: Polygon = boxPolygon([0.1, 0.1, 0.6, 0.6]);

export async function benchPrivacy(): Promise<string> {
  const footage = await requireFootage();
  if (footage === '') return 'left out: needs the footage of pedestrians';
  const folder = await mkdtemp(join(tmpdir(), 'spyoncino-bench-'));
  try {
    const rows: string[][] = [];
    for (const size of SIZES) {
      const path = join(folder, `${size.height}.mp4`);
      await encode(footage, path, size);
      const copied = await record(path, []);
      const masked = await record(path, [QUARTER]);
      rows.push([
        `${size.width}×${size.height}, a quarter masked`,
        copied.cpuMs.toFixed(2),
        masked.cpuMs.toFixed(2),
        blackeningMs(size).toFixed(2),
        copied.kbits.toFixed(0),
        masked.kbits.toFixed(0),
      ]);
    }
    const heads = ['copied', 'masked', 'of it copying and blackening', 'kbit/s copied', 'kbit/s masked'];
    return table([['CPU ms a picture', ...heads], ...rows]);
  } finally {
    await rm(folder, { recursive: true });
  }
}

async function encode(footage: string, path: string, { width, height }: Size): Promise<void> {
  await run('ffmpeg', [
    ...['-v', 'error', '-nostdin', '-i', footage, '-t', String(SECONDS), '-an'],
    ...[
      '-vf',
      `scale=${width}:${height},fps=${FPS}`,
      '-c:v',
      'libx264',
      '-preset',
      'veryfast',
      '-g',
      String(FPS),
    ],
    ...['-b:v', `${Math.round((width * height) / 460)}k`, '-bf', '0', '-pix_fmt', 'yuv420p', path],
  ]);
}

/** As fast as the machine allows. */
async function record(
  path: string,
  privacyMasks: readonly Polygon[],
): Promise<{ cpuMs: number; kbits: number }> {
  let pictures = 0;
  let bytes = 0;
  const before = process.cpuUsage();
  await runCapture(
    {
      cameraId: 'bench',
      source: { kind: 'file', path, loop: false, paced: false },
      analysisFps: 0,
      packets: true,
      privacyMasks,
      sink: {
        stream: () => {},
        packet(_, packet) {
          pictures += 1;
          bytes += packet.data.byteLength;
        },
        frame: (frame) => frame.release(),
        state: () => {},
      },
      meter: noMeter,
      clock: systemClock,
      log: pino({ level: 'silent' }),
    },
    new AbortController().signal,
  );
  const { user, system } = process.cpuUsage(before);
  return { cpuMs: (user + system) / 1000 / pictures, kbits: (8 * bytes) / 1000 / (pictures / FPS) };
}

/** The mask alone, on a picture that somebody else holds as well, as a decoder does. */
function blackeningMs({ width, height }: Size): number {
  using held = new Frame();
  held.alloc();
  Object.assign(held, { width, height, format: AV_PIX_FMT_YUV420P });
  held.getBuffer();
  const mask = new PrivacyMask([QUARTER]);
  const rounds = 200;
  let before = process.cpuUsage();
  for (let n = -20; n < rounds; n++) {
    if (n === 0) before = process.cpuUsage();
    using picture = held.clone()!;
    mask.apply(picture);
  }
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000 / rounds;
}
