/** The uploader beside others that copy the same files to the same server. */
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { BUCKET, clientOf, uploadRig, type UploadRig } from '../harness/s3/rig.ts';
import { newKeyPair } from '../../device/sync/index.ts';
import { S3_KEY } from '../harness/s3/server.ts';
import type { PlantedObject } from '../harness/s3/footage.ts';
import { table } from './facts.ts';

const run = promisify(execFile);
const MB = 2 ** 20;

/** Files as of a busy camera, and what they are called. */
const LOADS = [
  {
    name: '300 stills and short clips of 20 to 900 kB',
    objects: 300,
    sizeOf: (n: number) => 20_000 + (n % 45) * 20_000,
  },
  { name: '12 segments of 30 MB', objects: 12, sizeOf: () => 30 * MB },
] as const;

interface Result {
  readonly ms: number;
  readonly bytes: number;
  /** Of this process beyond what it had before; null where it is not ours. */
  readonly memoryMb: number | null;
}

type Way = readonly [
  name: string,
  copy: (rig: UploadRig, planted: readonly PlantedObject[]) => Promise<Result>,
];

export async function benchSync({ rounds }: { rounds: number }): Promise<string> {
  const hasRclone = await run('rclone', ['version']).then(
    () => true,
    () => false,
  );
  const rows: string[][] = [['to s3rver on this machine', 'MB/s', 'objects/s', 'memory, MB']];
  for (const { name, objects, sizeOf } of LOADS) {
    const ways: readonly Way[] = [
      ['uploader, 2 at a time', (rig, planted) => byUploader(rig, planted, 2)],
      ['uploader, 4 at a time', (rig, planted) => byUploader(rig, planted, 4)],
      ['uploader, 2 at a time, encrypted', (rig, planted) => byUploader(rig, planted, 2, true)],
      ['one PUT after the other', bySequence],
      ...(hasRclone ? ([['rclone copy, 4 at a time', byRclone]] as const) : []),
    ];
    for (const [way, copy] of ways) {
      const results: Result[] = [];
      for (let round = 0; round < rounds; round++) {
        await using rig = await uploadRig({ settings: { partBytes: 8 * MB } });
        const planted = await rig.plant(objects, sizeOf);
        results.push(await copy(rig, planted));
      }
      const best = results.toSorted((a, b) => a.ms - b.ms)[Math.floor(results.length / 2)]!;
      const memory = results.map(({ memoryMb }) => memoryMb).filter((mb) => mb !== null);
      rows.push([
        `${name}: ${way}`,
        (best.bytes / 1e3 / best.ms).toFixed(1),
        ((objects * 1000) / best.ms).toFixed(0),
        memory.length === 0 ? '' : Math.max(...memory).toFixed(0),
      ]);
    }
  }
  const note = hasRclone ? '' : '\nLeft out: rclone (Debian package rclone).';
  return `Medians of ${rounds}.\n\n${table(rows)}${note}`;
}

const total = (planted: readonly PlantedObject[]): number =>
  planted.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);

/** Ledger, digests and verification included. */
async function byUploader(
  rig: UploadRig,
  planted: readonly PlantedObject[],
  maxConcurrency: number,
  isEncrypted = false,
): Promise<Result> {
  const before = process.memoryUsage.rss();
  let peak = before;
  const sampler = setInterval(() => (peak = Math.max(peak, process.memoryUsage.rss())), 20);
  const startedMs = performance.now();
  const endpoint = `http://127.0.0.1:${rig.server.port}`;
  {
    await using uploads = rig.start({
      ...{ endpoint, maxConcurrency },
      encryptTo: isEncrypted ? newKeyPair().recipient : null,
    });
    await uploads.drained();
  }
  clearInterval(sampler);
  return { ms: performance.now() - startedMs, bytes: total(planted), memoryMb: (peak - before) / MB };
}

/** What a loop around a client does. */
async function bySequence(rig: UploadRig, planted: readonly PlantedObject[]): Promise<Result> {
  const client = clientOf(rig.server.port);
  const startedMs = performance.now();
  for (const { key, path, sizeBytes } of planted) {
    const file = createReadStream(join(rig.dataDir, path));
    await once(file, 'open');
    await client.putObject(BUCKET, key, file, sizeBytes);
  }
  return { ms: performance.now() - startedMs, bytes: total(planted), memoryMb: null };
}

async function byRclone(rig: UploadRig, planted: readonly PlantedObject[]): Promise<Result> {
  const env = {
    ...process.env,
    // Of no use without TLS, and more than rclone 1.60 can take.
    AWS_CA_BUNDLE: '',
    RCLONE_CONFIG_BENCH_TYPE: 's3',
    RCLONE_CONFIG_BENCH_PROVIDER: 'Other',
    RCLONE_CONFIG_BENCH_ENDPOINT: `http://127.0.0.1:${rig.server.port}`,
    RCLONE_CONFIG_BENCH_ACCESS_KEY_ID: S3_KEY,
    RCLONE_CONFIG_BENCH_SECRET_ACCESS_KEY: S3_KEY,
    RCLONE_CONFIG_BENCH_CHUNK_SIZE: '8M',
    RCLONE_CONFIG_BENCH_UPLOAD_CUTOFF: '8M',
  };
  const media = join(rig.dataDir, 'media');
  const startedMs = performance.now();
  await run('rclone', ['copy', '--transfers', '4', '--exclude', 'identity.json', media, `bench:${BUCKET}`], {
    env,
  });
  return { ms: performance.now() - startedMs, bytes: total(planted), memoryMb: null };
}
