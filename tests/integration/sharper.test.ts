/** Detail from the recorded stream, where another one is analysed: real footage, real decoding, a real model. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Analysis, type SharperPictures } from '../../device/analysis.ts';
import { decodeAt, GopReader, runCapture, type CaptureSink } from '../../device/capture/index.ts';
import type { DetectPort } from '../../device/contract/detect.ts';
import type { EventState } from '../../device/contract/facts.ts';
import type { MediaPacket, PixelFrame, StreamInfo } from '../../device/contract/media.ts';
import { noMeter, type Meter } from '../../device/contract/metrics.ts';
import type { CameraSettings } from '../../device/contract/settings.ts';
import { connectDetector, createDetectServer } from '../../device/detect/index.ts';
import { systemClock, type Clock } from '../../device/kernel/clock.ts';
import { createLog } from '../../device/kernel/log.ts';
import { createRecorder } from '../../device/record/index.ts';
import { MainPictures } from '../../device/sharper.ts';
import { requireFootage } from '../harness/footage.ts';
import { MEDIA_ID, RECORDING } from '../harness/media.ts';
import { requirePackages } from '../harness/packages.ts';

requirePackages(['ffmpeg']);
const footage = await requireFootage();
const log = createLog({ name: 'test', level: 'silent' });
const FPS = 2;
const SECONDS = 6;

let folder: string;
/** The same scene in two sizes; the second also with pictures out of order. */
const path = (name: 'sub' | 'main' | 'reordered'): string => join(folder, `${name}.mp4`);

/** A wide scene with small people in it: the footage four times, mirrored here and there. */
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'spyoncino-sharper-'));
  const encode = (bFrames: number): string[] => [
    ...['-an', '-c:v', 'libx264', '-preset', 'veryfast', '-crf', '20', '-g', '10', '-bf', String(bFrames)],
  ];
  const mosaic =
    '[0:v]scale=640:480,split=3[a][b][c];[b]hflip,split[d][e];' +
    '[a][d][e][c]xstack=inputs=4:layout=0_0|w0_0|0_h0|w0_h0,split=3[m][r][s];[s]scale=192:144:flags=area[t]';
  await promisify(execFile)('ffmpeg', [
    ...['-v', 'error', '-t', String(SECONDS), '-i', footage, '-filter_complex', mosaic],
    ...['-map', '[m]', ...encode(0), path('main')],
    ...['-map', '[r]', ...encode(2), path('reordered')],
    ...['-map', '[t]', ...encode(0), path('sub')],
  ]);
});
afterAll(() => rm(folder, { recursive: true }));

/** All files begin at the same moment; each analysed picture takes its share of a second. */
class FilmClock implements Clock {
  readonly #startUtcMs = systemClock.utcMs();
  /** How much slower than this machine; 0: nothing takes any time. */
  readonly #slowness: number;
  filmMs = 0;

  constructor(slowness = 1) {
    this.#slowness = slowness;
  }

  utcMs(): number {
    return this.#startUtcMs;
  }

  monotonicMs(): number {
    return this.filmMs + this.#slowness * systemClock.monotonicMs();
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return systemClock.sleep(ms, signal);
  }
}

async function play(file: string, clock: Clock, sink: Partial<CaptureSink>, fps: number): Promise<void> {
  await runCapture(
    {
      cameraId: 'camera',
      source: { kind: 'file', path: file, loop: false, paced: false },
      analysisFps: fps,
      packets: fps === 0,
      privacyMasks: [],
      sink: { stream() {}, packet() {}, frame: (frame) => frame.release(), state() {}, ...sink },
      meter: noMeter,
      clock,
      log,
    },
    new AbortController().signal,
  );
}

/** A recorder that holds all of the main stream, and pictures from it. */
async function recorded(clock: Clock, meter: Meter = noMeter) {
  const recorder = createRecorder({
    cameraId: 'camera',
    dataDir: folder,
    mediaId: MEDIA_ID,
    run: 'run',
    settings: { ...RECORDING, enabled: false, preRollMs: 60_000, bufferBytes: 1e8 },
    emit() {},
    meter: noMeter,
    clock,
    log,
  });
  const pictures = new MainPictures({ recorder, meter, clock, log });
  const packets: MediaPacket[] = [];
  await play(
    path('main'),
    clock,
    {
      stream(info) {
        recorder.stream(info);
        pictures.stream(info.video);
      },
      packet(_, packet) {
        recorder.packet(packet);
        packets.push(packet);
      },
    },
    0,
  );
  return { pictures, packets };
}

const camera: CameraSettings = {
  cameraId: 'camera',
  name: 'camera',
  enabled: true,
  source: { kind: 'file', path: '', loop: false, paced: false },
  motion: { sensitivity: 0.5, masks: [] },
  detection: {
    enabled: true,
    fps: FPS,
    labels: ['person'],
    filters: {},
    defaultFilter: { minScore: 0.4, minArea: 0, maxArea: 1 },
  },
  zones: [],
  privacyMasks: [],
  recording: RECORDING,
  previews: false,
};

