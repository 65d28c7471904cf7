/** The uploader in a real agent, as an operator sees it. */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { connectAsync, type MqttClient } from 'mqtt';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { recipientText } from '../../device/contract/recipient.ts';
import type { Payload, TopicPattern } from '../../device/contract/topics.ts';
import { newKeyPair, privateKeysOf } from '../../device/sync/index.ts';
import { startAgent, type TestAgent } from '../harness/agent.ts';
import { startProxy, type Proxy } from '../harness/s3/proxy.ts';
import { BUCKET, clientOf, readBucket } from '../harness/s3/rig.ts';
import { S3_KEY, startS3Server, type S3Server } from '../harness/s3/server.ts';

const NODE = 'attic';
const UPLOADER = 'modules.storage.s3_uploader';

let folder: string;
let server: S3Server;
let proxy: Proxy;
let agent: TestAgent;
let operator: MqttClient;

const config = (port: number, mode: 'events' | 'continuous' = 'continuous') => ({
  node: { id: NODE },
  cameras: [
    {
      ...{ camera_id: 'porch', test_pattern: true, detection: { enabled: false } },
      recording: { mode, segment_seconds: 10, pre_seconds: 1, post_seconds: 1 },
    },
  ],
  storage: {
    // One at a time: two under way may arrive in any order.
    remote: {
      ...{ enabled: true, endpoint: `http://127.0.0.1:${port}`, bucket_name: BUCKET },
      max_concurrency: 1,
    },
  },
});
const secrets = { storage: { remote: { access_key_id: S3_KEY, secret_access_key: S3_KEY } } };

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'spyoncino-uploads-agent-'));
  server = await startS3Server({ directory: folder, bucket: BUCKET });
  proxy = await startProxy(server.port);
  agent = await startAgent({ config: config(proxy.port), secrets });
  const args = ['users', 'token', 'op', '--role', 'operator', '--data-dir', agent.dataDir];
  const { stdout } = await promisify(execFile)(process.execPath, ['device/cli/spyoncino.js', ...args]);
  operator = await connectAsync({
    ...{ host: '127.0.0.1', port: agent.busPort, reconnectPeriod: 0 },
    ...{ username: 'op', password: stdout.trim() },
  });
});
afterAll(async () => {
  await operator?.endAsync(true);
  await agent?.[Symbol.asyncDispose]();
  await proxy?.[Symbol.asyncDispose]();
  await server?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

let requests = 0;

async function ask(request: object): Promise<Payload<'dashboard.control.result'>> {
  const request_id = `r${++requests}`;
  const answered = heard('dashboard.control.result', (result) => result.request_id === request_id);
  await operator.publishAsync(
    `spyoncino/${NODE}/dashboard/control/command`,
    JSON.stringify({ ...request, request_id }),
    { qos: 1 },
  );
  return await answered;
}

/** The first message, past or to come. */
async function heard<P extends TopicPattern>(
  topic: P,
  fits: (payload: Payload<P>) => boolean,
  of: TestAgent = agent,
): Promise<Payload<P>> {
  const message = await of.message(
    (message) => message.topic === topic && fits(message.payload as Payload<P>),
  );
  return message.payload as Payload<P>;
}

const uploaderIn = ({ modules }: Payload<'status.health.summary'>) => modules[UPLOADER];

async function testEvent(): Promise<string> {
  const { result } = await ask({
    command: 'event.create',
    camera_id: 'porch',
    arguments: { duration_seconds: 1 },
  });
  return (result as { event_id: string }).event_id;
}

/** Id of the clip of an event. */
const clipOf = async (eventId: string): Promise<string> =>
  (await heard('clip.ready', ({ event_ids }) => event_ids.includes(eventId))).clip_id;

const copied = (id: string): Promise<Payload<'storage.upload.done'>> =>
  heard('storage.upload.done', (done) => done.id === id);

test('the clip of an event arrives before the segment that it is cut from', async () => {
  await agent.message(
    ({ topic, payload }) =>
      topic === 'status.camera.porch' && (payload as { state: string }).state === 'running',
  );
  const clip = await copied(await clipOf(await testEvent()));
  expect(clip).toMatchObject({ kind: 'clip', camera_id: 'porch', bucket: BUCKET });
  expect(clip.object_key).toMatch(new RegExp(`^${NODE}/clips/porch/\\d{4}-\\d\\d-\\d\\d/${clip.id}\\.mp4$`));

  const key = clip.object_key.slice(`${NODE}/`.length);
  const bytes = await readFile(join(agent.dataDir, 'media', key));
  const there = (await readBucket(server.port, `${NODE}/`)).get(key);
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  expect(there).toEqual({ sizeBytes: bytes.byteLength, sha256 });
  expect(clip).toMatchObject({ sha256, size_bytes: bytes.byteLength });

  const synced = await heard('storage.s3.synced', ({ object_key }) => object_key === clip.object_key);
  expect(synced).toMatchObject({ status: 'synced', lifecycle_tags: {}, metadata: { kind: 'clip' } });
  expect(synced.artifact_path).toBe(join(agent.dataDir, 'media', key));
  await heard('storage.upload.done', ({ kind }) => kind === 'segment');
});

test('the S3 incident of the runbook: disable, keep, enable, drain', async () => {
  expect(await ask({ command: 'module.disable', module: UPLOADER })).toMatchObject({ ok: true });
  await heard('status.health.summary', (summary) => uploaderIn(summary)?.status === 'disabled');
  const before = agent.messages.length;
  const ids = [await clipOf(await testEvent()), await clipOf(await testEvent())];
  const sentMeanwhile = agent.messages.slice(before).filter(({ topic }) => topic === 'storage.upload.done');
  expect(sentMeanwhile).toEqual([]);

  expect(await ask({ command: 'module.enable', module: UPLOADER })).toMatchObject({ ok: true });
  for (const id of ids) await copied(id);
  const order = agent.messages
    .filter(({ topic }) => topic === 'storage.upload.done')
    .map(({ payload }) => (payload as Payload<'storage.upload.done'>).id)
    .filter((id) => ids.includes(id));
  expect(order).toEqual(ids);
});

test('an outage shows with its reason, and what happened meanwhile arrives afterwards', async () => {
  proxy.setOpen(false);
  const clipId = await clipOf(await testEvent());
  const failed = await heard('storage.s3.synced', ({ status }) => status === 'failed');
  expect(failed.error?.code).toMatch(/^S3_(UNREACHABLE|INTERRUPTED)$/);
  const down = await heard('status.health.summary', (summary) => uploaderIn(summary)?.status === 'degraded');
  expect(uploaderIn(down)?.reasons[0]?.code).toMatch(/^S3_/);
  proxy.setOpen(true);
  await copied(clipId);
});

test('what somebody deleted in the bucket is found, told, and sent again', async () => {
  const before = agent.messages.length;
  const keys = [...(await readBucket(server.port, `${NODE}/`)).keys()];
  const gone = keys.find((key) => key.startsWith('clips/'))!;
  await clientOf(server.port).removeObject(BUCKET, `${NODE}/${gone}`);
  const answer = await ask({ command: 'storage.compare' });
  expect(answer.result).toMatchObject({ missing: 1, orphaned: 0, queued_again: 1 });
  const told = await heard('storage.discrepancy', ({ missing_count }) => missing_count === 1);
  expect(told).toMatchObject({
    missing_remote: [gone],
    orphaned_remote: [],
    root: join(agent.dataDir, 'media'),
  });
  await agent.message(
    (message) =>
      agent.messages.indexOf(message) >= before &&
      message.topic === 'storage.upload.done' &&
      (message.payload as Payload<'storage.upload.done'>).object_key === `${NODE}/${gone}`,
  );
  expect((await readBucket(server.port, `${NODE}/`)).has(gone)).toBe(true);
});

test('without keys the box runs, and says what it lacks; on standby it leaves uploads to another', async () => {
  await using keyless = await startAgent({ config: config(proxy.port, 'events') });
  const lacking = await heard('status.health.summary', () => true, keyless);
  expect(uploaderIn(lacking)).toMatchObject({
    status: 'degraded',
    reasons: [{ code: 'S3_CREDENTIALS_MISSING' }],
  });
  expect(keyless.log()).toContain('storage.remote.bucket_name is now storage.remote.bucket');
  await using standby = await startAgent({
    ...{ config: config(proxy.port, 'events'), secrets, env: { SPYONCINO_STANDBY: '1' } },
  });
  const standing = await heard('status.health.summary', () => true, standby);
  expect(uploaderIn(standing)).toMatchObject({ status: 'disabled', reasons: [{ code: 'UPLOADS_STANDBY' }] });
});

test('switched on with a public key: what was recorded before follows, for its owner alone', async () => {
  const dataDir = join(folder, 'before');
  const { cameras, storage } = config(proxy.port);
  const node = { id: 'cellar' };
  let recorded: Payload<'segment.ready'>;
  {
    await using before = await startAgent({ dataDir, config: { node, cameras } });
    recorded = await heard('segment.ready', () => true, before);
  }
  const owner = newKeyPair();
  const encrypt_to = recipientText(owner.recipient);
  await using after = await startAgent({
    dataDir,
    config: {
      ...{ node, cameras: [{ ...cameras[0], enabled: false }] },
      storage: { remote: { ...storage.remote, encrypt_to } },
    },
    secrets,
  });
  const summary = await heard(
    'status.health.summary',
    (told) => {
      const { is_backfilling, queue_size } = uploaderIn(told)?.details ?? {};
      return is_backfilling === false && queue_size === 0;
    },
    after,
  );
  expect(uploaderIn(summary)?.details).toMatchObject({
    ...{ backfill_size: 0, encrypted_to: owner.recipient.keyId },
  });
  expect((await heard('storage.stats', () => true, after)).uploads.backfill).toBeGreaterThanOrEqual(0);
  const keys = privateKeysOf([owner.pem]);
  await vi.waitFor(
    async () => {
      const there = await readBucket(server.port, `${node.id}/`, keys);
      const found = [...there].find(([key]) => key.endsWith(`/${recorded.segment_id}.mp4`));
      expect(found?.[1]).toEqual({ sizeBytes: recorded.size_bytes, sha256: recorded.sha256 });
    },
    { timeout: 20_000, interval: 500 },
  );
});
