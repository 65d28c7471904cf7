/**
 * An agent copies a backlog to a bucket while its connections are cut and it is killed, at seeded points; in the end
 * every object must be in the bucket once, byte for byte, and the ledger must say the same as the bucket's listing.
 */
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { recipientText, type Recipient } from '../../device/contract/recipient.ts';
import { newKeyPair, privateKeysOf } from '../../device/sync/index.ts';
import { seededRandom } from '../crash/seeded-random.ts';
import { startAgent, type TestAgent } from '../harness/agent.ts';
import { openIndex, plant } from '../harness/s3/footage.ts';
import { startProxy, type Proxy } from '../harness/s3/proxy.ts';
import { BUCKET, expected, footageIn, PREFIX, readBucket } from '../harness/s3/rig.ts';
import { S3_KEY, startS3Server } from '../harness/s3/server.ts';

export interface InterruptOptions {
  readonly objects: number;
  readonly cuts: number;
  readonly kills: number;
  readonly seed: number;
  /** Everything is encrypted on its way. */
  readonly isEncrypted?: boolean;
  readonly tell?: (line: string) => void;
}

export interface InterruptReport {
  readonly objects: number;
  readonly bytes: number;
  /** Bytes that went over the wire; more than `bytes` is what interruptions cost, and what requests say beside them. */
  readonly sentBytes: number;
  readonly cuts: number;
  readonly kills: number;
  readonly seconds: number;
  /** What is not as it should be; empty: all is. */
  readonly broken: readonly string[];
}

const MB = 2 ** 20;

/** Most objects are small; one in forty needs several parts. */
const sizeOf =
  (random: () => number) =>
  (n: number): number =>
    n % 40 === 7 ? Math.round(11 * MB + random() * 6 * MB) : Math.round(2000 + random() ** 3 * 600_000);

export async function interrupt({
  objects,
  cuts,
  kills,
  seed,
  isEncrypted = false,
  tell = () => {},
}: InterruptOptions): Promise<InterruptReport> {
  const startedMs = performance.now();
  const random = seededRandom(seed);
  await using building = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'spyoncino-interrupt-'));
  building.defer(() => rm(folder, { recursive: true, force: true }));
  const dataDir = join(folder, 'data');
  const planted = await plant({ dataDir, objects, sizeOf: sizeOf(random) });
  const bytes = planted.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  const server = building.use(await startS3Server({ directory: join(folder, 'server'), bucket: BUCKET }));
  const proxy = building.use(await startProxy(server.port));
  const owner = isEncrypted ? newKeyPair() : null;
  const options = agentOptions(proxy, dataDir, owner?.recipient ?? null);

  for (const bytesAt of points(random, cuts, bytes)) {
    proxy.breakAt(bytesAt, random() < 0.6 ? 'request' : 'response');
  }
  let done = 0;
  for (const bytesAt of points(random, kills, bytes)) {
    const killed = Promise.withResolvers<void>();
    proxy.at(bytesAt, () => killed.resolve());
    const agent = await startAgent(options);
    const isDrained = new AbortController();
    const over = await Promise.race([
      killed.promise.then(() => false),
      drained(agent, isDrained.signal).then(() => true),
    ]);
    isDrained.abort();
    if (!over) {
      process.kill(agent.pid, 'SIGKILL');
      done++;
      tell(`killed ${done} of ${kills} at ${Math.round(proxy.sentBytes / MB)} MB, ${proxy.cuts} cuts`);
    }
    await agent[Symbol.asyncDispose]();
    if (over) break;
  }
  {
    await using agent = await startAgent(options);
    await drained(agent, new AbortController().signal);
  }

  const broken: string[] = [];
  const there = footageIn(await readBucket(server.port, PREFIX, owner && privateKeysOf([owner.pem])));
  const wanted = expected(planted);
  for (const [key, { sizeBytes, sha256 }] of wanted) {
    const found = there.get(key);
    if (!found) broken.push(`${key} is not in the bucket`);
    else if (found.sizeBytes !== sizeBytes || found.sha256 !== sha256) broken.push(`${key} is another`);
  }
  for (const key of there.keys()) if (!wanted.has(key)) broken.push(`${key} should not be in the bucket`);
  using index = await openIndex(dataDir);
  const ledger = index.store.all<{ key: string; state: string; isLeft: number }>(
    'SELECT key, state, seal IS NOT NULL AS isLeft FROM remote ORDER BY key',
  );
  for (const { key, state, isLeft } of ledger) {
    if (isLeft) broken.push(`${key} still has a key in the ledger`);
    if (state !== 'verified') broken.push(`${key} is ${state} in the ledger`);
    if (!there.has(key)) broken.push(`${key} is in the ledger alone`);
  }
  if (ledger.length !== there.size)
    broken.push(`${ledger.length} in the ledger, ${there.size} in the bucket`);
  const seconds = (performance.now() - startedMs) / 1000;
  return {
    ...{ objects, bytes, sentBytes: proxy.sentBytes, cuts: proxy.cuts, kills: done, seconds, broken },
  };
}

/** Ascending; in every part of the way, so that none is met twice and all before the end. */
const points = (random: () => number, count: number, bytes: number): number[] =>
  Array.from({ length: count }, (_, n) => Math.round(((n + random()) / count) * bytes * 0.98));

const agentOptions = (
  proxy: Proxy,
  dataDir: string,
  recipient: Recipient | null,
): Parameters<typeof startAgent>[0] => ({
  dataDir,
  config: {
    cameras: [{ camera_id: 'porch', test_pattern: true, enabled: false }],
    storage: {
      remote: {
        ...{ enabled: true, endpoint: `http://127.0.0.1:${proxy.port}`, bucket: BUCKET, prefix: PREFIX },
        part_mb: 5,
        encrypt_to: recipient && recipientText(recipient),
      },
      retention: { continuous: { max_days: null }, event: { max_days: null } },
    },
  },
  secrets: { storage: { remote: { access_key_id: S3_KEY, secret_access_key: S3_KEY } } },
});

/** Resolves when the agent says that nothing waits any more. */
async function drained(agent: TestAgent, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const text = await fetch(`http://127.0.0.1:${agent.metricsPort}/metrics`, { signal })
      .then((response) => response.text())
      .catch(() => '');
    if (/^spyoncino_upload_backlog_objects\S* 0$/m.test(text)) return;
    // It has hardly changed before the agent says anything more.
    let left = agent.messages.length;
    await Promise.race([agent.message(() => left-- === 0).catch(() => {}), once(signal, 'abort')]);
  }
}
