/** The main job, end to end: a real RTSP camera with real footage → events, clips, stills, on a real bus. */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Payload } from '../../device/contract/topics.ts';
import type { ReceivedMessage } from '../../device/bus/index.ts';
import { startAgent, type TestAgent } from '../harness/agent.ts';
import { requireFootage } from '../harness/footage.ts';
import { requirePackages } from '../harness/packages.ts';
import { startRtspServer, type RtspServer } from '../harness/rtsp-server.ts';

requirePackages(['ffmpeg', 'mosquitto-clients']);
const footage = await requireFootage();

const exec = promisify(execFile);
const PRE_ROLL_MS = 3000;
let server: RtspServer;
let agent: TestAgent;

beforeAll(async () => {
  server = await startRtspServer({
    streams: [
      { path: '/main', width: 768, height: 576, fps: 10, codec: 'h264', bitrateKbit: 1500, file: footage },
      { path: '/sub', width: 384, height: 288, fps: 10, codec: 'h264', bitrateKbit: 300, file: footage },
    ],
  });
  agent = await startAgent({
    config: {
      bus: { port: 0, home_assistant: { enabled: true } },
      cameras: [
        {
          camera_id: 'street',
          rtsp_url: server.url('/main'),
          rtsp_sub_url: server.url('/sub'),
          recording: { pre_seconds: PRE_ROLL_MS / 1000, post_seconds: 1, max_clip_seconds: 10 },
        },
      ],
    },
  });
});
afterAll(async () => {
  await agent?.[Symbol.asyncDispose]();
  await server?.[Symbol.asyncDispose]();
});

const is =
  (topic: string, more: (payload: never) => boolean = () => true) =>
  (message: ReceivedMessage): boolean =>
    message.topic === topic && more(message.payload as never);

/** The clip's file; in mode `events` every clip has one. */
const fileOf = ({ url }: Pick<Payload<'clip.ready'>, 'url'>): string => join(agent.dataDir, url ?? '');

const payloadOf = <T>(message: ReceivedMessage): T => message.payload as T;

/** Decodes all of it; rejects on the first broken frame. */
const decode = (path: string) =>
  exec('ffmpeg', ['-v', 'error', '-xerror', '-i', path, '-f', 'null', '-'], { encoding: 'utf8' });

test('people become events, with a still and a clip that holds the pre-roll', async () => {
  const records = ({ streams }: Payload<'status.camera.*'>): boolean =>
    streams.some(({ role, state }) => role === 'main' && state === 'running');
  const status = await agent.message(is('status.camera.street', records));
  const { ts: recordsSinceTs } = payloadOf<{ ts: number }>(status);
  // The sub stream may be there a moment earlier; of what it showed then there is no footage.
  const isPerson = (event: Payload<'event.new'>): boolean =>
    event.label === 'person' && event.start_ts >= recordsSinceTs;
  const event = payloadOf<Payload<'event.new'>>(await agent.message(is('event.new', isPerson)));
  expect(event.camera_id).toBe('street');
  expect(event.score).toBeGreaterThan(0.5);

  const ofEvent = (clip: Payload<'clip.ready'>): boolean => clip.event_ids.includes(event.event_id);
  const partial = payloadOf<Payload<'clip.partial'>>(await agent.message(is('clip.partial', ofEvent)));
  const growing = await exec('ffprobe', [
    '-v',
    'error',
    '-show_entries',
    'stream=codec_name',
    fileOf(partial),
  ]).catch(
    // It may have been completed, and renamed, a moment ago.
    () => null,
  );
  if (growing) expect(growing.stdout).toContain('h264');

  const clip = payloadOf<Payload<'clip.ready'>>(await agent.message(is('clip.ready', ofEvent)));
  const path = fileOf(clip);
  expect(clip.recovered).toBe(false);
  expect(
    createHash('sha256')
      .update(await readFile(path))
      .digest('hex'),
  ).toBe(clip.sha256);
  expect((await decode(path)).stderr).toBe('');
  // Begun by this event: then it starts at the key frame before the pre-roll, unless the camera was that young.
  if (clip.event_ids[0] === event.event_id) {
    const firstPacketTs = clip.start_ts;
    expect(firstPacketTs).toBeLessThanOrEqual(event.start_ts);
    expect(event.start_ts - firstPacketTs).toBeLessThanOrEqual(PRE_ROLL_MS + 1100);
  }
  expect(clip.coverage).toHaveLength(1);

  const hasStill = (update: Payload<'event.update'>): boolean => update.still !== null;
  const update = payloadOf<Payload<'event.update'>>(await agent.message(is('event.update', hasStill)));
  const { stdout } = await exec('ffprobe', [
    '-v',
    'error',
    '-show_entries',
    'stream=width,height',
    '-of',
    'csv=p=0',
    join(agent.dataDir, update.still!),
  ]);
  // Made from the main stream, not from the one that is analysed.
  expect(stdout.trim()).toBe('768,576');
});

