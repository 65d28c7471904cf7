/** A real agent whose footage is on a disk of its own, and what happens to that disk. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { ReceivedMessage } from '../../device/bus/index.ts';
import type { Payload } from '../../device/contract/topics.ts';
import { writeIdentity } from '../../device/kernel/directory-identity.ts';
import { Store } from '../../device/library/store.ts';
import { startAgent, type TestAgent } from '../harness/agent.ts';
import { requireFootage } from '../harness/footage.ts';
import { createLoopDisk, requireLoopDisks, unmountAll, type LoopDisk } from '../harness/loop-disk.ts';

const footage = await requireFootage();
await requireLoopDisks();

const TIMEOUT_MS = 120_000;
let dataDir: string;
let media: string;
let disk: LoopDisk;
beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'spyoncino-media-'));
  media = join(dataDir, 'media');
  disk = await createLoopDisk({ mebibytes: 64 });
});
afterEach(async () => {
  unmountAll();
  await disk[Symbol.asyncDispose]();
  await rm(dataDir, { recursive: true });
});

const config = {
  cameras: [
    {
      camera_id: 'street',
      video_file: footage,
      detection: { enabled: false },
      recording: { mode: 'continuous', segment_seconds: 10 },
    },
  ],
  storage: { cleanup_interval_seconds: 1, low_space_threshold_gb: 0.005 },
};
const start = (): Promise<TestAgent> => startAgent({ dataDir, config });

/** The next message of the topic that fits and came after this was called. */
function next<T>(agent: TestAgent, topic: string, fits: (payload: T) => boolean = () => true): Promise<T> {
  const seen = new Set(agent.messages);
  return agent
    .message(
      (message: ReceivedMessage) =>
        !seen.has(message) && message.topic === topic && fits(message.payload as T),
    )
    .then(({ payload }) => payload as T);
}
const segment = (agent: TestAgent) => next<Payload<'segment.ready'>>(agent, 'segment.ready');
/** What ails the storage as a whole is exactly this; that a camera lost footage is told for a while longer. */
const isAlarm =
  (codes: readonly string[]) =>
  ({ alarms }: Payload<'storage.alarm'>): boolean =>
    alarms
      .filter(({ camera_id }) => camera_id === null)
      .map(({ code }) => code)
      .join() === codes.join();
const alarm = (agent: TestAgent, ...codes: readonly string[]) => next(agent, 'storage.alarm', isAlarm(codes));

