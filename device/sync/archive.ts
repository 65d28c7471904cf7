/** A bucket without the device that filled it: what the manifests say is there, whether it is, and back with it. */
import { createHash } from 'node:crypto';
import { open, stat } from 'node:fs/promises';
import { dirname, resolve, sep } from 'node:path';
import { CodedError } from '../contract/errors.ts';
import type { RemoteSettings } from '../contract/settings.ts';
import type { Clock } from '../kernel/clock.ts';
import { makeDirectoryDurable, replaceFileBy } from '../kernel/durable-file.ts';
import { classify } from './classify.ts';
import { parseManifest, type Manifest } from './manifest.ts';
import { manifestDayOf } from './plan.ts';
import type { Listed, Remote } from './remote.ts';
import { expectName, openSealed, type SealKeys } from './seal.ts';

export type ArchivedObject = Manifest['objects'][number];

/** `different`: of another size, or with another digest. */
export type ObjectVerdict = 'good' | 'missing' | 'different';

export interface ArchiveOptions {
  readonly settings: RemoteSettings;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

export interface DayChoice {
  readonly cameraId?: string;
  /** UTC. */
  readonly day?: string;
}

/** All that is asked of it rejects with a CodedError. */
export class Archive implements Disposable {
  readonly #remote: Remote;
  readonly #prefix: string;

  private constructor(remote: Remote, { prefix }: RemoteSettings) {
    this.#remote = remote;
    this.#prefix = prefix;
  }

  /** @throws CodedError S3_CREDENTIALS_MISSING, S3_TLS_FAILED */
  static async open(options: ArchiveOptions): Promise<Archive> {
    const { Remote } = await import('./remote.ts');
    return new Archive(await Remote.open(options), options.settings);
  }

  /** Manifests by camera and day. */
  async *days({ cameraId, day }: DayChoice): AsyncGenerator<Manifest> {
    const under = cameraId === undefined ? 'manifests/' : `manifests/${cameraId}/`;
    for await (const page of this.#list(under)) {
      for (const { key } of page) {
        const found = manifestDayOf(key);
        if (!found || (day !== undefined && found.day !== day)) continue;
        const chunks: Buffer[] = [];
        for await (const chunk of this.#bytes(key)) chunks.push(chunk);
        yield parseManifest(key, Buffer.concat(chunks).toString());
      }
    }
  }

  /** Compares size and ETag of each object with the listing; `isDeep`: reads each, and compares its SHA-256. No key is needed. */
  async *verify(
    { objects }: Pick<Manifest, 'objects'>,
    isDeep: boolean,
  ): AsyncGenerator<readonly [ArchivedObject, ObjectVerdict]> {
    for (const [folder, inFolder] of Map.groupBy(objects, ({ key }) => dirname(key))) {
      const there = new Map<string, Listed>();
      for await (const page of this.#list(`${folder}/`)) for (const each of page) there.set(each.key, each);
      for (const object of inFolder) {
        const found = there.get(object.key);
        if (!found) yield [object, 'missing'];
        else if (found.sizeBytes !== (object.sealed ?? object).sizeBytes) yield [object, 'different'];
        else if (isDeep) {
          const { sha256 } = object.sealed ?? object;
          yield [object, (await this.#digest(object.key)) === sha256 ? 'good' : 'different'];
        } else yield [object, found.etag === object.etag ? 'good' : 'different'];
      }
    }
  }

  /**
   * Brings an object to its place below `folder`, whole or not at all, decrypted where it is not the file itself.
   * False when it was there already.
   * @throws CodedError S3_CORRUPTED when it is not what was sent; SEAL_KEY_NEEDED and the like
   */
  async restore(object: ArchivedObject, folder: string, keys: SealKeys): Promise<boolean> {
    const { key, sizeBytes, sha256 } = object;
    const target = resolve(folder, key);
    // A manifest comes from elsewhere.
    if (!target.startsWith(resolve(folder) + sep))
      throw new CodedError('S3_CORRUPTED', `${key} leads elsewhere`);
    if ((await digestOfFile(target, sizeBytes)) === sha256) return false;
    await makeDirectoryDurable(dirname(target));
    await replaceFileBy(target, this.#file(object, keys));
    return true;
  }

  [Symbol.dispose](): void {
    this.#remote[Symbol.dispose]();
  }

  /** Ends with an error when it was not what the manifest says. */
  async *#file({ key, sha256, sealed }: ArchivedObject, keys: SealKeys): AsyncGenerator<Buffer> {
    const hash = createHash('sha256');
    for await (const chunk of sealed ? this.#opened(key, keys) : this.#bytes(key)) {
      hash.update(chunk);
      yield chunk;
    }
    if (hash.digest('hex') !== sha256) throw new CodedError('S3_CORRUPTED', key);
  }

  async *#opened(key: string, keys: SealKeys): AsyncGenerator<Buffer> {
    // Without a key nothing need be fetched.
    if (keys.size === 0) throw new CodedError('SEAL_KEY_NEEDED');
    const { envelope, content } = await openSealed(this.#bytes(key), keys);
    yield* expectName(envelope, this.#prefix + key, content);
  }

  async #digest(key: string): Promise<string> {
    const hash = createHash('sha256');
    for await (const chunk of this.#bytes(key)) hash.update(chunk);
    return hash.digest('hex');
  }

  async *#list(under: string): AsyncGenerator<readonly Listed[]> {
    try {
      yield* this.#remote.list(under);
    } catch (error) {
      throw classify(error);
    }
  }

  async *#bytes(key: string): AsyncGenerator<Buffer> {
    try {
      yield* (await this.#remote.get(key)) as AsyncIterable<Buffer>;
    } catch (error) {
      throw classify(error);
    }
  }
}

/** null where there is no file of this size. */
async function digestOfFile(path: string, sizeBytes: number): Promise<string | null> {
  const size = await stat(path).then(
    (found) => found.size,
    () => null,
  );
  if (size !== sizeBytes) return null;
  const hash = createHash('sha256');
  await using file = await open(path);
  for await (const chunk of file.createReadStream({ autoClose: false })) hash.update(chunk as Buffer);
  return hash.digest('hex');
}
