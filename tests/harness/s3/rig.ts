/** An uploader on a library of its own, a real S3 server, and a network between them that can be broken. */
import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'minio';
import type { CodedError, ErrorCode } from '../../../device/contract/errors.ts';
import type { RemoteSettings } from '../../../device/contract/settings.ts';
import type { RemoteObject } from '../../../device/contract/sync.ts';
import { systemClock } from '../../../device/kernel/clock.ts';
import { createLog } from '../../../device/kernel/log.ts';
import type { LibraryContext } from '../../../device/library/context.ts';
import type { Library } from '../../../device/library/index.ts';
import { OPERATIONS } from '../../../device/library/operations.ts';
import {
  expectName,
  openSealed,
  Uploader,
  type Difference,
  type SealKeys,
  type Sent,
} from '../../../device/sync/index.ts';
import { ledgerOf } from '../../../device/upload-desk.ts';
import { openIndex, plantInto, type PlantedObject } from './footage.ts';
import { startProxy, type Proxy } from './proxy.ts';
import { S3_KEY, startS3Server, type S3Server } from './server.ts';
import { registerConsumers } from '../../../device/library/outbox.ts';

export const BUCKET = 'footage';
export const PREFIX = 'porch-box/';

export interface UploadRigOptions {
  readonly settings?: Partial<RemoteSettings>;
  /** As `isExtended` of the server. */
  readonly isExtended?: boolean;
  /** As `tls` of the server; `bucket` cannot look into it then. */
  readonly tls?: { readonly certFile: string; readonly keyFile: string };
}

export interface UploadRig extends AsyncDisposable {
  readonly dataDir: string;
  readonly server: S3Server;
  readonly proxy: Proxy;
  readonly index: LibraryContext;
  readonly settings: RemoteSettings;
  plant(objects: number, sizeOf: (n: number) => number): Promise<readonly PlantedObject[]>;
  /** A new one, as after a restart of the agent. */
  start(settings?: Partial<RemoteSettings>): TestUploader;
  bucket(): Promise<ReadonlyMap<string, Stored>>;
}

export interface Stored {
  readonly sizeBytes: number;
  readonly sha256: string;
}

export interface TestUploader extends AsyncDisposable {
  readonly uploader: Uploader;
  readonly sent: readonly RemoteObject[];
  readonly failures: readonly ErrorCode[];
  readonly differences: readonly Difference[];
  /** So many objects waited at a time, as far as it was told. */
  readonly mostWaiting: number;
  /** Resolves when nothing waits any more. */
  drained(): Promise<void>;
  /** Resolves when an attempt fails, past or to come; with its code. */
  failure(): Promise<CodedError>;
  /** Resolves after so many objects. */
  after(count: number): Promise<void>;
}

