/**
 * Privacy masks through a camera's whole chain. A red box moves on a blue wall, inside the masked area only: no red
 * may leave a masked camera, in whatever form.
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runCamera } from '../../device/camera.ts';
import { decodeAt, runCapture } from '../../device/capture/index.ts';
import { nalType, splitAnnexB } from '../../device/capture/nal.ts';
import type { Crop, DetectPort } from '../../device/contract/detect.ts';
import type { CameraFact, Fact } from '../../device/contract/facts.ts';
import { pointInPolygon, type Polygon } from '../../device/contract/geometry.ts';
import type { MediaPacket, StreamInfo } from '../../device/contract/media.ts';
import { noMeter } from '../../device/contract/metrics.ts';
import type { CameraSettings, SourceSettings } from '../../device/contract/settings.ts';
import { systemClock } from '../../device/kernel/clock.ts';
import { writeIdentity } from '../../device/kernel/directory-identity.ts';
import { loadSettings } from '../../device/settings/index.ts';
import { requirePackages } from '../harness/packages.ts';
import { startRtspServer, type RtspServer } from '../harness/rtsp-server.ts';

requirePackages(['ffmpeg']);

const exec = promisify(execFile);
const MEDIA_ID = 'disk-of-this-test';
const SIZE = { width: 640, height: 480 };
/** Left of a slanted line. */
const MASK: Polygon = [
  [0, 0],
  [0.55, 0],
  [0.6, 1],
  [0, 1],
];
const SCENE =
  `color=0x2050c0:size=640x480:rate=10:duration=6,drawbox=x=420:y=200:w=120:h=120:color=0x30a030:t=fill[wall];` +
  `color=0xff4040:size=110x110:rate=10:duration=6[box];[wall][box]overlay=x='15+40*t':y='180+100*sin(2*t)'`;

let folder: string;
let server: RtspServer;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'spyoncino-privacy-'));
  await mkdir(join(folder, 'media'));
  await writeIdentity(join(folder, 'media'), { id: MEDIA_ID, createdUtcMs: 0 });
  const file = join(folder, 'scene.mkv');
  await ffmpeg('-f', 'lavfi', '-i', SCENE, '-c:v', 'ffv1', file);
  const stream = { codec: 'h264', fps: 10, file } as const;
  server = await startRtspServer({
    streams: [
      { ...stream, ...SIZE, path: '/main', bitrateKbit: 1000, audio: true },
      { ...stream, path: '/sub', width: 320, height: 240, bitrateKbit: 300 },
      { ...stream, ...SIZE, path: '/hevc', codec: 'h265', bitrateKbit: 800 },
    ],
  });
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});

const ffmpeg = (...args: string[]) =>
  exec('ffmpeg', ['-v', 'error', '-nostdin', '-y', ...args], {
    encoding: 'buffer',
    maxBuffer: 2 ** 30,
  });

function countRed(rgb: Uint8Array): number {
  let count = 0;
  for (let at = 0; at < rgb.length; at += 3) {
    const red = rgb[at]!;
    if (red > 90 && rgb[at + 1]! < 0.6 * red && rgb[at + 2]! < 0.6 * red) count += 1;
  }
  return count;
}

/** 1: masked; 2: open; 0: so near to the border that coding blurs it. */
const regions = Uint8Array.from({ length: SIZE.width * SIZE.height }, (_, index) => {
  const [x, y] = [index % SIZE.width, Math.floor(index / SIZE.width)];
  const masked = (shift: number): boolean =>
    pointInPolygon([(x + 0.5 + shift) / SIZE.width, (y + 0.5) / SIZE.height], MASK);
  return masked(12) ? 1 : masked(-12) ? 0 : 2;
});

/** The brightest value of a masked pixel, and how blue the open part is on average. */
function examine(rgb: Uint8Array): { brightestMasked: number; openBlue: number } {
  let brightestMasked = 0;
  let blue = 0;
  let open = 0;
  for (const [index, region] of regions.entries()) {
    const at = 3 * index;
    if (region === 1) brightestMasked = Math.max(brightestMasked, rgb[at]!, rgb[at + 1]!, rgb[at + 2]!);
    else if (region === 2) {
      blue += rgb[at + 2]!;
      open += 1;
    }
  }
  return { brightestMasked, openBlue: blue / open };
}

async function picturesOf(path: string): Promise<Uint8Array[]> {
  const { stdout } = await ffmpeg('-i', path, '-an', '-f', 'rawvideo', '-pix_fmt', 'rgb24', '-');
  const bytes = SIZE.width * SIZE.height * 3;
  expect(stdout.length % bytes).toBe(0);
  return Array.from({ length: stdout.length / bytes }, (_, n) => stdout.subarray(n * bytes, (n + 1) * bytes));
}

