/** Our own reader of RTSP against cameras that do not behave. */
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { runCapture } from '../../device/capture/index.ts';
import type { CameraFact } from '../../device/contract/facts.ts';
import type { MediaPacket, StreamInfo } from '../../device/contract/media.ts';
import { noMeter } from '../../device/contract/metrics.ts';
import { RtspFeed } from '../../device/capture/rtsp/rtsp-feed.ts';
import { systemClock } from '../../device/kernel/clock.ts';
import { startRtspCamera, type CodedPicture, type RtspCameraOptions } from '../doubles/rtsp-camera.ts';

const FPS = 20;
const run = promisify(execFile);
let folder: string;
let plain: readonly CodedPicture[];
let bidirectional: readonly CodedPicture[];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'spyoncino-rtsp-test-'));
  [plain, bidirectional] = await Promise.all([encode('plain', 0), encode('bidirectional', 2)]);
});
afterAll(() => rm(folder, { recursive: true }));

/** Two seconds, a key frame each. */
async function encode(name: string, bFrames: number): Promise<CodedPicture[]> {
  const [film, stream] = [join(folder, `${name}.mp4`), join(folder, `${name}.h264`)];
  const quiet = ['-loglevel', 'error', '-nostdin'];
  await run('ffmpeg', [
    ...[...quiet, '-f', 'lavfi', '-i', `testsrc2=size=320x240:rate=${FPS}:duration=2`, '-pix_fmt', 'yuv420p'],
    ...['-c:v', 'libx264', '-bf', String(bFrames), '-g', String(FPS), '-x264-params', 'scenecut=0:b-adapt=0'],
    ...['-video_track_timescale', '90000', film],
  ]);
  const filter = 'h264_mp4toannexb,h264_metadata=aud=insert';
  await run('ffmpeg', [...quiet, '-i', film, '-c', 'copy', '-bsf:v', filter, '-f', 'h264', stream]);
  const shown = await run('ffprobe', [
    '-loglevel',
    'error',
    '-show_entries',
    'packet=pts',
    '-of',
    'csv=p=0',
    film,
  ]);
  const times = shown.stdout
    .trim()
    .split('\n')
    .map((line) => Number.parseInt(line, 10));
  const bytes = await readFile(stream);
  const delimiter = Buffer.from([0, 0, 0, 1, 9]);
  const starts: number[] = [];
  for (let at = bytes.indexOf(delimiter); at >= 0; at = bytes.indexOf(delimiter, at + 1)) starts.push(at);
  expect(starts).toHaveLength(times.length);
  return starts.map((start, index) => ({
    bytes: bytes.subarray(start, starts[index + 1]),
    pts: times[index]!,
  }));
}

interface Seen {
  readonly streams: StreamInfo[];
  readonly packets: MediaPacket[];
  readonly states: CameraFact[];
  frames: number;
  lost: number;
  log: string;
}

async function capture(
  mainUrl: string,
  enough: (seen: Seen) => boolean,
  login: { username: string; password: string } | null = null,
): Promise<Seen> {
  const seen: Seen = { streams: [], packets: [], states: [], frames: 0, lost: 0, log: '' };
  const stop = new AbortController();
  const check = (): void => {
    if (enough(seen)) stop.abort();
  };
  const source = {
    kind: 'rtsp',
    mainUrl,
    subUrl: null,
    transport: 'tcp',
    username: login?.username ?? null,
    password: login?.password ?? null,
    audio: true,
  } as const;
  await runCapture(
    {
      cameraId: 'camera',
      source,
      analysisFps: 5,
      packets: true,
      privacyMasks: [],
      sink: {
        stream: (info) => seen.streams.push(info),
        packet(_, packet) {
          seen.packets.push(packet);
          check();
        },
        frame(frame) {
          seen.frames += 1;
          frame.release();
          check();
        },
        state(fact) {
          seen.states.push(fact);
          check();
        },
      },
      meter: {
        ...noMeter,
        count(name, labels, by = 1) {
          if (name === 'spyoncino_drops_total' && labels?.['stage'] === 'rtsp') seen.lost += by;
        },
      },
      clock: systemClock,
      log: pino({ level: 'trace' }, { write: (line: string) => void (seen.log += line) }),
      random: () => 0,
    },
    stop.signal,
  );
  return seen;
}

const camera = (options: Partial<RtspCameraOptions> = {}) =>
  startRtspCamera({ pictures: plain, fps: FPS, ...options });
