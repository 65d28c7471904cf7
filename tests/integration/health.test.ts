/** `status.health.summary` of a real agent says what is wrong with it, and that it is right again. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { command, type CommandOptions, type ReceivedMessage } from '../../device/bus/index.ts';
import type { Payload } from '../../device/contract/topics.ts';
import { startAgent, type TestAgent } from '../harness/agent.ts';

type Summary = Payload<'status.health.summary'>;

let agent: TestAgent;
beforeAll(async () => {
  agent = await startAgent({
    config: {
      cameras: [
        { camera_id: 'hall', test_pattern: true },
        { camera_id: 'gone', rtsp_url: 'rtsp://127.0.0.1:1/none' },
      ],
      // More than any disk has: as if this one were full.
      storage: { low_space_threshold_gb: 1e9 },
      system: {
        resilience: {
          enabled: true,
          scenarios: [
            { name: 'slow-detector', module: 'modules.process.*', latency_ms: 4000 },
            { name: 'mute-cameras', module: 'modules.input.*', drop_probability: 1 },
          ],
        },
      },
    },
  });
});
afterAll(() => agent[Symbol.asyncDispose]());

const DETECTOR = 'modules.process.yolo_detector';

/** The first summary from now on that fits. */
async function summary(fits: (summary: Summary) => boolean): Promise<Summary> {
  const from = agent.messages.length;
  const { payload } = await agent.message(
    (message) =>
      agent.messages.indexOf(message) >= from &&
      message.topic === 'status.health.summary' &&
      fits(message.payload as Summary),
  );
  return payload as Summary;
}

test('a camera that is down is an error, a disk without room degraded, each with its reason', async () => {
  const { status, modules } = await summary(
    (now) =>
      now.modules['modules.input.camera_simulator']?.status === 'healthy' &&
      now.modules['modules.input.rtsp_camera']?.status === 'error' &&
      now.modules['modules.storage.retention']?.status !== 'healthy',
  );
  expect(status).toBe('error');
  expect(modules['modules.input.rtsp_camera']?.instances?.['gone']).toMatchObject({
    status: 'error',
    reasons: [{ code: 'CAMERA_REFUSED' }],
  });
  expect(modules['modules.input.camera_simulator']?.instances?.['hall']?.reasons).toEqual([]);
  expect(modules['modules.storage.retention']).toMatchObject({
    status: 'degraded',
    reasons: [{ code: 'STORAGE_LOW' }],
  });
});

test(
  'a detector that hangs is degraded, with the reason, until it works again',
  { timeout: 120_000 },
  async () => {
    await summary((now) => now.modules[DETECTOR]?.status === 'healthy');
    const [pid] = await agent.children(/spyoncino detect/);
    process.kill(pid!, 'SIGSTOP');
    try {
      const { modules } = await summary((now) => now.modules[DETECTOR]?.status === 'degraded');
      expect(modules[DETECTOR]?.reasons).toMatchObject([{ code: 'DETECTOR_STARVED' }]);
    } finally {
      process.kill(pid!, 'SIGCONT');
    }
    const { modules } = await summary((now) => now.modules[DETECTOR]?.status === 'healthy');
    expect(modules[DETECTOR]?.reasons).toEqual([]);
  },
);

describe('a scenario of the resilience tester', () => {
  let password: string;
  beforeAll(async () => {
    const { stdout } = await promisify(execFile)(process.execPath, [
      ...[
        'device/cli/spyoncino.js',
        'users',
        'token',
        'chaos',
        '--role',
        'admin',
        '--data-dir',
        agent.dataDir,
      ],
    ]);
    password = stdout.trim();
  });

  async function ask(request: CommandOptions['request']): Promise<unknown> {
    const at = { host: '127.0.0.1', port: agent.busPort, username: 'chaos', password, timeoutMs: 10_000 };
    const answer = await command({ ...at, request });
    expect(answer).toMatchObject({ ok: true });
    return answer.result;
  }
  const toggle = (name: string, enabled: boolean) =>
    ask({ command: 'resilience.toggle', arguments: { name, enabled } });

  test('reaches the detector: it is starved while it is armed', async () => {
    await toggle('slow-detector', true);
    const { modules } = await summary((now) => now.modules[DETECTOR]?.status === 'degraded');
    expect(modules[DETECTOR]?.reasons).toMatchObject([{ code: 'DETECTOR_STARVED' }]);
    await toggle('slow-detector', false);
    await summary((now) => now.modules[DETECTOR]?.status === 'healthy');
  });

  test('reaches cameras: what they say is lost, and footage is not', async () => {
    await toggle('mute-cameras', true);
    const request = { command: 'event.create', camera_id: 'hall', arguments: { duration_seconds: 1 } };
    const { event_id } = (await ask(request)) as { event_id: string };
    const isOfIt = ({ payload }: ReceivedMessage): boolean => JSON.stringify(payload).includes(event_id);
    await agent.message((message) => message.topic === 'clip.ready' && isOfIt(message));
    expect(agent.messages.filter(isOfIt).map(({ topic }) => topic)).not.toContain('event.new');
    await toggle('mute-cameras', false);
  });
});
