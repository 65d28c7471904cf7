/** Capture against a real RTSP server, real files, and whatever else answers on a port. */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { decodeAt, runCapture } from '../../device/capture/index.ts';
import type { CameraFact } from '../../device/contract/facts.ts';
import type { MediaPacket, PixelFrame, StreamInfo, StreamRole } from '../../device/contract/media.ts';
import { noMeter } from '../../device/contract/metrics.ts';
import type { SourceSettings } from '../../device/contract/settings.ts';
import { systemClock } from '../../device/kernel/clock.ts';
import { requireFootage } from '../harness/footage.ts';
import { startRtspServer, type RtspServer } from '../harness/rtsp-server.ts';

const footage = await requireFootage();
const PASSWORD = 's3cr&t/wörd';
let server: RtspServer;
let guarded: RtspServer;
let folder: string;

beforeAll(async () => {
  const small = { width: 320, height: 240, fps: 10, bitrateKbit: 300, seconds: 4 } as const;
  [server, guarded, folder] = await Promise.all([
    startRtspServer({
      streams: [
        { ...small, path: '/main', codec: 'h264', audio: true },
        { ...small, path: '/sub', codec: 'h264', width: 160, height: 120 },
        { ...small, path: '/hevc', codec: 'h265' },
      ],
    }),
    startRtspServer({
      streams: [{ ...small, path: '/main', codec: 'h264', auth: { user: 'joe', password: PASSWORD } }],
    }),
    mkdtemp(join(tmpdir(), 'spyoncino-capture-')),
  ]);
});
afterAll(async () => {
  await Promise.all([server[Symbol.asyncDispose](), guarded[Symbol.asyncDispose]()]);
  await rm(folder, { recursive: true });
});

const rtsp = (
  mainUrl: string,
  more: Partial<Extract<SourceSettings, { kind: 'rtsp' }>> = {},
): SourceSettings => ({
  kind: 'rtsp',
  mainUrl,
  subUrl: null,
  transport: 'tcp',
  username: null,
  password: null,
  audio: true,
  ...more,
});

interface Seen {
  readonly streams: StreamInfo[];
  readonly packets: (MediaPacket & { role: StreamRole })[];
  readonly frames: string[];
  readonly states: CameraFact[];
  log: string;
}

/** Captures until `enough`. */
async function capture(
  source: SourceSettings,
  enough: (seen: Seen) => boolean,
  options: {
    packets?: boolean;
    analysisFps?: number;
    look?: (frame: PixelFrame, role: StreamRole) => string;
  } = {},
): Promise<Seen> {
  const { packets = true, analysisFps = 5, look = (frame) => String(frame.mediaMs) } = options;
  const seen: Seen = { streams: [], packets: [], frames: [], states: [], log: '' };
  const stop = new AbortController();
  const check = (): void => {
    if (enough(seen)) stop.abort();
  };
  await runCapture(
    {
      cameraId: 'camera',
      source,
      analysisFps,
      packets,
      privacyMasks: [],
      sink: {
        stream: (info) => seen.streams.push(info),
        packet(role, packet) {
          seen.packets.push({ ...packet, role });
          check();
        },
        frame(frame, role) {
          seen.frames.push(look(frame, role));
          frame.release();
          check();
        },
        state(fact) {
          seen.states.push(fact);
          check();
        },
      },
      meter: noMeter,
      clock: systemClock,
      log: pino({ level: 'trace' }, { write: (line: string) => void (seen.log += line) }),
      random: () => 0,
    },
    stop.signal,
  );
  return seen;
}

const reasonOf = ({ states }: Seen) => states.find(({ phase }) => phase === 'down')?.reason;
const isDown = ({ states }: Seen): boolean => states.some(({ phase }) => phase === 'down');

test.each([
  ['H.264 over TCP', '/main', 'tcp', 'h264', 'aac'],
  ['H.264 over UDP', '/main', 'udp', 'h264', 'aac'],
  ['H.265 over TCP', '/hevc', 'tcp', 'hevc', undefined],
] as const)('%s arrives as MP4 samples, with its sound', async (_, path, transport, codec, audio) => {
  const seen = await capture(
    rtsp(server.url(path), { transport }),
    ({ packets, frames }) =>
      packets.filter(({ key, track }) => key && track === 'video').length >= 2 && frames.length >= 2,
  );
  const [info] = seen.streams;
  expect(info).toMatchObject({ role: 'main', generation: 1, video: { codec, width: 320, height: 240 } });
  expect(info?.audio?.codec).toBe(audio);
  const video = seen.packets.filter(({ track }) => track === 'video');
  expect(video[0]?.key).toBe(true);
  for (const [index, { pts, dts, duration, data }] of video.entries()) {
    expect(dts).toBeGreaterThan(video[index - 1]?.dts ?? -1);
    expect(pts).toBeGreaterThanOrEqual(dts);
    expect(duration).toBeGreaterThan(0);
    const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
    let at = 0;
    while (at < bytes.length) at += 4 + bytes.readUInt32BE(at);
    expect(at).toBe(bytes.length);
  }
  if (audio) expect(seen.packets.some(({ track }) => track === 'audio')).toBe(true);

  // A key frame and what follows is enough for a still.
  const begin = video.findLastIndex(({ key }, index) => key && index < video.length - 1);
  const still = await decodeAt(info!.video, video.slice(begin), video.at(-1)!.utcMs);
  expect(still).toMatchObject({ width: 320, height: 240, utcMs: video.at(-1)!.utcMs });
  const jpeg = await still!.jpeg();
  expect([...jpeg.subarray(0, 2), ...jpeg.subarray(-2)]).toEqual([0xff, 0xd8, 0xff, 0xd9]);
  still!.release();
  expect(() => still!.release()).toThrow('released already');
});

