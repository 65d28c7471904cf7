/** What cameras send reaches the disk: formats beside H.264 with AAC, from a real server to a clip that plays. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { runCapture } from '../../device/capture/index.ts';
import type { ClipReadyFact } from '../../device/contract/facts.ts';
import type { StreamInfo } from '../../device/contract/media.ts';
import { noMeter } from '../../device/contract/metrics.ts';
import type { SourceSettings } from '../../device/contract/settings.ts';
import { systemClock as clock } from '../../device/kernel/clock.ts';
import { createLog } from '../../device/kernel/log.ts';
import { createRecorder } from '../../device/record/index.ts';
import { MEDIA_ID, mountMedia, RECORDING } from '../harness/media.ts';
import { requirePackages } from '../harness/packages.ts';
import { startRtspServer, type RtspServer } from '../harness/rtsp-server.ts';
import { decode, decodedSoundSeconds } from './record-encoded.ts';

requirePackages(['ffmpeg']);
const exec = promisify(execFile);
const log = createLog({ name: 'test', level: 'silent' });
let server: RtspServer;
let folder: string;

beforeAll(async () => {
  const small = { width: 320, height: 240, fps: 10, bitrateKbit: 300, seconds: 3, codec: 'h264' } as const;
  [server, folder] = await Promise.all([
    startRtspServer({
      streams: [
        { ...small, path: '/pcm_alaw', audio: 'pcm_alaw' },
        { ...small, path: '/pcm_mulaw', audio: 'pcm_mulaw' },
        { ...small, path: '/opus', audio: 'opus' },
        { ...small, path: '/mjpeg', codec: 'mjpeg', bitrateKbit: 2000 },
        { ...small, path: '/changing', seconds: 2, otherSize: { width: 640, height: 480 } },
      ],
    }),
    mkdtemp(join(tmpdir(), 'spyoncino-formats-')),
  ]);
  await mountMedia(folder);
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});

const rtsp = (path: string): SourceSettings => ({
  kind: 'rtsp',
  mainUrl: server.url(path),
  subUrl: null,
  transport: 'tcp',
  username: null,
  password: null,
  audio: true,
});

interface Recorded {
  readonly streams: readonly StreamInfo[];
  readonly clips: readonly string[];
}

/** Records one event, from the first packet until `isEnough` or the end of the file. */
async function record(
  source: SourceSettings,
  isEnough: (seen: { streams: readonly StreamInfo[]; pictures: number }) => boolean,
): Promise<Recorded> {
  const ready: ClipReadyFact[] = [];
  const recorder = createRecorder({
    cameraId: 'camera',
    dataDir: folder,
    mediaId: MEDIA_ID,
    run: String(Math.random()).slice(2),
    settings: { ...RECORDING, preRollMs: 60_000, postRollMs: 0, bufferBytes: 1e8 },
    emit: (fact) => void (fact.type === 'clip.ready' && ready.push(fact)),
    meter: noMeter,
    clock,
    log,
  });
  const streams: StreamInfo[] = [];
  let pictures = 0;
  const stop = new AbortController();
  await runCapture(
    {
      cameraId: 'camera',
      source,
      analysisFps: 0,
      packets: true,
      privacyMasks: [],
      sink: {
        stream(info) {
          recorder.stream(info);
          streams.push(info);
          pictures = 0;
        },
        packet(_, packet) {
          recorder.packet(packet);
          if (pictures === 0) recorder.openEvent('event', packet.utcMs);
          if (packet.track === 'video') pictures++;
          if (isEnough({ streams, pictures })) stop.abort();
        },
        frame: (frame) => frame.release(),
        state() {},
      },
      meter: noMeter,
      clock,
      log,
    },
    stop.signal,
  );
  await recorder.close();
  return { streams, clips: ready.map(({ clip }) => join(folder, clip.path!)) };
}

/** Names of the codecs in a file, and the size of its pictures. */
async function probe(path: string): Promise<string[]> {
  const fields = 'stream=codec_name,width,height';
  const { stdout } = await exec('ffprobe', ['-v', 'error', '-show_entries', fields, '-of', 'csv=p=0', path]);
  return stdout.trim().split('\n');
}

const seconds =
  (count: number) =>
  ({ pictures }: { pictures: number }): boolean =>
    pictures >= count * 10;

test.each(['pcm_alaw', 'pcm_mulaw', 'opus'] as const)(
  'sound of an RTSP camera in %s is recorded',
  async (codec) => {
    const { streams, clips } = await record(rtsp(`/${codec}`), seconds(3));
    expect(streams[0]?.audio?.codec).toBe(codec);
    expect(clips).toHaveLength(1);
    expect(await probe(clips[0]!)).toEqual(['h264,320,240', codec]);
    // MP4 does not say where one channel of plain samples stands, and FFmpeg says that it had to guess.
    const { complaints } = await decode(clips[0]!);
    expect(complaints.replace(/^Guessed Channel Layout for Input Stream #0.1 : mono\n/, '')).toBe('');
    expect(await decodedSoundSeconds(clips[0]!)).toBeGreaterThan(2);
  },
);

test('an RTSP camera that sends JPEGs is recorded as H.264', async () => {
  const { streams, clips } = await record(rtsp('/mjpeg'), seconds(3));
  expect(streams[0]?.video).toMatchObject({ codec: 'h264', width: 320, height: 240 });
  expect(await probe(clips[0]!)).toEqual(['h264,320,240']);
  const { pictures, complaints } = await decode(clips[0]!);
  expect(complaints).toBe('');
  expect(pictures.length).toBeGreaterThan(20);
});

test('a camera that changes its resolution begins a new generation and a new file', async () => {
  const { streams, clips } = await record(
    rtsp('/changing'),
    ({ streams, pictures }) => streams.length >= 2 && pictures >= 15,
  );
  const sizes = streams.map(({ video }) => `${video.width},${video.height}`);
  expect(new Set(sizes.slice(0, 2))).toEqual(new Set(['320,240', '640,480']));
  expect(streams.slice(0, 2).map(({ generation }) => generation)).toEqual([1, 2]);
  expect(clips).toHaveLength(2);
  for (const [index, clip] of clips.entries()) {
    expect(await probe(clip)).toEqual([`h264,${sizes[index]}`]);
    const { pictures, complaints } = await decode(clip);
    expect(complaints).toBe('');
    expect(pictures.length).toBeGreaterThan(0);
  }
});

test('AAC with a header before each frame, as in transport streams, is kept', async () => {
  const path = join(folder, 'film.ts');
  await exec('ffmpeg', [
    ...['-v', 'error', '-f', 'lavfi', '-i', 'testsrc2=size=320x240:rate=10:duration=3'],
    ...['-f', 'lavfi', '-i', 'sine=frequency=440:sample_rate=44100:duration=3'],
    ...['-c:v', 'libx264', '-preset', 'veryfast', '-g', '10', '-bf', '0', '-c:a', 'aac', path],
  ]);
  const { streams, clips } = await record({ kind: 'file', path, loop: false, paced: false }, () => false);
  expect(streams[0]?.audio).toMatchObject({ codec: 'aac', sampleRate: 44_100, channels: 1 });
  expect(await probe(clips[0]!)).toEqual(['h264,320,240', 'aac']);
  expect((await decode(clips[0]!)).complaints).toBe('');
  expect(await decodedSoundSeconds(clips[0]!)).toBeCloseTo(3, 0);
});
