/** A real agent and its index: what was recorded is found by time, also after a crash of everything. */
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { ReceivedMessage } from '../../device/bus/index.ts';
import type { Timeline } from '../../device/contract/library.ts';
import type { Payload } from '../../device/contract/topics.ts';
import { systemClock } from '../../device/kernel/clock.ts';
import { createLog } from '../../device/kernel/log.ts';
import type { LibraryContext } from '../../device/library/context.ts';
import { Store } from '../../device/library/store.ts';
import { timeline } from '../../device/library/timeline.ts';
import { startAgent, type TestAgent } from '../harness/agent.ts';
import { requireFootage } from '../harness/footage.ts';

const footage = await requireFootage();
let dataDir: string;
let agent: TestAgent;

const recording = { pre_seconds: 2, post_seconds: 1, max_clip_seconds: 10, segment_seconds: 10 };
const config = {
  cameras: [
    { camera_id: 'street', video_file: footage, recording },
    {
      camera_id: 'always',
      video_file: footage,
      detection: { enabled: false },
      recording: { ...recording, mode: 'continuous' },
    },
  ],
};

beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'spyoncino-agent-library-'));
  agent = await startAgent({ dataDir, config });
});
afterAll(async () => {
  await agent?.[Symbol.asyncDispose]();
  await rm(dataDir, { recursive: true });
});

/** Looks into the index beside the agent, as a verb of the CLI does. */
async function look<T>(ask: (context: LibraryContext) => T): Promise<T> {
  using store = await Store.open({ dataDir, as: 'guest' });
  return ask({
    store,
    dataDir,
    ...store.get<{ media: number; mediaId: string }>('SELECT no AS media, media_id AS mediaId FROM media')!,
    signal: new AbortController().signal,
    clock: systemClock,
    log: createLog({ name: 'test', level: 'silent' }),
  });
}

const all = (cameraId: string): Promise<Timeline> =>
  look((context) =>
    timeline(context, { cameraId, startUtcMs: 0, endUtcMs: systemClock.utcMs() + 86_400_000 }),
  );

/** Asks again until the answer is right. */
async function until<T>(ask: () => Promise<T>, isRight: (answer: T) => boolean): Promise<T> {
  for (;;) {
    const answer = await ask();
    if (isRight(answer)) return answer;
    await delay(100);
  }
}

const is =
  <T>(topic: string, more: (payload: T) => boolean = () => true) =>
  (message: ReceivedMessage): boolean =>
    message.topic === topic && more(message.payload as T);

test('what is published is in the index by then: clip with its event, segment with its place in the chain', async () => {
  const clip = (await agent.message(is('clip.ready'))).payload as Payload<'clip.ready'>;
  const { events, coverage } = await all('street');
  expect(events.filter(({ clipId }) => clipId === clip.clip_id).map(({ eventId }) => eventId)).toEqual(
    expect.arrayContaining(clip.event_ids),
  );
  const endMs = clip.start_ts + clip.duration_ms;
  expect(coverage.some((each) => each.startUtcMs <= clip.start_ts + 1 && each.endUtcMs >= endMs - 1)).toBe(
    true,
  );
  expect(clip.chain).toMatchObject({ position: 1 });

  const second = (
    await agent.message(is('segment.ready', ({ chain }: Payload<'segment.ready'>) => chain.position === 2))
  ).payload as Payload<'segment.ready'>;
  const link = await look(({ store }) =>
    store.get('SELECT position, lower(hex(hash)) AS hash FROM link WHERE file_id = ?', second.segment_id),
  );
  expect(link).toMatchObject(second.chain);
  // One segment follows the other without a break.
  expect((await all('always')).coverage).toHaveLength(1);
});

test('after kill -9 of the agent in the middle of an event, index and disk agree, and the gap is told', async () => {
  const isOpen = (message: ReceivedMessage): boolean => {
    const { event_id } = message.payload as Payload<'event.new'>;
    return (
      message.topic === 'event.new' &&
      !agent.messages.some(is('event.end', (end: Payload<'event.end'>) => end.event_id === event_id))
    );
  };
  const { event_id } = (await agent.message(isOpen)).payload as Payload<'event.new'>;
  await until(
    () =>
      look(({ store }) => store.get('SELECT 1 FROM event WHERE event_id = ? AND end_ms IS NULL', event_id)),
    (row) => row !== null,
  );
  const killedMs = systemClock.utcMs();
  process.kill(agent.pid, 'SIGKILL');
  await agent[Symbol.asyncDispose]();

  agent = await startAgent({ dataDir, config });
  const startedMs = systemClock.utcMs();
  const { events, gaps } = await all('street');
  const interrupted = events.find(({ eventId }) => eventId === event_id);
  expect(interrupted?.endUtcMs).toBeLessThanOrEqual(startedMs);
  const off = gaps.find(({ reason }) => reason.code === 'AGENT_OFF');
  expect(off?.startUtcMs).toBeLessThanOrEqual(killedMs + 10_000);
  expect(off?.endUtcMs).toBeGreaterThan(killedMs);

  // What the orphaned camera hosts completed is adopted, and what they could not is recovered by the next.
  const disagreement = await until(disagreements, (found) => found.length === 0);
  expect(disagreement).toEqual([]);
  // A clip of the interrupted event is among it.
  await until(
    () => all('street'),
    (timeline) => timeline.events.some(({ eventId, clipId }) => eventId === event_id && clipId !== null),
  );
  await agent.message(is('event.new'));
  expect(await agent.interrupt()).toBe(0);
  expect(await disagreements()).toEqual([]);
  expect(await look(({ store }) => store.all('SELECT ended FROM run'))).toMatchObject([
    { ended: 0 },
    { ended: 1 },
  ]);
});

/** Complete files that have no row, and rows that have no file. */
async function disagreements(): Promise<readonly string[]> {
  const rows = await look(({ store }) =>
    store.all<{ path: string }>('SELECT path FROM file UNION ALL SELECT path FROM still'),
  );
  const paths = new Set(rows.map(({ path }) => path));
  const files = (await readdir(join(dataDir, 'media'), { recursive: true }))
    .filter((name) => /\.(mp4|jpg)$/.test(name) && !name.includes('.part.'))
    .map((name) => `media/${name}`);
  return [
    ...files.filter((path) => !paths.has(path)).map((path) => `no row: ${path}`),
    ...[...paths].filter((path) => !existsSync(join(dataDir, path))).map((path) => `no file: ${path}`),
  ];
}
