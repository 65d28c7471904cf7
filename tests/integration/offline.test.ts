/** Hosts of cameras that are not in the network have none: seen from outside, by the kernel's own word. */
import { execFile } from 'node:child_process';
import { readFile, readlink } from 'node:fs/promises';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { pino } from 'pino';
import type { Payload } from '../../device/contract/topics.ts';
import { findOffline } from '../../device/offline.ts';
import { startAgent, type TestAgent } from '../harness/agent.ts';
import { requireFootage } from '../harness/footage.ts';
import { lack } from '../harness/packages.ts';

const footage = await requireFootage();
if ((await findOffline(pino({ level: 'silent' }))) === null) lack('namespaces of the network (unshare)');

const exec = promisify(execFile);
let listener: Server;
let agent: TestAgent;

beforeAll(async () => {
  listener = createServer((socket) => socket.end());
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
  agent = await startAgent({
    config: {
      cameras: [
        { camera_id: 'pattern', test_pattern: true, recording: { mode: 'continuous' } },
        { camera_id: 'street', video_file: footage },
        // Nobody has to be there: it is the host that is looked at.
        { camera_id: 'remote', rtsp_url: 'rtsp://127.0.0.1:1/' },
      ],
    },
  });
});
afterAll(async () => {
  await agent?.[Symbol.asyncDispose]();
  await new Promise((closed) => listener.close(closed));
});

async function hostOf(camera: string): Promise<number> {
  for (;;) {
    const [pid] = await agent.children(new RegExp(`^spyoncino camera ${camera}`));
    if (pid !== undefined) return pid;
    await new Promise((again) => setTimeout(again, 20));
  }
}

const networkOf = (pid: number): Promise<string> => readlink(`/proc/${pid}/ns/net`);

/** Whether somebody in the network of `pid` comes to the listener. */
async function reaches(pid: number): Promise<boolean> {
  const { port } = listener.address() as AddressInfo;
  const user = process.getuid?.() === 0 ? [] : ['--user', '--preserve-credentials'];
  const script = `require('net').connect(${port}, '127.0.0.1').on('connect', () => process.exit(0)).on('error', (e) => process.exit(e.code === 'ENETUNREACH' ? 3 : 4))`;
  const { code } = await exec('nsenter', [
    ...['--target', String(pid), ...user, '--net', '--', process.execPath],
    ...['-e', script],
  ]).then(
    () => ({ code: 0 }),
    (error: { code: number }) => error,
  );
  expect([0, 3]).toContain(code);
  return code === 0;
}

const parentOf = async (pid: number): Promise<number> =>
  Number(/\) \S (\d+)/.exec(await readFile(`/proc/${pid}/stat`, 'utf8'))?.[1]);

test.each(['pattern', 'street'])('the host of %s is a child of the agent, and alone', async (camera) => {
  const pid = await hostOf(camera);
  expect(await parentOf(pid)).toBe(agent.pid);
  expect(await networkOf(pid)).not.toBe(await networkOf(agent.pid));
  expect(await reaches(pid)).toBe(false);
});

test('the host of a camera in the network has it', async () => {
  const pid = await hostOf('remote');
  expect(await networkOf(pid)).toBe(await networkOf(agent.pid));
  expect(await reaches(pid)).toBe(true);
});

test('who is alone still records, has things detected, and says so', async () => {
  const event = await agent.message(
    ({ topic, payload }) => topic === 'event.new' && (payload as Payload<'event.new'>).camera_id === 'street',
  );
  expect((event.payload as Payload<'event.new'>).label).toBe('person');
  const isTold = (camera: string, hasNetwork: boolean) =>
    agent.message(({ topic, payload }) => {
      if (topic !== 'status.health.summary') return false;
      const { modules } = payload as Payload<'status.health.summary'>;
      return Object.values(modules).some(
        ({ instances }) => instances?.[camera]?.details['has_network'] === hasNetwork,
      );
    });
  await isTold('street', false);
  await isTold('remote', true);
});

test('one that is killed comes back, alone; when the agent is killed, nobody stays', async () => {
  const before = await hostOf('pattern');
  process.kill(before, 'SIGKILL');
  const after = await (async () => {
    for (;;) {
      const pid = await hostOf('pattern');
      if (pid !== before) return pid;
      await new Promise((again) => setTimeout(again, 20));
    }
  })();
  expect(await networkOf(after)).not.toBe(await networkOf(agent.pid));

  const hosts = await Promise.all(['pattern', 'street', 'remote'].map(hostOf));
  process.kill(agent.pid, 'SIGKILL');
  for (const pid of hosts) {
    await expect.poll(() => networkOf(pid).catch(() => null), { timeout: 30_000 }).toBeNull();
  }
});