async function eventsOfSub(
  detector: DetectPort,
  clock: FilmClock,
  sharper: SharperPictures | null,
): Promise<EventState[]> {
  const events = new Map<string, EventState>();
  const analysis = new Analysis({
    camera,
    run: 'run',
    detector,
    lockstep: true,
    ...(sharper && { sharper }),
    emit: (fact) => fact.type === 'event' && events.set(fact.event.eventId, fact.event),
    meter: noMeter,
    clock,
    log,
  });
  const frame = (picture: PixelFrame): void | Promise<void> => {
    clock.filmMs += 1000 / FPS;
    return analysis.frame(picture, 'sub');
  };
  await play(path('sub'), clock, { frame }, FPS);
  await analysis.close();
  return [...events.values()];
}

const mean = (values: readonly number[]): number => values.reduce((sum, v) => sum + v, 0) / values.length;

test('more of the small people of a wide scene are found, with better scores, in the recorded stream', async () => {
  const common = { socket: join(folder, 'detect.sock'), meter: noMeter, log, clock: systemClock };
  const settings = { model: 'centernet', backend: 'tfjs-wasm', workers: 1 } as const;
  await using _server = await createDetectServer({ ...common, settings, dataDir: folder });
  await using detector = connectDetector({ ...common, cameraId: 'camera' });
  await detector.ready();
  // Time does not count here, so the outcome is that of the footage.
  const clock = new FilmClock(0);
  const coarse = await eventsOfSub(detector, clock, null);
  const { pictures } = await recorded(clock);
  using sharper = pictures;
  const sharp = await eventsOfSub(detector, clock, sharper);
  expect(sharp.length).toBeGreaterThan(coarse.length);
  const score = (events: EventState[]): number => mean(events.map(({ topScore }) => topScore));
  expect(score(sharp)).toBeGreaterThan(score(coarse) + 0.05);
});

test('decoding for detail stays within its share of the time, and what is not done is counted', async () => {
  const drops: string[] = [];
  const decodes: number[] = [];
  const meter: Meter = {
    ...noMeter,
    observe: (name, value) => void (name === 'spyoncino_sharpen_ms' && decodes.push(value)),
    count: (name, labels) => void (name === 'spyoncino_drops_total' && drops.push(labels?.['reason'] ?? '')),
  };
  // A machine so slow that not every picture can be had.
  const clock = new FilmClock(10);
  const { pictures, packets } = await recorded(clock, meter);
  using sharper = pictures;
  const startMs = clock.monotonicMs();
  let [had, asked] = [0, 0];
  for (const { utcMs } of packets) {
    const picture = await sharper.at(utcMs, true);
    asked++;
    if (picture) had++;
    picture?.release();
    clock.filmMs += 100;
  }
  const elapsedMs = clock.monotonicMs() - startMs;
  const spentMs = decodes.reduce((sum, ms) => sum + ms, 0);
  expect(had).toBeGreaterThan(0);
  expect(drops.length).toBeGreaterThan(0);
  expect(had + drops.length).toBe(asked);
  expect(new Set(drops)).toEqual(new Set(['unaffordable']));
  // A tenth, what was saved up before, and at worst one decode that took longer than it should.
  expect(spentMs).toBeLessThanOrEqual(0.1 * elapsedMs + 250 + Math.max(...decodes));
});

test('there is no picture of a moment that the recorded stream has not reached', async () => {
  const { pictures, packets } = await recorded(new FilmClock());
  using sharper = pictures;
  const lastUtcMs = packets.at(-1)!.utcMs;
  expect(await sharper.at(lastUtcMs + 5000, true)).toBeNull();
  const picture = await sharper.at(lastUtcMs + 100, true);
  expect(picture?.utcMs).toBe(lastUtcMs);
  picture?.release();
});

test.each(['main', 'reordered'] as const)(
  'reading on in a GOP shows what a fresh start shows (%s)',
  async (name) => {
    let info: StreamInfo | null = null;
    const packets: MediaPacket[] = [];
    const sink = {
      stream: (stream: StreamInfo) => void (info = stream),
      packet: (_: unknown, packet: MediaPacket) => void packets.push(packet),
    };
    await play(path(name), new FilmClock(), sink, 0);
    const { video } = info as unknown as StreamInfo;
    const gopAt = (utcMs: number): MediaPacket[] => {
      const begin = packets.findLastIndex((packet) => packet.key && packet.utcMs <= utcMs);
      const end = packets.findLastIndex((packet) => packet.utcMs <= utcMs);
      return packets.slice(begin, end + 1);
    };
    using reader = new GopReader();
    const shown = async (picture: PixelFrame | null): Promise<string> => {
      const text = `${picture?.utcMs} ${Buffer.from(picture?.luma(64, 48) ?? []).toString('base64')}`;
      picture?.release();
      return text;
    };
    const startUtcMs = packets[0]!.utcMs;
    // On, on, the same again, into the next GOP, back, and on in there.
    for (const ms of [0, 200, 700, 700, 1800, 2400, 500, 900, 4000]) {
      const utcMs = startUtcMs + ms;
      const gop = gopAt(utcMs);
      expect(await shown(await reader.at(video, gop, utcMs))).toBe(
        await shown(await decodeAt(video, gop, utcMs)),
      );
    }
    const next = gopAt(startUtcMs + 4200);
    expect(reader.pictures(next)).toBe(name === 'main' ? 2 : next.length);
  },
);