export async function uploadRig(options: UploadRigOptions = {}): Promise<UploadRig> {
  await using building = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'spyoncino-uploads-'));
  building.defer(() => rm(folder, { recursive: true, force: true }));
  const dataDir = join(folder, 'data');
  const directory = join(folder, 'server');
  const server = building.use(
    await startS3Server({
      ...{ directory, bucket: BUCKET, isExtended: options.isExtended ?? true },
      ...(options.tls ? { tls: options.tls } : {}),
    }),
  );
  const proxy = building.use(await startProxy(server.port));
  const index = building.use(await openIndex(dataDir));
  registerConsumers(index, { s3: ['still', 'clip.ready', 'segment.ready'] });
  const settings: RemoteSettings = { ...remoteSettings(proxy.port), ...options.settings };
  let fromUtcMs = Date.UTC(2026, 2, 1, 12);
  const owned = building.move();
  return {
    ...{ dataDir, server, proxy, index, settings },
    async plant(objects, sizeOf) {
      const planted = await plantInto(index, { dataDir, objects, sizeOf, fromUtcMs });
      fromUtcMs += objects * 60_000;
      return planted;
    },
    start: (more = {}) => startUploader(index, dataDir, { ...settings, ...more }),
    bucket: () => readBucket(server.port),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

export const remoteSettings = (port: number): RemoteSettings => ({
  endpoint: `http://127.0.0.1:${port}`,
  bucket: BUCKET,
  region: null,
  pathStyle: true,
  prefix: PREFIX,
  caFile: null,
  credentials: { accessKeyId: S3_KEY, secretAccessKey: S3_KEY, sessionToken: null },
  kinds: ['still', 'clip', 'segment'],
  maxConcurrency: 2,
  partBytes: 5 * 2 ** 20,
  maxBytesPerSecond: null,
  windows: [],
  isMetered: false,
  tags: {},
  serverSideEncryption: null,
  encryptTo: null,
  objectLock: null,
  backfillMs: 0,
  checkIntervalMs: null,
});

/** The library without its thread. */
const libraryOn = (index: LibraryContext): Pick<Library, 'ask'> => ({
  ask: async (operation, ...[argument]) => {
    const run = OPERATIONS[operation] as (context: LibraryContext, argument: unknown) => unknown;
    return (await run(index, argument)) as never;
  },
});

function startUploader(index: LibraryContext, dataDir: string, settings: RemoteSettings): TestUploader {
  const sent: RemoteObject[] = [];
  const failures: CodedError[] = [];
  const differences: Difference[] = [];
  let changed = Promise.withResolvers<void>();
  const tell = (): void => {
    changed.resolve();
    changed = Promise.withResolvers();
  };
  const until = async (isSo: () => boolean): Promise<void> => {
    while (!isSo()) await changed.promise;
  };
  let waiting = Infinity;
  let mostWaiting = 0;
  const uploader = new Uploader({
    ...{ settings, dataDir, ledger: ledgerOf(libraryOn(index)), clock: systemClock },
    log: createLog({ name: 'uploads', level: process.env['UPLOADS_LOG'] ?? 'silent' }),
    onSent(object: RemoteObject, _sent: Sent) {
      sent.push(object);
      tell();
    },
    onFailed(_object, reason) {
      failures.push(reason);
      tell();
    },
    onCompared: (difference) => differences.push(difference),
    onBacklog({ objects }) {
      waiting = objects;
      mostWaiting = Math.max(mostWaiting, objects);
      tell();
    },
  });
  uploader.start();
  return {
    ...{ uploader, sent, differences },
    get failures() {
      return failures.map(({ code }) => code);
    },
    get mostWaiting() {
      return mostWaiting;
    },
    drained: () => until(() => waiting === 0),
    async failure() {
      await until(() => failures.length > 0);
      return failures[0]!;
    },
    after: (count) => until(() => sent.length >= count),
    [Symbol.asyncDispose]: () => uploader.stop(),
  };
}

/** Another client of the server. */
export const clientOf = (port: number): Client =>
  new Client({
    ...{ endPoint: '127.0.0.1', port, useSSL: false, accessKey: S3_KEY, secretKey: S3_KEY },
    region: 'us-east-1',
  });

/** All objects, as another client of the server sees them; keys without the prefix. With `keys` what is inside of footage. */
export async function readBucket(
  port: number,
  prefix = PREFIX,
  keys: SealKeys | null = null,
): Promise<ReadonlyMap<string, Stored>> {
  const client = clientOf(port);
  const found = new Map<string, Stored>();
  for await (const { name } of client.listObjectsV2(BUCKET, '', true) as AsyncIterable<{ name: string }>) {
    const hash = createHash('sha256');
    let sizeBytes = 0;
    const key = name.startsWith(prefix) ? name.slice(prefix.length) : name;
    const there: AsyncIterable<Buffer> = await client.getObject(BUCKET, name);
    const isOpened = name.startsWith(prefix) && !key.startsWith('manifests/');
    for await (const chunk of keys && isOpened ? inside(name, there, keys) : there) {
      hash.update(chunk);
      sizeBytes += chunk.byteLength;
    }
    if (found.has(key)) throw new Error(`${name} is listed twice`);
    found.set(key, { sizeBytes, sha256: hash.digest('hex') });
  }
  return found;
}

async function* inside(name: string, there: AsyncIterable<Buffer>, keys: SealKeys): AsyncGenerator<Buffer> {
  const { envelope, content } = await openSealed(there, keys);
  yield* expectName(envelope, name, content);
}

/** What should be in the bucket of what was planted. */
export const expected = (planted: readonly PlantedObject[]): ReadonlyMap<string, Stored> =>
  new Map(
    planted
      .toSorted((a, b) => (a.key < b.key ? -1 : 1))
      .map(({ key, sizeBytes, sha256 }) => [key, { sizeBytes, sha256 }]),
  );

/** Without manifests. */
export const footageIn = (bucket: ReadonlyMap<string, Stored>): ReadonlyMap<string, Stored> =>
  new Map([...bucket].filter(([key]) => !key.startsWith('manifests/')));