test('with a sub stream, main is recorded and sub is looked at, each demuxed once', async () => {
  const seen = await capture(
    rtsp(server.url('/main'), { subUrl: server.url('/sub') }),
    ({ frames, packets }) => frames.length >= 3 && packets.some(({ role }) => role === 'main'),
    { look: (frame) => `${frame.width}x${frame.height}` },
  );
  expect(new Set(seen.frames)).toEqual(new Set(['160x120']));
  expect(seen.streams.map(({ role }) => role).sort()).toEqual(['main', 'sub']);
});

test('while the sub stream is down, main is looked at as well, and the state says so', async () => {
  await server.remove('/sub');
  let step: 'without' | 'restored' | 'removed' = 'without';
  const frames: string[] = [];
  const next = (to: typeof step, change: Promise<void>): void => {
    step = to;
    frames.length = 0;
    void change;
  };
  const seen = await capture(
    rtsp(server.url('/main'), { subUrl: server.url('/sub') }),
    () => {
      if (step === 'without' && frames.length >= 3) next('restored', server.restore('/sub'));
      if (step === 'restored' && frames.at(-1) === 'sub 160x120') next('removed', server.remove('/sub'));
      return step === 'removed' && frames.at(-1) === 'main 320x240';
    },
    {
      look(frame, role) {
        frames.push(`${role} ${frame.width}x${frame.height}`);
        return frames.at(-1)!;
      },
    },
  );
  await server.restore('/sub');
  // From main, from sub, and from main again, never from both at once.
  const order = seen.frames.filter((frame, index) => frame !== seen.frames[index - 1]);
  expect(order).toEqual(['main 320x240', 'sub 160x120', 'main 320x240']);
  const analysed = new Map<StreamRole, boolean>();
  const said: string[] = [];
  for (const state of seen.states) {
    analysed.set(state.role, state.analysed);
    const both = [...analysed].flatMap(([role, is]) => (is ? [role] : [])).join();
    if (both !== said.at(-1)) said.push(both);
  }
  expect(said.filter((both) => both === 'main' || both === 'sub')).toEqual(['sub', 'main', 'sub', 'main']);
  expect(seen.states.find(({ role, phase }) => role === 'sub' && phase === 'down')).toMatchObject({
    analysed: false,
    reason: { code: 'CAMERA_STREAM_NOT_FOUND' },
  });
  // Main is recorded in one piece meanwhile.
  expect(seen.streams.filter(({ role }) => role === 'main')).toHaveLength(1);
});

test('while main is down, the sub stream is looked at as before', async () => {
  const seen = await capture(
    rtsp('rtsp://127.0.0.1:1/main', { subUrl: server.url('/sub') }),
    ({ frames, states }) =>
      frames.length >= 3 && states.some(({ role, phase }) => role === 'main' && phase === 'down'),
    { look: (_, role) => role },
  );
  expect(new Set(seen.frames)).toEqual(new Set(['sub']));
  expect(seen.states.every(({ role, analysed }) => analysed === (role === 'sub'))).toBe(true);
});

