import { readdir, readFile, readlink } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { Device, Dictionary, FormatContext, InputFormat } from 'node-av/lib';
import { avGetPixFmtName } from 'node-av/lib';
import { listenToFfmpeg } from './ffmpeg-log.ts';
import type { V4l2Mode } from './v4l2-mode.ts';

export type { V4l2Mode } from './v4l2-mode.ts';

/** A camera that is attached now. */
export interface V4l2Device {
  /** Stays the same when it is plugged in elsewhere or later: the by-id path where there is one. */
  readonly path: string;
  /** `/dev/videoN` */
  readonly node: string;
  /** As the driver calls it. */
  readonly name: string;
  readonly modes: readonly V4l2Mode[];
}

const SYSFS = '/sys/class/video4linux';
const BY_ID = '/dev/v4l/by-id';

/** Capture devices in order of their numbers. Nodes that give no pictures (metadata, output) are left out. */
export async function listDevices(): Promise<V4l2Device[]> {
  const names = (await readdir(SYSFS).catch(() => [])).filter((name) => /^video\d+$/.test(name));
  names.sort((a, b) => Number(a.slice(5)) - Number(b.slice(5)));
  const paths = await stablePaths();
  const devices: V4l2Device[] = [];
  for (const name of names) {
    const node = `/dev/${name}`;
    const modes = await readModes(node);
    if (modes.length === 0) continue;
    const label = await readFile(join(SYSFS, name, 'name'), 'utf8').catch(() => name);
    devices.push({ path: paths.get(name) ?? node, node, name: label.trim(), modes });
  }
  return devices;
}

/** `video0` → `/dev/v4l/by-id/…` */
async function stablePaths(): Promise<Map<string, string>> {
  const paths = new Map<string, string>();
  for (const link of await readdir(BY_ID).catch(() => [])) {
    const target = await readlink(join(BY_ID, link)).catch(() => null);
    if (target !== null) paths.set(basename(target), join(BY_ID, link));
  }
  return paths;
}

/** Empty when it is no capture device, or cannot be opened: opening it for real tells why. */
export async function readModes(node: string): Promise<V4l2Mode[]> {
  const formats = parseFormats(await listFormats(node));
  if (formats.length === 0) return [];
  const rates = await Device.modes(node).catch(() => []);
  return formats.flatMap(({ format, compressed, sizes }) =>
    sizes.map(({ width, height }): V4l2Mode => {
      // node-av does not tell compressed formats apart: they come without a pixel format.
      const rate = rates.find(
        (mode) =>
          mode.width === width &&
          mode.height === height &&
          (compressed ? mode.pixelFormat < 0 : avGetPixFmtName(mode.pixelFormat) === format),
      );
      return { format, width, height, fps: rate ? [...new Set([rate.minFrameRate, rate.maxFrameRate])] : [] };
    }),
  );
}

/** libavdevice tells the formats of a device only by its log (`-list_formats all`). */
async function listFormats(node: string): Promise<string> {
  let text = '';
  using _listener = listenToFfmpeg((_level, message) => {
    text += message;
  });
  const context = new FormatContext();
  using options = Dictionary.fromObject({ list_formats: 'all' });
  await context.openInput(node, InputFormat.findInputFormat('v4l2'), options);
  // Messages arrive by way of the event loop.
  await new Promise((resolve) => setImmediate(resolve));
  return text;
}

interface Format {
  readonly format: string;
  readonly compressed: boolean;
  readonly sizes: readonly { width: number; height: number }[];
}

/** Sizes offered of a device that scales freely. */
const COMMON_SIZES = [
  { width: 640, height: 360 },
  { width: 640, height: 480 },
  { width: 1280, height: 720 },
  { width: 1920, height: 1080 },
];

/**
 * Reads e.g. `Compressed: mjpeg : Motion-JPEG : 1280x720 640x480` or `Raw : yuyv422 : YUYV 4:2:2 :
 * {32-2592, 2}x{32-1944, 2}`. FFmpeg prints it in pieces whose line ends are lost on the way.
 */
export function parseFormats(log: string): Format[] {
  return log
    .split(/(?=Compressed\s*:|Raw\s*:)/)
    .map((entry) => /^(Compressed|Raw)\s*:\s*(\S+)\s*:(.*)$/s.exec(entry))
    .filter((match) => match !== null)
    .map(([, kind, format, rest]) => ({
      format: format!,
      compressed: kind === 'Compressed',
      sizes: parseSizes(rest!),
    }))
    .filter(({ format, sizes }) => format !== 'Unsupported' && sizes.length > 0);
}

function parseSizes(text: string): { width: number; height: number }[] {
  const range = /\{(\d+)-(\d+), \d+\}x\{(\d+)-(\d+), \d+\}/.exec(text);
  if (range) {
    const [minWidth, maxWidth, minHeight, maxHeight] = range.slice(1).map(Number) as [
      number,
      number,
      number,
      number,
    ];
    return COMMON_SIZES.filter(
      ({ width, height }) =>
        width >= minWidth && width <= maxWidth && height >= minHeight && height <= maxHeight,
    );
  }
  return [...text.matchAll(/\b(\d{2,5})x(\d{2,5})\b/g)].map(([, width, height]) => ({
    width: Number(width),
    height: Number(height),
  }));
}
