/** Changes of the configuration while a real agent runs. */
import { readFile, writeFile } from 'node:fs/promises';
import { parse, stringify } from 'yaml';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { ReceivedMessage } from '../../device/bus/index.ts';
import type { Payload, TopicPattern } from '../../device/contract/topics.ts';
import { startAgent, type TestAgent } from '../harness/agent.ts';

const camera = (id: string) => ({
  camera_id: id,
  test_pattern: true,
  detection: { enabled: false },
  recording: { mode: 'continuous', segment_seconds: 10 },
});

let agent: TestAgent;
beforeAll(async () => {
  agent = await startAgent({
    config: { cameras: [camera('porch'), camera('yard')], system: { confirm_seconds: 3 } },
  });
});
afterAll(() => agent[Symbol.asyncDispose]());

/** The next message of `topic` from now on that fits. */
function next<P extends TopicPattern>(
  topic: P,
  fits: (payload: Payload<P>) => boolean = () => true,
): Promise<Payload<P>> {
  const seen = agent.messages.length;
  return agent
    .message(
      (message: ReceivedMessage) =>
        agent.messages.indexOf(message) >= seen &&
        message.topic === topic &&
        fits(message.payload as Payload<P>),
    )
    .then(({ payload }) => payload as Payload<P>);
}

const state = (id: string) => `status.camera.${id}` as 'status.camera.*';
const configured = async () => parse(await readFile(agent.configPath, 'utf8')) as Record<string, unknown>;

/** As an operator: edits the file, then tells the agent. */
async function edit(change: (config: Record<string, unknown>) => void): Promise<void> {
  const config = await configured();
  change(config);
  await writeFile(agent.configPath, stringify(config));
  process.kill(agent.pid, 'SIGHUP');
}

test('changing one camera costs another not a frame', async () => {
  const yard = await agent.children(/camera yard/);
  const porch = await agent.children(/camera porch/);
  await next('segment.ready', ({ camera_id }) => camera_id === 'yard');
  const told = next('config.snapshot');
  const back = next(state('porch'), ({ state }) => state === 'running');
  await edit((config) => {
    config['cameras'] = [{ ...camera('porch'), fps: 10 }, camera('yard')];
  });
  expect(await told).toMatchObject({ author: 'file', changes: [{ key: 'cameras.porch.fps', after: 10 }] });
  await back;
  expect(await agent.children(/camera yard/)).toEqual(yard);
  expect(await agent.children(/camera porch/)).not.toEqual(porch);

  const last = await next('segment.ready', ({ camera_id }) => camera_id === 'yard');
  const segments = agent.messages
    .filter(
      ({ topic, payload }) =>
        topic === 'segment.ready' && (payload as { camera_id: string }).camera_id === 'yard',
    )
    .map(({ payload }) => payload as Payload<'segment.ready'>);
  expect(segments.at(-1)).toEqual(last);
  const holes = segments
    .flatMap(({ coverage }) => coverage)
    .map(({ start_ts }, i, all) => start_ts - (all[i - 1]?.end_ts ?? start_ts));
  // A picture lasts 67 ms.
  expect(Math.max(...holes)).toBeLessThan(10);
});

test('what is not valid changes nothing, and says why', async () => {
  const rejected = next('config.rejected');
  await edit((config) => {
    config['cameras'] = [{ ...camera('porch'), fsp: 10 }];
  });
  expect(await rejected).toMatchObject({ reason: { code: 'CONFIG_INVALID' } });
  expect((await rejected).reason.message).toContain('did you mean fps');
  expect(agent.messages.findLast(({ topic }) => topic === 'status.camera.yard')?.payload).toMatchObject({
    state: 'running',
  });
});

test('a change that does not work out is taken back by itself, file and all', async () => {
  const good = { cameras: [camera('porch'), camera('yard')], system: { confirm_seconds: 3 } };
  const accepted = next('config.snapshot');
  await edit((config) => Object.assign(config, good));
  await accepted;
  await next('status.health.summary', ({ status }) => status !== 'error');
  const reverted = next('config.rollback');
  const restored = next(state('yard'), ({ state }) => state === 'running');
  await edit((config) => {
    const { test_pattern: _none, ...rest } = camera('yard');
    config['cameras'] = [camera('porch'), { ...rest, video_file: '/nowhere.mp4' }];
  });
  expect(await reverted).toMatchObject({
    success: true,
    reason: expect.stringContaining('camera.yard') as string,
  });
  await restored;
  expect(await configured()).toMatchObject(good);
});