/** The coded slices in a file or stream, which copying leaves as they are. */
async function slicesOf(...input: string[]): Promise<Set<string>> {
  const { stdout } = await ffmpeg(
    ...input,
    '-c:v',
    'copy',
    '-an',
    '-bsf:v',
    'h264_mp4toannexb',
    '-f',
    'h264',
    '-',
  );
  const slices = splitAnnexB(stdout)
    .map(({ start, end }) => stdout.subarray(start, end))
    .filter((nal) => [1, 5].includes(nalType('h264', nal[0]!)));
  // An encoder's "nothing changed" is the same few bytes for everybody.
  return new Set(slices.filter(({ length }) => length > 64).map((nal) => nal.toString('base64')));
}

async function soundOf(path: string): Promise<Set<string>> {
  const { stdout } = await ffmpeg('-i', path, '-vn', '-c:a', 'copy', '-f', 'framemd5', '-');
  const lines = stdout
    .toString()
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'));
  return new Set(lines.map((line) => line.split(',').at(-1)!.trim()));
}

async function settingsOf(masks: readonly Polygon[]): Promise<CameraSettings> {
  const { settings } = await loadSettings({
    configDir: folder,
    required: false,
    dataDir: folder,
    env: {},
    fallbackCameras: [
      {
        camera_id: masks.length > 0 ? 'masked' : 'open',
        rtsp_url: server.url('/main'),
        // Reading holds a thread of the few that one process has; hosts of cameras are processes of their own.
        rtsp_sub_url: masks.length > 0 ? server.url('/sub') : null,
        privacy_masks: masks.map((mask) => mask.map(([x, y]): [number, number] => [x, y])),
        recording: { pre_seconds: 2 },
      },
    ],
  });
  return settings.cameras[0]!;
}

interface Outcome {
  readonly facts: readonly Fact[];
  readonly crops: readonly Crop[];
  readonly clip: string;
  readonly still: string;
}

/** The chain of a camera, whose detector sees a person in the middle of whatever it is given. */
async function watch(masks: readonly Polygon[]): Promise<Outcome> {
  const settings = await settingsOf(masks);
  const crops: Crop[] = [];
  const facts: Fact[] = [];
  const stop = new AbortController();
  const detector: DetectPort = {
    info: { modelId: 'double', backend: 'onnx', inputWidth: 320, inputHeight: 240, labels: ['person'] },
    async detect(given) {
      crops.push(...given);
      // Ever surer, so that there is a best moment of which a still is made.
      const person = {
        label: 'person',
        score: Math.min(0.99, 0.9 + crops.length / 1000),
        box: [0.4, 0.3, 0.6, 0.8],
      } as const;
      return { detections: given.map(() => [person]), inferenceMs: 1, queueMs: 0 };
    },
  };
  let pictures = 0;
  await runCamera(
    {
      settings,
      dataDir: folder,
      mediaId: MEDIA_ID,
      run: settings.cameraId,
      detector,
      emit(fact) {
        facts.push(fact);
      },
      // Long enough for the box to have crossed the masked area, which takes a round of the scene.
      meter: {
        ...noMeter,
        count(name) {
          if (name === 'spyoncino_frames_total' && ++pictures >= 35 && stillOf(facts)) stop.abort();
        },
      },
      clock: systemClock,
      log: pino({ level: 'silent' }),
    },
    stop.signal,
  );
  const clip = facts.flatMap((fact) => (fact.type === 'clip.ready' ? [fact.clip.path] : []))[0];
  return { facts, crops, clip: join(folder, clip!), still: join(folder, stillOf(facts)!) };
}

const stillOf = (facts: readonly Fact[]): string | undefined =>
  facts.flatMap((fact) => (fact.type === 'event' && fact.event.stillPath ? [fact.event.stillPath] : []))[0];

