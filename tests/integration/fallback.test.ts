/** A camera whose small stream is gone is watched all the same. */
import { expect, test } from 'vitest';
import type { ReceivedMessage } from '../../device/bus/index.ts';
import type { Payload } from '../../device/contract/topics.ts';
import { startAgent } from '../harness/agent.ts';
import { requireFootage } from '../harness/footage.ts';
import { startRtspServer } from '../harness/rtsp-server.ts';

const footage = await requireFootage();
const STREAM = { fps: 10, codec: 'h264', file: footage } as const;

type CameraStatus = Payload<'status.camera.*'>;
const payloadOf = <T>({ payload }: ReceivedMessage): T => payload as T;

/** Which streams are looked at. */
const analysed = (status: CameraStatus): string =>
  status.streams.flatMap((stream) => (stream.analysed ? [stream.role] : [])).join();

test('motion and people are found in main while the sub stream is down, then in the sub stream', async () => {
  await using server = await startRtspServer({
    streams: [
      { ...STREAM, path: '/main', width: 768, height: 576, bitrateKbit: 1500 },
      { ...STREAM, path: '/sub', width: 384, height: 288, bitrateKbit: 300 },
    ],
  });
  await server.remove('/sub');
  await using agent = await startAgent({
    config: {
      cameras: [{ camera_id: 'street', rtsp_url: server.url('/main'), rtsp_sub_url: server.url('/sub') }],
    },
  });
  /** The first status from message `from` on that fits. */
  const status = async (from: number, fits: (status: CameraStatus) => boolean): Promise<CameraStatus> =>
    payloadOf(
      await agent.message(
        (message) =>
          agent.messages.indexOf(message) >= from &&
          message.topic === 'status.camera.street' &&
          fits(payloadOf(message)),
      ),
    );
  const without = await status(0, (payload) => analysed(payload) === 'main' && payload.state === 'running');
  expect(without.reason).toMatchObject({ code: 'CAMERA_STREAM_NOT_FOUND' });
  expect(without.streams.find(({ role }) => role === 'sub')).toMatchObject({ state: 'down', codec: null });
  await agent.message(({ topic }) => topic === 'motion.start');
  const event = await agent.message(({ topic }) => topic === 'event.new');
  expect(payloadOf<Payload<'event.new'>>(event).label).toBe('person');

  const from = agent.messages.length;
  await server.restore('/sub');
  const both = await status(from, (payload) => analysed(payload) === 'sub');
  expect(both).toMatchObject({ state: 'running', reason: null });
  const later = agent.messages.length;
  await agent.message((message) => agent.messages.indexOf(message) >= later && message.topic === 'event.new');

  // The other way round: what is recorded goes away, what is watched stays.
  const before = agent.messages.length;
  await server.remove('/main');
  const watching = await status(before, ({ state }) => state === 'down');
  expect(analysed(watching)).toBe('sub');
  const down = agent.messages.length;
  await agent.message((message) => agent.messages.indexOf(message) >= down && message.topic === 'event.new');
});
