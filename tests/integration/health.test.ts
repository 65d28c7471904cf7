/** Health says what is so, of a real agent. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Payload } from '../../device/contract/topics.ts';
import { startAgent, type TestAgent } from '../harness/agent.ts';

let agent: TestAgent;

beforeAll(async () => {
  agent = await startAgent({ config: { cameras: [{ camera_id: 'yard', test_pattern: true }] } });
});
afterAll(() => agent[Symbol.asyncDispose]());

const detectorOf = (payload: unknown) =>
  (payload as Payload<'status.health.summary'>).modules['modules.process.yolo_detector'];

test(
  'a detector that hangs makes the box degraded, with the reason, until it works again',
  { timeout: 120_000 },
  async () => {
    await agent.message(({ topic }) => topic === 'status.detector');
    /** Of the messages from now on. */
    const untilDetectorIs = (status: string) => {
      const past = new Set(agent.messages);
      return agent.message(
        (message) =>
          !past.has(message) &&
          message.topic === 'status.health.summary' &&
          detectorOf(message.payload)?.status === status,
      );
    };
    await untilDetectorIs('healthy');
    const [detectHost] = await agent.children(/detect/);
    process.kill(detectHost!, 'SIGSTOP');
    const { payload } = await untilDetectorIs('degraded').finally(() => process.kill(detectHost!, 'SIGCONT'));
    expect(payload).toMatchObject({ status: 'degraded' });
    expect(detectorOf(payload)?.reasons).toMatchObject([{ code: 'DETECTOR_STARVED' }]);
    await untilDetectorIs('healthy');
  },
);