describe('two cameras, one of them masked', () => {
  let masked: Outcome;
  let open: Outcome;
  beforeAll(async () => {
    [masked, open] = await Promise.all([watch([MASK]), watch([])]);
  });

  test('the masked clip is black where it must be, in every picture, and as it was elsewhere', async () => {
    const pictures = await picturesOf(masked.clip);
    expect(pictures.length).toBeGreaterThan(20);
    for (const picture of pictures) {
      const { brightestMasked, openBlue } = examine(picture);
      expect(brightestMasked).toBeLessThanOrEqual(12);
      expect(countRed(picture)).toBe(0);
      expect(openBlue).toBeGreaterThan(120);
    }
  });

  test('nothing the camera coded is in the masked clip, everything in the open one', async () => {
    const sent = await slicesOf('-rtsp_transport', 'tcp', '-i', server.url('/main'), '-t', '8');
    const [inMasked, inOpen] = [await slicesOf('-i', masked.clip), await slicesOf('-i', open.clip)];
    expect(inOpen.size).toBeGreaterThan(20);
    expect(inMasked.size).toBeGreaterThan(0);
    expect([...inOpen].filter((slice) => !sent.has(slice))).toEqual([]);
    expect([...inMasked].filter((slice) => sent.has(slice))).toEqual([]);
    expect((await picturesOf(open.clip)).some((picture) => countRed(picture) > 1000)).toBe(true);
  });

  test('sound is copied either way', async () => {
    const [inMasked, inOpen] = [await soundOf(masked.clip), await soundOf(open.clip)];
    expect([...inMasked].filter((packet) => inOpen.has(packet)).length).toBeGreaterThan(20);
  });

  test('the masked still is black there too', async () => {
    const [still] = await picturesOf(masked.still);
    const { brightestMasked, openBlue } = examine(still!);
    expect(brightestMasked).toBeLessThanOrEqual(12);
    expect(countRed(still!)).toBe(0);
    expect(openBlue).toBeGreaterThan(120);
  });

  test('the detector is shown no red by the masked camera, and red by the open one', () => {
    expect(masked.crops.length).toBeGreaterThan(5);
    for (const crop of masked.crops) expect(countRed(crop.rgb)).toBe(0);
    expect(open.crops.some((crop) => countRed(crop.rgb) > 100)).toBe(true);
  });

  test('the status names the encoder of the masked camera; the open one needs none', () => {
    const encoderOf = ({ facts }: Outcome) =>
      facts.flatMap((fact) =>
        fact.type === 'camera' && fact.role === 'main' && fact.stream ? [fact.stream.encoder] : [],
      )[0];
    expect(encoderOf(masked)).toMatch(/h264|x264/);
    expect(encoderOf(open)).toBeNull();
  });

  test('what moves behind the mask is no motion', () => {
    const motions = ({ facts }: Outcome) => facts.filter(({ type }) => type === 'motion').length;
    expect(motions(masked)).toBe(0);
    expect(motions(open)).toBeGreaterThan(0);
  });
});

interface Taken {
  readonly streams: StreamInfo[];
  readonly packets: MediaPacket[];
}

async function record(
  source: SourceSettings,
  enough: (taken: Taken) => boolean,
  look: (rgb: Uint8Array) => void = expectBlack,
  privacyMasks: readonly Polygon[] = [MASK],
): Promise<Taken> {
  const taken: Taken = { streams: [], packets: [] };
  const stop = new AbortController();
  await runCapture(
    {
      cameraId: 'camera',
      source,
      analysisFps: 5,
      packets: true,
      privacyMasks,
      sink: {
        stream: (info) => taken.streams.push(info),
        packet(_, packet) {
          if (packet.track === 'video') taken.packets.push(packet);
          if (enough(taken)) stop.abort();
        },
        frame(frame) {
          const rgb = frame.crop({ x: 0, y: 0, ...SIZE }, SIZE.width, SIZE.height);
          frame.release();
          look(rgb);
        },
        state: () => {},
      },
      meter: noMeter,
      clock: systemClock,
      log: pino({ level: 'silent' }),
    },
    stop.signal,
  );
  return taken;
}

const expectBlack = (rgb: Uint8Array): void => expect(examine(rgb).brightestMasked).toBeLessThanOrEqual(1);

/** Every picture, as it would become a still. */
async function expectMasked({ streams, packets }: Taken): Promise<void> {
  for (const { utcMs } of packets.filter((_, index) => index % 4 === 0)) {
    const still = await decodeAt(streams[0]!.video, packets, utcMs);
    const rgb = still!.crop({ x: 0, y: 0, ...SIZE }, SIZE.width, SIZE.height);
    still!.release();
    const { brightestMasked, openBlue } = examine(rgb);
    expect(brightestMasked).toBeLessThanOrEqual(14);
    expect(openBlue).toBeGreaterThan(120);
  }
}

const rtspSource = (path: string): SourceSettings => ({
  kind: 'rtsp',
  mainUrl: server.url(path),
  subUrl: null,
  transport: 'tcp',
  username: null,
  password: null,
  audio: false,
});

test('a masked H.265 camera is recorded as H.264', async () => {
  const taken = await record(rtspSource('/hevc'), ({ packets }) => packets.length >= 25);
  expect(taken.streams[0]!.video).toMatchObject({ codec: 'h264', ...SIZE });
  await expectMasked(taken);
});