test('each outage has its own code', async () => {
  const garbage: Server = createServer((socket) =>
    socket.on('error', () => {}).end('220 mail.example ESMTP\r\n'),
  );
  garbage.listen(0, '127.0.0.1');
  await once(garbage, 'listening');
  const { port } = garbage.address() as AddressInfo;
  const cases: [SourceSettings, string][] = [
    [rtsp('rtsp://'), 'CAMERA_URL_INVALID'],
    [rtsp('rtsp://camera.invalid/main'), 'CAMERA_HOST_UNKNOWN'],
    [rtsp('rtsp://127.0.0.1:1/main'), 'CAMERA_REFUSED'],
    [rtsp(server.url('/nothing')), 'CAMERA_STREAM_NOT_FOUND'],
    [rtsp(guarded.url('/main')), 'CAMERA_UNAUTHORIZED'],
    [rtsp(guarded.url('/main'), { username: 'joe', password: 'wrong' }), 'CAMERA_UNAUTHORIZED'],
    [rtsp(`rtsp://127.0.0.1:${port}/main`), 'CAMERA_INPUT_INVALID'],
    [
      { kind: 'v4l2', device: '/dev/v4l/by-id/none', width: null, height: null, fps: null },
      'CAMERA_DEVICE_MISSING',
    ],
    [{ kind: 'file', path: join(folder, 'none.mp4'), loop: true, paced: true }, 'CAMERA_FILE_MISSING'],
  ];
  const codes = await Promise.all(
    cases.map(async ([source]) => reasonOf(await capture(source, isDown))?.code),
  );
  garbage.close();
  expect(codes).toEqual(cases.map(([, code]) => code));
});

test('credentials open the camera and appear nowhere', async () => {
  const seen = await capture(
    rtsp(guarded.url('/main'), { username: 'joe', password: PASSWORD }),
    ({ packets }) => packets.length >= 5,
  );
  const wrong = await capture(rtsp(guarded.url('/main'), { username: 'joe', password: 'wr0ng' }), isDown);
  const said = JSON.stringify([seen.states, wrong.states]) + seen.log + wrong.log;
  for (const secret of [PASSWORD, encodeURIComponent(PASSWORD), 'wr0ng']) expect(said).not.toContain(secret);
});

test('a camera that goes away comes back as the next generation, its clock running on', async () => {
  const dropped = server.drop.bind(server, '/main');
  let asked = false;
  const seen = await capture(rtsp(server.url('/main')), ({ packets, streams }) => {
    if (packets.length >= 5 && !asked) {
      asked = true;
      void dropped();
    }
    return (
      streams.length >= 2 &&
      packets.filter(({ generation }) => generation === streams[1]!.generation).length >= 3
    );
  });
  expect(seen.streams.map(({ generation }) => generation)).toEqual([1, 2]);
  expect(seen.states.map(({ phase }) => phase)).toEqual([
    'connecting',
    'running',
    'down',
    'connecting',
    'running',
    'stopped',
  ]);
  expect(reasonOf(seen)?.code).toBe('CAMERA_ENDED');
  const [before, after] = [1, 2].map((wanted) =>
    seen.packets.filter(({ generation }) => generation === wanted),
  );
  expect(after![0]!.utcMs).toBeGreaterThan(before!.at(-1)!.utcMs);
});

test('pictures that stop while the connection stays are a stall, and are fetched anew', async () => {
  let paused = false;
  const seen = await capture(rtsp(server.url('/hevc')), ({ packets, states, streams }) => {
    if (packets.length >= 3 && !paused) {
      paused = true;
      void server.pause('/hevc');
    }
    if (paused && states.at(-1)?.phase === 'down') void server.resume('/hevc');
    return streams.length >= 2;
  });
  expect(reasonOf(seen)?.code).toBe('CAMERA_STALLED');
});

test('a file gives the same pictures each time, sampled by its own time', async () => {
  const look = (frame: PixelFrame): string => {
    const hash = createHash('sha256').update(frame.luma(160, 120));
    hash.update(frame.crop({ x: -10, y: 20, width: 200, height: 200 }, 64, 64));
    return `${frame.mediaMs} ${hash.digest('hex')}`;
  };
  const source: SourceSettings = { kind: 'file', path: footage, loop: false, paced: false };
  const first = await capture(source, ({ frames }) => frames.length >= 20, { packets: false, look });
  const second = await capture(source, ({ frames }) => frames.length >= 20, { packets: false, look });
  expect(first.frames).toEqual(second.frames);
  expect(first.frames.slice(0, 3).map((text) => Number(text.split(' ')[0]))).toEqual([0, 200, 400]);
  expect(first.packets).toEqual([]);
});

test('an unpaced file that cannot be read is told to whoever waits for it', async () => {
  const path = join(folder, 'text.mp4');
  await writeFile(path, 'no film\n'.repeat(1000));
  const source: SourceSettings = { kind: 'file', path, loop: false, paced: false };
  await expect(capture(source, () => false)).rejects.toMatchObject({ code: 'CAMERA_INPUT_INVALID' });
});

test('what the camera does not compress is encoded to H.264, a key frame a second', async () => {
  const source: SourceSettings = { kind: 'pattern', width: 320, height: 240, fps: 20 };
  const seen = await capture(source, ({ packets }) => packets.length >= 45);
  expect(seen.streams[0]).toMatchObject({ video: { codec: 'h264', width: 320, height: 240, fps: 20 } });
  const keys = seen.packets.flatMap(({ key }, index) => (key ? [index] : []));
  expect(keys).toEqual([0, 20, 40]);
});