const isDown = ({ states }: Seen): boolean => states.some(({ phase }) => phase === 'down');
const reasonOf = ({ states }: Seen) => states.find(({ phase }) => phase === 'down')?.reason;
const answer = (status: string, ...fields: string[]): string =>
  [`RTSP/1.0 ${status}`, 'CSeq: $CSEQ', ...fields, '', ''].join('\r\n');

/** What the camera sent, as MP4 stores it: without delimiters, in one piece. */
const sizes = (packets: readonly MediaPacket[]): number[] => packets.map(({ data }) => data.byteLength);

test.each([
  ['without markers', { markers: false }],
  ['with rubbish between its frames', { garbage: Buffer.from('\r\nrubbish R\0') }],
])('a camera %s gives the same pictures', async (_, fault) => {
  await using good = await camera();
  await using bad = await camera(fault);
  const enough = ({ packets, frames }: Seen): boolean => packets.length >= 25 && frames >= 2;
  const [expected, seen] = await Promise.all([capture(good.url, enough), capture(bad.url, enough)]);
  expect(sizes(seen.packets).slice(0, 20)).toEqual(sizes(expected.packets).slice(0, 20));
  expect(seen.packets.map(({ pts }) => pts).slice(0, 20)).toEqual(
    expected.packets.map(({ pts }) => pts).slice(0, 20),
  );
  expect(seen.log).not.toContain('FFmpeg reads');
  expect(seen.lost).toBe(0);
});

test('B-frames: times of decoding rise, times of showing are those of the camera', async () => {
  await using bad = await camera({ pictures: bidirectional });
  const { packets } = await capture(bad.url, ({ packets: all, frames }) => all.length >= 20 && frames >= 2);
  for (const [index, { pts, dts }] of packets.entries()) {
    expect(dts).toBeGreaterThan(packets[index - 1]?.dts ?? -1);
    expect(pts).toBeGreaterThanOrEqual(dts);
  }
  const steps = (times: readonly number[]): number[] => times.map((time) => time - times[0]!);
  expect(steps(packets.slice(0, 20).map(({ pts }) => pts))).toEqual(
    steps(bidirectional.slice(0, 20).map(({ pts }) => pts)),
  );
});

test('of lost packets, what is damaged is left out and counted; recording goes on', async () => {
  await using lossy = await camera({ loses: (packet) => packet % 40 === 39 });
  const seen = await capture(
    lossy.url,
    ({ lost, packets, frames }) => lost >= 3 && packets.filter(({ key }) => key).length >= 2 && frames >= 2,
  );
  expect(isDown(seen)).toBe(false);
  expect(seen.streams).toHaveLength(1);
  const whole = new Set(plain.map(({ bytes }) => bytes.length));
  // Of what was sent in one piece nothing is shorter than it was (start codes of three bytes became four).
  expect(Math.min(...sizes(seen.packets))).toBeGreaterThanOrEqual(Math.min(...whole) - 6);
});

test('a connection that breaks in the middle of a packet has ended, and is made anew', async () => {
  await using breaking = await camera({ breaksAt: 60 });
  const seen = await capture(breaking.url, ({ packets }) => packets.at(-1)?.generation === 2);
  expect(reasonOf(seen)?.code).toBe('CAMERA_ENDED');
});

test('a session is kept alive as often as the camera demands, with passwords that grow old', async () => {
  const login = { username: 'joe', password: 's3cr&t/wörd' };
  await using demanding = await camera({
    sessionTimeoutS: 2,
    login: { user: login.username, password: login.password, uses: 2 },
  });
  const alive = (): number => demanding.requests.filter(({ method }) => method === 'GET_PARAMETER').length;
  const seen = await capture(demanding.url, () => alive() >= 6, login);
  expect(isDown(seen)).toBe(false);
  expect(seen.packets.length).toBeGreaterThan(0);
  for (const { uri, headers } of demanding.requests) {
    expect(uri).not.toContain('joe');
    expect(headers.get('user-agent')).toBe('Spyoncino');
  }
  expect(JSON.stringify(seen.states) + seen.log).not.toContain('s3cr');
  expect(demanding.requests.at(-1)?.method).toBe('GET_PARAMETER');
});

test('a camera that does not answer its clients while it plays is not given up', async () => {
  await using mute = await camera({
    instead: ({ method }) =>
      method === 'SETUP'
        ? answer('200 OK', 'Session: 1;timeout=1', 'Transport: RTP/AVP/TCP;unicast;interleaved=4-5')
        : method === 'GET_PARAMETER'
          ? null
          : undefined,
  });
  // Longer than an answer may take: one is asked for every half second.
  const seen = await capture(
    mute.url,
    () => mute.requests.filter(({ method }) => method === 'GET_PARAMETER').length >= 12,
  );
  expect(isDown(seen)).toBe(false);
});