test('a machine that is too slow gives pictures up, says so, and stays close to the present', async () => {
  const facts: CameraFact[] = [];
  const behindMs: number[] = [];
  let lost = 0;
  const stop = new AbortController();
  await runCapture(
    {
      cameraId: 'camera',
      source: rtspSource('/main'),
      analysisFps: 0,
      packets: true,
      privacyMasks: [MASK],
      sink: {
        stream: () => {},
        packet(_, { track, utcMs }) {
          if (track !== 'video') return;
          behindMs.push(systemClock.utcMs() - utcMs);
          // As if encoding took this long: four pictures a second, of ten that come.
          for (const until = performance.now() + 250; performance.now() < until;);
          if (behindMs.length >= 30) stop.abort();
        },
        frame: (frame) => frame.release(),
        state: (fact) => facts.push(fact),
      },
      meter: {
        ...noMeter,
        count(name, labels, by = 1) {
          if (name === 'spyoncino_drops_total' && labels?.stage === 'encode') lost += by;
        },
      },
      clock: systemClock,
      log: pino({ level: 'silent' }),
    },
    stop.signal,
  );
  expect(lost).toBeGreaterThan(10);
  const strained = facts.filter(
    ({ phase, reason }) => phase === 'running' && reason?.code === 'CAMERA_TOO_FAST',
  );
  expect(strained).toHaveLength(1);
  // Bounded by what may wait, not by how long this goes on.
  expect(Math.max(...behindMs)).toBeLessThan(4000);
});

test.each([
  ['B-frames', ['-c:v', 'libx264', '-bf', '3', '-pix_fmt', 'yuv420p']],
  ['full range', ['-c:v', 'libx264', '-pix_fmt', 'yuvj420p']],
  ['H.265 with ten bits', ['-c:v', 'libx265', '-pix_fmt', 'yuv420p10le', '-x265-params', 'log-level=none']],
  ['MJPEG', ['-c:v', 'mjpeg', '-pix_fmt', 'yuvj422p', '-q:v', '3']],
] as const)('footage with %s: masked, in order, a key frame a second', async (name, encoder) => {
  const path = join(folder, `${name}.mkv`);
  await ffmpeg('-i', join(folder, 'scene.mkv'), ...encoder, path);
  const taken = await record({ kind: 'file', path, loop: false, paced: false }, () => false);
  const { packets } = taken;
  expect(packets).toHaveLength(60);
  for (const [index, { pts }] of packets.entries()) {
    expect(Math.abs(pts - index * 9000)).toBeLessThanOrEqual(90);
  }
  expect(packets.flatMap(({ key }, index) => (key ? [index] : []))).toEqual([0, 10, 20, 30, 40, 50]);
  await expectMasked(taken);
});

test('a mask changes nothing beside it, though the decoder predicts later pictures from earlier ones', async () => {
  const path = join(folder, 'moving.mkv');
  const pattern = `testsrc2=size=${SIZE.width}x${SIZE.height}:rate=10:duration=3`;
  await ffmpeg('-f', 'lavfi', '-i', pattern, '-c:v', 'libx264', '-bf', '2', '-g', '100', path);
  const openPart = async (masks: readonly Polygon[]): Promise<string[]> => {
    const pictures: string[] = [];
    const look = (rgb: Uint8Array): void => {
      const open = rgb.filter((_, at) => regions[Math.floor(at / 3)] === 2);
      pictures.push(createHash('sha256').update(open).digest('hex'));
    };
    await record({ kind: 'file', path, loop: false, paced: false }, () => false, look, masks);
    return pictures;
  };
  const [masked, open] = [await openPart([MASK]), await openPart([])];
  expect(masked).toHaveLength(15);
  expect(masked).toEqual(open);
});

test('a picture that cannot be masked stops the camera, and nothing of it comes out', async () => {
  const path = join(folder, 'grey16.mkv');
  await ffmpeg('-i', join(folder, 'scene.mkv'), '-c:v', 'ffv1', '-pix_fmt', 'gray16le', path);
  let out = 0;
  const running = runCapture(
    {
      cameraId: 'camera',
      source: { kind: 'file', path, loop: false, paced: false },
      analysisFps: 5,
      packets: true,
      privacyMasks: [MASK],
      sink: {
        stream: () => (out += 1),
        packet: () => (out += 1),
        frame: (frame) => {
          frame.release();
          out += 1;
        },
        state: () => {},
      },
      meter: noMeter,
      clock: systemClock,
      log: pino({ level: 'silent' }),
    },
    new AbortController().signal,
  );
  await expect(running).rejects.toMatchObject({ code: 'PRIVACY_MASK_IMPOSSIBLE' });
  expect(out).toBe(0);
});