test('a stock MQTT client sees the same messages', async () => {
  const { stdout } = await exec('mosquitto_sub', [
    ...['-h', '127.0.0.1', '-p', String(agent.busPort), '-t', 'spyoncino/+/event/#', '-C', '1', '-W', '50'],
  ]);
  const theirs = JSON.parse(stdout) as Payload<'event.new'> & { seq: number };
  const ours = await agent.message(
    ({ topic, payload }) =>
      topic.startsWith('event.') &&
      (payload as typeof theirs).event_id === theirs.event_id &&
      (payload as typeof theirs).seq === theirs.seq,
  );
  expect(ours.payload).toEqual(theirs);
});

test('Home Assistant finds a camera that shows the last still', async () => {
  const listen = async (topic: string, format: string): Promise<string> => {
    const { stdout } = await exec(
      'mosquitto_sub',
      ['-h', '127.0.0.1', '-p', String(agent.busPort), '-t', topic, '-F', format, '-C', '1', '-W', '50'],
      { maxBuffer: 2 << 20 },
    );
    return stdout.trim();
  };
  const config = await listen('homeassistant/camera/+/+/config', '%p');
  const { topic, image_encoding: encoding } = JSON.parse(config) as { topic: string; image_encoding: string };
  expect(encoding).toBe('b64');
  // A better one of the same event may have taken its place on the disk.
  await expect
    .poll(async () => [await listen(topic, '%p'), await stillsOnDisk()], { timeout: 60_000 })
    .toSatisfy(([shown, stills]: [string, string[]]) => stills.includes(shown));
});

const stillsOnDisk = async (): Promise<string[]> => {
  const folder = join(agent.dataDir, 'media', 'stills');
  const names = (await readdir(folder, { recursive: true })).filter((name) => name.endsWith('.jpg'));
  return await Promise.all(names.map((name) => readFile(join(folder, name), 'base64')));
};

test('a killed detect host comes back, and nothing else notices', async () => {
  const before = agent.messages.length;
  const [pid] = await agent.children(/spyoncino detect/);
  process.kill(pid!, 'SIGKILL');
  const after = (fits: (message: ReceivedMessage) => boolean) => (message: ReceivedMessage) =>
    agent.messages.indexOf(message) >= before && fits(message);
  const down = await agent.message(
    after(is('status.detector', ({ state }: Payload<'status.detector'>) => state === 'down')),
  );
  expect(payloadOf<Payload<'status.detector'>>(down).reason).toMatchObject({ code: 'DETECTOR_FAILED' });
  const seen = agent.messages.indexOf(down);
  await agent.message(
    (message) =>
      agent.messages.indexOf(message) > seen &&
      is('status.detector', ({ state }: Payload<'status.detector'>) => state === 'running')(message),
  );
  await agent.message(
    (message) => agent.messages.indexOf(message) > seen + 1 && message.topic.startsWith('event.'),
  );
  const cameraStates = agent.messages.slice(before).filter(is('status.camera.street'));
  expect(cameraStates).toEqual([]);
});