test('a reader that is behind makes the camera wait, and misses nothing', async () => {
  const fps = 500;
  await using fast = await camera({
    fps,
    pictures: plain.map(({ bytes }, index) => ({ bytes, pts: (index * 90_000) / fps })),
  });
  const none = new AbortController().signal;
  const feed = await RtspFeed.open(
    { url: fast.url, transport: 'tcp', audio: false, answerMs: 5000, clock: systemClock, onLoss: () => {} },
    none,
  );
  if ('foreign' in feed) throw new Error(feed.foreign);
  await using _feed = feed;
  while (feed.hasRoom) await systemClock.sleep(20);
  let last = -1;
  for (let count = 0; count < 1500; count++) {
    const unit = await feed.next();
    expect(unit?.pts).toBe(last < 0 ? 0 : last + 90_000 / fps);
    last = unit!.pts!;
  }
});

test('a camera that refuses for ever is asked a few times only', async () => {
  await using refusing = await camera({
    instead: () => answer('401 Unauthorized', 'WWW-Authenticate: Digest realm="r", nonce="n", stale=true'),
  });
  const seen = await capture(refusing.url, isDown, { username: 'joe', password: 'p' });
  expect(reasonOf(seen)?.code).toBe('CAMERA_UNAUTHORIZED');
  expect(refusing.requests.filter(({ method }) => method === 'DESCRIBE')).toHaveLength(3);
});

test.each([
  ['another status', answer('454 Session Not Found'), 'CAMERA_FAILED'],
  ['headers without end', `RTSP/1.0 200 OK\r\n${'X: y\r\n'.repeat(10_000)}`, 'CAMERA_INPUT_INVALID'],
  ['a description without end', answer('200 OK', 'Content-Length: 900000000'), 'CAMERA_INPUT_INVALID'],
  ['a redirection to nowhere', answer('302 Found'), 'CAMERA_INPUT_INVALID'],
  ['a redirection to itself', null, 'CAMERA_FAILED'],
])('%s has its code', async (_, text, code) => {
  await using odd = await camera({
    instead: ({ method }, { port }) =>
      method === 'DESCRIBE'
        ? (text ?? answer('302 Found', `Location: rtsp://127.0.0.1:${port}/live`))
        : undefined,
  });
  expect(reasonOf(await capture(odd.url, isDown))?.code).toBe(code);
  expect(odd.requests.filter(({ method }) => method === 'DESCRIBE').length).toBeLessThanOrEqual(4);
});

test('a camera that does not answer is not waited for without end', async () => {
  await using silent = await camera({ instead: ({ method }) => (method === 'DESCRIBE' ? null : undefined) });
  expect(reasonOf(await capture(silent.url, isDown))).toMatchObject({ code: 'CAMERA_UNREACHABLE' });
});

test('a redirection is followed, and the password stays with the host it is for', async () => {
  await using target = await camera({ host: '127.0.0.2' });
  const login = { username: 'joe', password: 'p' };
  await using first = await camera({
    instead: ({ method, headers }) => {
      if (!headers.has('authorization'))
        return answer('401 Unauthorized', 'WWW-Authenticate: Basic realm="r"');
      return method === 'DESCRIBE' ? answer('302 Found', `Location: ${target.url}`) : undefined;
    },
  });
  const seen = await capture(first.url, ({ packets }) => packets.length > 0, login);
  expect(isDown(seen)).toBe(false);
  expect(target.requests.some(({ headers }) => headers.has('authorization'))).toBe(false);
});

test('a camera that has an IPv6 address', async () => {
  await using six = await camera({ host: '::1' });
  const seen = await capture(six.url, ({ packets }) => packets.length > 0);
  expect(isDown(seen)).toBe(false);
});

test('what is not read here is read by FFmpeg, and the log says so', async () => {
  const body = 'v=0\r\ns=-\r\nm=video 0 RTP/AVP 26\r\na=control:track1\r\n';
  await using jpeg = await camera({
    instead: ({ method }) =>
      method === 'DESCRIBE'
        ? answer('200 OK', 'Content-Type: application/sdp', `Content-Length: ${body.length}`) + body
        : undefined,
  });
  const seen = await capture(jpeg.url, () =>
    jpeg.requests.some(
      ({ method, headers }) => method === 'PLAY' && headers.get('user-agent')?.startsWith('Lavf'),
    ),
  );
  expect(seen.log).toContain('FFmpeg reads this stream');
  expect(seen.log).toContain('payload type 26');
});
