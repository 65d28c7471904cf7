import { expect, test } from 'vitest';
import { subscribe, type ReceivedMessage, type SubscribeOptions } from '../../device/bus/index.ts';
import { motion, startBus } from './bus-fixture.ts';

/** Subscribes until `enough` says so. */
async function listen(
  options: Partial<SubscribeOptions> & { port: number; globs: readonly string[] },
  enough: (heard: readonly ReceivedMessage[]) => boolean,
  onState?: (state: string) => void,
): Promise<readonly ReceivedMessage[]> {
  const stop = new AbortController();
  const heard: ReceivedMessage[] = [];
  await subscribe({
    host: '127.0.0.1',
    signal: stop.signal,
    onMessage(message) {
      heard.push(message);
      if (enough(heard)) stop.abort();
    },
    ...(onState ? { onState } : {}),
    ...options,
  });
  return heard;
}

test('globs decide, also where MQTT filters are coarser', async () => {
  await using bus = await startBus();
  const heard = await listen(
    { port: bus.port, globs: ['**.start', 'motion.start', 'storage.gap'] },
    (messages) => messages.length === 2,
    () => {
      bus.publish('motion.end', { camera_id: 'porch', end_ts: 1, score: 0 });
      bus.publish('motion.start', motion('porch'));
      bus.publish('motion.start', motion('yard'));
    },
  );
  expect(heard.map(({ topic, payload }) => [topic, payload])).toEqual([
    ['motion.start', expect.objectContaining({ camera_id: 'porch' })],
    ['motion.start', expect.objectContaining({ camera_id: 'yard' })],
  ]);
  expect(JSON.parse(heard[0]?.raw ?? '')).toEqual(heard[0]?.payload);
});

test('an agent that restarts is found again', async () => {
  const first = await startBus();
  const later = new AsyncDisposableStack();
  const states: string[] = [];
  const said = (state: string) => (message: ReceivedMessage) =>
    (message.payload as { state: string }).state === state;
  const heard = await listen(
    { port: first.port, globs: ['status.availability'], clock: { ...clock, sleep: restart } },
    (messages) => messages.filter(said('online')).length === 2,
    (state) => {
      states.push(state);
      if (states.length === 1) void first[Symbol.asyncDispose]();
    },
  );
  await later.disposeAsync();
  expect(states).toEqual(['connected', 'disconnected', 'connected']);
  expect(heard.some(said('offline'))).toBe(true);

  /** In place of waiting for the next attempt. */
  async function restart(): Promise<void> {
    await first[Symbol.asyncDispose]();
    later.use(await startBus({ port: first.port }));
  }
});

const clock = { utcMs: () => 0, monotonicMs: () => 0 };

test('no agent, no subscription', async () => {
  const bus = await startBus();
  await bus[Symbol.asyncDispose]();
  await expect(listen({ port: bus.port, globs: ['*'] }, () => true)).rejects.toMatchObject({
    code: 'BUS_UNREACHABLE',
    message: expect.stringContaining(`127.0.0.1:${bus.port}`),
  });
});

test('an agent of another node is not taken for the one that was asked for', async () => {
  await using bus = await startBus();
  await expect(listen({ port: bus.port, globs: ['*'], node: 'cellar' }, () => true)).rejects.toMatchObject({
    code: 'BUS_UNREACHABLE',
    message: expect.stringContaining('cellar'),
  });
});

test('a glob that is none is refused before anything is connected', async () => {
  await expect(listen({ port: 1, globs: ['event.#'] }, () => true)).rejects.toMatchObject({ code: 'USAGE' });
});

test('what the listener throws ends the subscription', async () => {
  await using bus = await startBus();
  const boom = (): boolean => {
    throw new Error('boom');
  };
  await expect(listen({ port: bus.port, globs: ['*'] }, boom)).rejects.toThrow('boom');
  await expect.poll(() => bus.clients).toBe(0);
});

test('a subscription that is over before it begins is over', async () => {
  expect(await listen({ port: 1, globs: ['*'], signal: AbortSignal.abort() }, () => true)).toEqual([]);
});