test('a camera host killed in the middle of an event loses no finished second', async () => {
  const before = agent.messages.length;
  const after = (message: ReceivedMessage): boolean => agent.messages.indexOf(message) >= before;
  const partial = payloadOf<Payload<'clip.partial'>>(
    await agent.message((message) => after(message) && is('clip.partial')(message)),
  );
  const [pid] = await agent.children(/spyoncino camera street/);
  process.kill(pid!, 'SIGKILL');
  const down = await agent.message(
    (message) =>
      after(message) &&
      is('status.camera.street', ({ state }: Payload<'status.camera.*'>) => state === 'down')(message),
  );
  expect(payloadOf<Payload<'status.camera.*'>>(down).reason).toMatchObject({ code: 'CAMERA_HOST_CRASHED' });

  const ended = await agent.message(
    (message) =>
      after(message) &&
      is('event.end', ({ end_reason }: Payload<'event.end'>) => end_reason === 'interrupted')(message),
  );
  expect(payloadOf<Payload<'event.end'>>(ended).camera_id).toBe('street');

  const recovered = payloadOf<Payload<'clip.ready'>>(
    await agent.message(
      (message) =>
        after(message) && is('clip.ready', (clip: Payload<'clip.ready'>) => clip.recovered)(message),
    ),
  );
  expect(recovered.clip_id >= partial.clip_id).toBe(true);
  expect((await decode(fileOf(recovered))).stderr).toBe('');
  const again = agent.messages.length;
  await agent.message((message) => agent.messages.indexOf(message) >= again && is('event.new')(message));
});

test('every new event gets its end, ids are never reused, and each message fits its place', async () => {
  const code = await agent.interrupt();
  expect(code).toBe(0);
  const stages = agent.messages
    .filter(({ topic }) => topic === 'status.shutdown.progress')
    .map(({ payload }) => payload as Payload<'status.shutdown.progress'>);
  expect(stages.map(({ phase, status }) => `${phase} ${status}`)).toEqual(
    ['inputs', 'storage', 'process', 'outputs', 'analytics'].flatMap((phase) => [
      `${phase} starting`,
      `${phase} completed`,
    ]),
  );
  const phases = new Map<string, string[]>();
  for (const { topic, payload } of agent.messages) {
    if (!/^event\.(new|update|end)$/.test(topic)) continue;
    const { event_id } = payload as Payload<'event.new'>;
    phases.set(event_id, [...(phases.get(event_id) ?? []), topic.slice('event.'.length)]);
  }
  expect(phases.size).toBeGreaterThan(1);
  for (const [id, sequence] of phases) {
    expect(`${id} ${sequence.join(' ')}`).toMatch(/^\S+ new( update)* end$/);
  }
  const files = await readdir(join(agent.dataDir, 'media', 'clips'), { recursive: true });
  expect(files.filter((name) => name.includes('.part.'))).toEqual([]);
  const clips = files.filter((name) => name.endsWith('.mp4'));
  expect(clips.length).toBeGreaterThan(0);
  for (const clip of clips) {
    expect((await decode(join(agent.dataDir, 'media', 'clips', clip))).stderr).toBe('');
  }
});

test('metrics of all processes are on one page', async () => {
  // The agent of this file has ended by now; a second one with a generated picture is enough.
  await using other = await startAgent({
    config: { cameras: [{ camera_id: 'pattern', test_pattern: true }] },
  });
  await other.message(
    is('status.camera.pattern', ({ state }: Payload<'status.camera.*'>) => state === 'running'),
  );
  const answer = await fetch(`http://127.0.0.1:${other.metricsPort}/metrics`);
  const page = await answer.text();
  expect(page).toMatch(/spyoncino_resident_bytes\{.*process="agent".*\}/);
  expect(page).toMatch(/spyoncino_packets_total\{.*camera="pattern".*\} [1-9]/);
  expect(page).toMatch(/spyoncino_resident_bytes\{.*process="detect".*\}/);
});