/** `spyoncino media …` in a process of its own, beside the agent. */
async function cli(...args: readonly string[]) {
  const child = spawn(
    process.execPath,
    ['device/main.ts', 'media', ...args, '--json', '--data-dir', dataDir],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const [out, [code]] = await Promise.all([
    text(child.stdout),
    once(child, 'exit') as Promise<[number | null]>,
  ]);
  return { code, facts: out === '' ? null : (JSON.parse(out) as Record<string, unknown>) };
}

const files = async (): Promise<string[]> =>
  (await readdir(media, { recursive: true })).filter((name) => name !== 'lost+found').sort();

test(
  'a disk that is gone or swapped is neither filled nor missed for long: the agent goes on, and so does recording',
  { timeout: TIMEOUT_MS },
  async () => {
    await using other = await createLoopDisk({ mebibytes: 64 });
    await disk.mount(media);
    await using agent = await start();
    const first = await segment(agent);
    expect(existsSync(join(dataDir, first.url))).toBe(true);
    expect(await cli('status')).toMatchObject({ code: 0, facts: { problem: null } });

    let told = alarm(agent, 'MEDIA_MISSING');
    await disk.unmount();
    await told;
    // The file that was open is finished where it is; the next one is refused.
    while (!/"name":"camera street".*MEDIA_MISSING/.test(agent.log())) await delay(100);
    expect(await files()).toEqual([]);
    expect(await cli('status')).toMatchObject({ code: 1, facts: { problem: { code: 'MEDIA_MISSING' } } });

    told = alarm(agent, 'MEDIA_FOREIGN');
    await other.mount(media);
    await writeIdentity(media, { id: 'of-another-device', createdUtcMs: 1 });
    await told;
    expect(await files()).toEqual(['identity.json']);
    await other.unmount();

    told = alarm(agent);
    await disk.mount(media);
    await told;
    const back = await segment(agent);
    expect(existsSync(join(dataDir, back.url))).toBe(true);
    expect(existsSync(join(dataDir, first.url))).toBe(true);

    // What is accepted is used, without a restart of the agent.
    await disk.unmount();
    await other.mount(media);
    expect(await cli('accept')).toMatchObject({ code: 0, facts: { media_id: 'of-another-device' } });
    let there = await segment(agent);
    while (!existsSync(join(dataDir, there.url))) there = await segment(agent);
    expect(await files()).toContain(there.url.slice('media/'.length));
    expect(await agent.interrupt()).toBe(0);
  },
);

test(
  'a disk that turns read-only is an alarm, not an end; it is written to again when it can be',
  { timeout: TIMEOUT_MS },
  async () => {
    await disk.mount(media);
    await using agent = await start();
    await segment(agent);
    let told = alarm(agent, 'DISK_READ_ONLY');
    await disk.turnReadOnly();
    await told;
    await disk.unmount();
    told = alarm(agent);
    await disk.mount(media);
    await told;
    await segment(agent);
    expect(await agent.interrupt()).toBe(0);
  },
);

test(
  'an agent starts on a disk that cannot be written to, and uses it when it can',
  { timeout: TIMEOUT_MS },
  async () => {
    await disk.mount(media);
    await disk.remount('ro');
    await using agent = await start();
    await alarmNow(agent, 'DISK_READ_ONLY');
    const told = alarm(agent);
    const recorded = segment(agent);
    await disk.remount('rw');
    await told;
    await recorded;
    expect(await agent.interrupt()).toBe(0);
  },
);

test(
  'an agent starts where nothing can be written at all, index and all, and says so',
  { timeout: TIMEOUT_MS },
  async () => {
    await disk.mount(dataDir);
    await mkdir(media);
    await disk.remount('ro');
    await using agent = await start();
    await alarmNow(agent, 'DISK_READ_ONLY');
    await agent.message(
      ({ topic, payload }) =>
        topic === 'status.camera.street' && (payload as { state: string }).state === 'running',
    );
    expect(await agent.interrupt()).toBe(0);
  },
);

/** Retained, so it may have come before the test listened. */
const alarmNow = (agent: TestAgent, code: string): Promise<ReceivedMessage> =>
  agent.message(
    ({ topic, payload }) =>
      topic === 'storage.alarm' &&
      (payload as Payload<'storage.alarm'>).alarms.some((active) => active.code === code),
  );

test(
  'with the index lost, the disk is taken over, and what was protected still is',
  { timeout: TIMEOUT_MS },
  async () => {
    await disk.mount(media);
    let kept: string;
    {
      await using agent = await start();
      const { segment_id } = await segment(agent);
      await segment(agent);
      expect(await cli('protect', segment_id)).toMatchObject({ code: 0, facts: { files: 1 } });
      kept = segment_id;
      expect(await agent.interrupt()).toBe(0);
    }
    const before = await rows();
    expect(before.length).toBeGreaterThanOrEqual(2);
    await rm(join(dataDir, 'state'), { recursive: true });
    {
      await using agent = await start();
      await segment(agent);
      expect(await agent.interrupt()).toBe(0);
    }
    const after = await rows();
    expect(after).toMatchObject(expect.arrayContaining(before));
    expect(after.find(({ fileId }) => fileId === kept)).toMatchObject({ footageClass: 'protected' });
  },
);

async function rows() {
  using store = await Store.open({ dataDir, as: 'guest' });
  return store.all<{ fileId: string; path: string; footageClass: string; mediaId: string }>(
    `SELECT file_id AS fileId, path, class AS footageClass, media_id AS mediaId
     FROM file JOIN media ON media.no = file.media WHERE missing_ms IS NULL ORDER BY file_id`,
  );
}
