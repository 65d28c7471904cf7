import { createHash } from 'node:crypto';
import dns from 'node:dns';
import { appendFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import type { RemoteSettings } from '../../device/contract/settings.ts';
import { commitFacts } from '../../device/library/commit.ts';
import { registerConsumers } from '../../device/library/outbox.ts';
import { startProxy } from '../harness/s3/proxy.ts';
import { startRegion } from '../harness/s3/region.ts';
import { BUCKET, clientOf, expected, footageIn, PREFIX, uploadRig } from '../harness/s3/rig.ts';
import { S3_KEY } from '../harness/s3/server.ts';

const MB = 2 ** 20;
type Heard = (error: null, addresses: readonly { address: string; family: number }[]) => void;
const keys = { accessKeyId: S3_KEY, secretAccessKey: S3_KEY, sessionToken: null };

test('what is committed arrives once, byte for byte, what tells most first', async () => {
  await using rig = await uploadRig({ settings: { maxConcurrency: 1 } });
  const planted = await rig.plant(9, (n) => 1000 + n);
  await using run = rig.start();
  await run.drained();
  expect(footageIn(await rig.bucket())).toEqual(expected(planted));
  const rank = { still: 0, clip: 1, segment: 2 };
  expect(run.sent.map(({ kind, ref }) => [kind, ref])).toEqual(
    planted.toSorted((a, b) => rank[a.kind] - rank[b.kind]).map(({ kind, ref }) => [kind, ref]),
  );
  expect(rig.index.store.get('SELECT count(*) AS n FROM outbox')).toEqual({ n: 0 });
  expect(rig.index.store.get(`SELECT count(*) AS n FROM remote WHERE state = 'verified'`)).toEqual({ n: 9 });
  expect(rig.index.store.get('SELECT count(*) AS n FROM file WHERE uploaded_ms IS NULL')).toEqual({ n: 0 });
});

test('a large file goes in parts, and goes on where the connection was cut', async () => {
  await using rig = await uploadRig();
  const [large] = await rig.plant(1, () => 23 * MB + 17);
  rig.proxy.breakAt(12 * MB, 'request');
  await using run = rig.start();
  await run.drained();
  expect(run.failures).toEqual(['S3_INTERRUPTED']);
  expect(footageIn(await rig.bucket())).toEqual(expected([large!]));
  // Parts that had arrived were not sent again.
  expect(rig.proxy.sentBytes).toBeLessThan(23 * MB + 6 * MB);
});

test('without a list of parts from the server, the ledger knows them', async () => {
  await using rig = await uploadRig({ isExtended: false });
  const planted = await rig.plant(1, () => 17 * MB);
  rig.proxy.breakAt(12 * MB, 'request');
  await using run = rig.start();
  await run.drained();
  expect(footageIn(await rig.bucket())).toEqual(expected(planted));
  expect(rig.proxy.sentBytes).toBeLessThan(17 * MB + 6 * MB);
});

test('an upload whose answer was lost is not sent again', async () => {
  await using rig = await uploadRig();
  const planted = await rig.plant(1, () => 2 * MB);
  rig.proxy.breakAt(2 * MB, 'response');
  await using run = rig.start();
  await run.drained();
  expect(run.failures).toEqual(['S3_INTERRUPTED']);
  expect(footageIn(await rig.bucket())).toEqual(expected(planted));
  expect(rig.proxy.sentBytes).toBeLessThan(3 * MB);
});

test('what arrives damaged is noticed, and sent again', async () => {
  await using rig = await uploadRig();
  const planted = await rig.plant(1, () => 2 * MB);
  rig.proxy.breakAt(MB, 'flip');
  await using run = rig.start();
  await run.drained();
  expect(run.failures).toEqual(['S3_CORRUPTED']);
  expect(footageIn(await rig.bucket())).toEqual(expected(planted));
});

test('stopped in the middle, the next one goes on', async () => {
  await using rig = await uploadRig();
  const planted = await rig.plant(3, (n) => (n === 0 ? 23 * MB : 10_000));
  const middle = Promise.withResolvers<void>();
  rig.proxy.at(14 * MB, () => middle.resolve());
  {
    await using _first = rig.start();
    await middle.promise;
  }
  expect(rig.index.store.get(`SELECT count(*) AS n FROM remote WHERE state = 'uploading'`)).toEqual({ n: 1 });
  await using second = rig.start();
  await second.drained();
  expect(footageIn(await rig.bucket())).toEqual(expected(planted));
  expect(rig.proxy.sentBytes).toBeLessThan(23 * MB + 7 * MB);
});

test('footage that was altered on the disk is not passed off as what was recorded', async () => {
  await using rig = await uploadRig();
  const planted = await rig.plant(2, () => 10_000);
  await appendFile(join(rig.dataDir, planted[0]!.path), 'x');
  await writeFile(join(rig.dataDir, planted[1]!.path), Buffer.alloc(10_000));
  await using run = rig.start();
  await run.after(0);
  const altered = await run.failure();
  expect(altered.code).toBe('FOOTAGE_ALTERED');
  // Longer at its end, the beginning is what was recorded: just that is copied.
  await run.after(1);
  expect(footageIn(await rig.bucket())).toEqual(expected([planted[0]!]));
});

test('a file that is gone is given up, others go on', async () => {
  await using rig = await uploadRig();
  const planted = await rig.plant(3, () => 10_000);
  await rm(join(rig.dataDir, planted[0]!.path));
  await using run = rig.start();
  await run.drained();
  expect(footageIn(await rig.bucket())).toEqual(expected(planted.slice(1)));
  expect(rig.index.store.get(`SELECT ref, verified_ms FROM remote WHERE state = 'expired'`)).toEqual({
    ref: planted[0]!.ref,
    verified_ms: null,
  });
});

const xml = (status: string, code: string, more = ''): string => {
  const body = `<?xml version="1.0"?><Error><Code>${code}</Code><Message>told so</Message>${more}</Error>`;
  return `HTTP/1.1 ${status}\r\ncontent-type: application/xml\r\ncontent-length: ${body.length}\r\nconnection: close\r\n\r\n${body}`;
};

test.each([
  ['SlowDown', xml('503 Slow Down', 'SlowDown'), 'S3_SLOW_DOWN'],
  [
    '503 that says nothing',
    'HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n',
    'S3_UNAVAILABLE',
  ],
  ['500', xml('500 Internal Server Error', 'InternalError'), 'S3_UNAVAILABLE'],
  ['507', xml('507 Insufficient Storage', 'XMinioStorageFull'), 'S3_FULL'],
  ['a clock that is wrong', xml('403 Forbidden', 'RequestTimeTooSkewed'), 'S3_CLOCK_SKEW'],
  ['a wrong secret', xml('403 Forbidden', 'SignatureDoesNotMatch'), 'S3_KEY_REJECTED'],
  ['keys that may not', xml('403 Forbidden', 'AccessDenied'), 'S3_FORBIDDEN'],
  ['something that is no S3', 'SSH-2.0-OpenSSH_9.2\r\n', 'S3_FAILED'],
])('%s has its code, and everything is sent when it is over', async (_, answer, code) => {
  await using rig = await uploadRig();
  const planted = await rig.plant(4, () => 5000);
  rig.proxy.answerWith(answer);
  await using run = rig.start();
  const reason = await run.failure();
  expect(reason.code).toBe(code);
  expect(reason.message).not.toContain(S3_KEY);
  if (code !== 'S3_FAILED') expect(run.uploader.trouble).toMatchObject({ code });
  rig.proxy.answerWith(null);
  if (code === 'S3_FAILED') return;
  await run.drained();
  expect(run.uploader.trouble).toBeNull();
  expect(footageIn(await rig.bucket())).toEqual(expected(planted));
});

test.each([
  ['wrong key', { credentials: { ...keys, accessKeyId: 'nobody' } }, 'S3_KEY_REJECTED'],
  ['missing bucket', { bucket: 'no-such-bucket' }, 'S3_BUCKET_MISSING'],
  ['nobody listens', { endpoint: 'http://127.0.0.1:9' }, 'S3_UNREACHABLE'],
  ['unknown host', { endpoint: 'http://no-such-host.invalid' }, 'S3_UNREACHABLE'],
  ['TLS where there is none', { secure: true }, 'S3_TLS_FAILED'],
] as const)('%s: its code, nothing lost, nothing twice', async (_, wrong, code) => {
  await using rig = await uploadRig();
  const planted = await rig.plant(4, () => 5000);
  const settings: Partial<RemoteSettings> =
    'secure' in wrong ? { endpoint: rig.settings.endpoint.replace('http', 'https') } : wrong;
  {
    await using run = rig.start(settings);
    expect((await run.failure()).code).toBe(code);
    expect(run.uploader.trouble).toMatchObject({ code });
  }
  expect(footageIn(await rig.bucket())).toEqual(new Map());
  await using run = rig.start();
  await run.drained();
  expect(footageIn(await rig.bucket())).toEqual(expected(planted));
});

test('with the bucket in the host name', async () => {
  await using rig = await uploadRig();
  const planted = await rig.plant(2, () => 5000);
  const asked: string[] = [];
  vi.spyOn(dns, 'lookup').mockImplementation(((host: string, _options: object, hear: Heard) => {
    asked.push(host);
    hear(null, [{ address: '127.0.0.1', family: 4 }]);
  }) as never);
  await using run = rig.start({ pathStyle: false, endpoint: `http://s3.localhost:${rig.proxy.port}` });
  await run.drained();
  expect(new Set(asked)).toEqual(new Set([`${BUCKET}.s3.localhost`]));
  expect(footageIn(await rig.bucket())).toEqual(expected(planted));
});

test('in a region that the server has to name', async () => {
  await using rig = await uploadRig();
  const planted = await rig.plant(2, () => 5000);
  await using far = await startRegion('eu-far-3', rig.proxy.port);
  await using run = rig.start({ endpoint: `http://127.0.0.1:${far.port}` });
  await run.drained();
  expect(run.failures).toEqual([]);
  expect(footageIn(await rig.bucket())).toEqual(expected(planted));
  await rig.plant(1, () => 5000);
  await using wrong = rig.start({ endpoint: `http://127.0.0.1:${far.port}`, region: 'us-west-1' });
  expect((await wrong.failure()).code).toBe('S3_REGION_WRONG');
});

test('bucket and ledger are compared in both directions; what is missing is sent again', async () => {
  await using rig = await uploadRig();
  const planted = await rig.plant(6, () => 5000);
  await using run = rig.start();
  await run.drained();
  expect(await run.uploader.compare()).toMatchObject({
    missing: [],
    orphaned: [],
    totalLocal: 6,
    totalRemote: 6,
  });

  const client = clientOf(rig.server.port);
  await client.removeObject(BUCKET, PREFIX + planted[1]!.key);
  await client.putObject(BUCKET, PREFIX + planted[2]!.key, Buffer.from('short'));
  await client.putObject(BUCKET, `${PREFIX}clips/porch/stranger.mp4`, Buffer.from('?'));
  await client.putObject(BUCKET, 'other-device/clip.mp4', Buffer.from('not ours'));
  expect(await run.uploader.compare()).toMatchObject({
    missing: [planted[1]!.key, planted[2]!.key].toSorted(),
    orphaned: ['clips/porch/stranger.mp4'],
    ...{ totalLocal: 6, totalRemote: 6, queuedAgain: 2 },
  });
  await run.after(8);
  expect(await run.uploader.compare()).toMatchObject({ missing: [], totalRemote: 7 });
  const there = new Map(footageIn(await rig.bucket()));
  for (const key of ['clips/porch/stranger.mp4', 'other-device/clip.mp4']) there.delete(key);
  expect(there).toEqual(expected(planted));
});

test('parts of uploads that nobody goes on with are cleared away', async () => {
  await using rig = await uploadRig();
  await rig.plant(1, () => 5000);
  const client = clientOf(rig.server.port);
  await client.initiateNewMultipartUpload(BUCKET, `${PREFIX}clips/porch/left.mp4`, {});
  await using run = rig.start();
  await run.drained();
  await run.uploader.compare();
  const left = await client.listIncompleteUploadsQuery(BUCKET, PREFIX, '', '', '');
  expect(left.uploads).toEqual([]);
});

test('objects carry tags, encryption and lock as configured', async () => {
  await using rig = await uploadRig();
  await rig.plant(1, () => 5000);
  const requests: string[] = [];
  await using wire = await startProxy(rig.proxy.port, (chunk) => requests.push(chunk.toString('latin1')));
  await using run = rig.start({
    endpoint: `http://127.0.0.1:${wire.port}`,
    tags: { keep: '30 days', site: 'a/b' },
    serverSideEncryption: { algorithm: 'aws:kms', keyId: 'mine' },
    objectLock: { mode: 'GOVERNANCE', ms: 86_400_000 },
  });
  await run.drained();
  const put = requests.find((text) => text.startsWith('PUT '))!;
  expect(put).toContain('x-amz-tagging: keep=30+days&site=a%2Fb\r\n');
  expect(put).toContain('x-amz-server-side-encryption: aws:kms\r\n');
  expect(put).toContain('x-amz-server-side-encryption-aws-kms-key-id: mine\r\n');
  expect(put).toContain('x-amz-object-lock-mode: GOVERNANCE\r\n');
  expect(put).toMatch(/x-amz-object-lock-retain-until-date: 20\d\d-/);
  expect(put).toMatch(/x-amz-content-sha256: [0-9a-f]{64}\r\n/);
});

test('a better still takes the place of the one before', async () => {
  await using rig = await uploadRig();
  const planted = await rig.plant(3, () => 5000);
  const still = planted[2]!;
  await using run = rig.start();
  await run.drained();
  const better = Buffer.alloc(7000, 1);
  await writeFile(join(rig.dataDir, still.path), better);
  commitFacts(rig.index, [
    { type: 'still', cameraId: 'porch', eventId: still.ref, path: still.path, utcMs: 1, sizeBytes: 7000 },
  ]);
  run.uploader.hurry();
  await run.after(4);
  const sha256 = createHash('sha256').update(better).digest('hex');
  expect((await rig.bucket()).get(still.key)).toEqual({ sizeBytes: 7000, sha256 });
  expect((await rig.bucket()).size).toBe(3);
});

test('segments wait for their window, stills and clips do not', async () => {
  await using rig = await uploadRig();
  const planted = await rig.plant(6, () => 5000);
  const hour = (new Date().getHours() + 3) % 24;
  const window = `${String(hour).padStart(2, '0')}:00-${String((hour + 1) % 24 || 24).padStart(2, '0')}:00`;
  await using run = rig.start({ windows: [window] });
  await run.after(4);
  const urgent = planted.filter(({ kind }) => kind !== 'segment');
  expect(footageIn(await rig.bucket())).toEqual(expected(urgent));
});

test('a bucket of more than a page of the listing is compared to its end', async () => {
  await using rig = await uploadRig();
  await rig.plant(1, () => 500);
  await using run = rig.start();
  await run.drained();
  const client = clientOf(rig.server.port);
  const strangers = Array.from({ length: 1003 }, (_, n) => `clips/porch/${String(n).padStart(4, '0')}.mp4`);
  for (const key of strangers) await client.putObject(BUCKET, PREFIX + key, Buffer.from('?'));
  const { missing, orphaned, totalRemote } = await run.uploader.compare();
  expect({ missing, orphaned, totalRemote }).toEqual({ missing: [], orphaned: strangers, totalRemote: 1004 });
});

test('footage from before uploads were wanted is copied after everything new, as far back as is wished', async () => {
  await using rig = await uploadRig({ settings: { maxConcurrency: 1 } });
  registerConsumers(rig.index, {});
  const ancient = await rig.plant(3, () => 2000);
  const old = await rig.plant(240, (n) => 500 + n);
  registerConsumers(rig.index, { s3: ['still', 'clip.ready', 'segment.ready'] });
  const fresh = await rig.plant(3, () => 3000);
  {
    await using run = rig.start();
    await run.drained();
    expect(run.uploader.isBackfilling).toBe(false);
    expect(footageIn(await rig.bucket())).toEqual(expected(fresh));
  }
  const later = await rig.plant(3, () => 4000);
  // All but the first three: they began one a minute.
  const backfillMs = Date.now() - Date.UTC(2026, 2, 1, 12, 3) + 55_000;
  await using run = rig.start({ backfillMs });
  await run.after(later.length + old.length);
  await vi.waitFor(() => expect(run.uploader.isBackfilling).toBe(false));
  await run.drained();
  const refs = run.sent.map(({ ref }) => ref);
  expect(new Set(refs.slice(0, 3))).toEqual(new Set(later.map(({ ref }) => ref)));
  expect(footageIn(await rig.bucket())).toEqual(expected([...old, ...fresh, ...later]));
  expect(refs).toHaveLength(later.length + old.length);
  expect(ancient.some(({ ref }) => refs.includes(ref))).toBe(false);
  // One kind after the other is found, never all of it waits.
  expect(run.mostWaiting).toBeLessThan(100);
});

test('bucket and ledger are compared on schedule, too', async () => {
  await using rig = await uploadRig({ settings: { checkIntervalMs: 200 } });
  const [gone] = await rig.plant(2, () => 2000);
  await using run = rig.start();
  await run.drained();
  await clientOf(rig.server.port).removeObject(BUCKET, PREFIX + gone!.key);
  await run.after(3);
  expect(run.differences.find(({ missing }) => missing.length > 0)).toMatchObject({
    ...{ missing: [gone!.key], orphaned: [], queuedAgain: 1 },
  });
});
