import { readFile } from 'node:fs/promises';
import http, { type ClientRequest, type IncomingMessage } from 'node:http';
import https from 'node:https';
import { Readable } from 'node:stream';
import { Client } from 'minio';
import { CodedError } from '../contract/errors.ts';
import type { RemoteSettings } from '../contract/settings.ts';
import type { RemotePart } from '../contract/sync.ts';
import type { Clock } from '../kernel/clock.ts';
import { isCode, ServerTrouble, Silence } from './classify.ts';
import { Pace } from './pace.ts';

export interface RemoteOptions {
  readonly settings: RemoteSettings;
  readonly clock: Clock;
  /** Aborts what is under way. */
  readonly signal: AbortSignal;
}

/** An object as the server tells of it. */
export interface RemoteHead {
  readonly sizeBytes: number;
  readonly etag: string;
  readonly versionId: string | null;
  /** As we noted it beside the object. */
  readonly meta: Readonly<Record<string, string | undefined>>;
  /** The ETag is the MD5 of the content (of a multipart upload: of those of its parts). */
  readonly hasDigest: boolean;
}

/** What is told of an object before it is sent. */
export interface About {
  readonly contentType: string;
  /** Noted beside it: by which it is known again. */
  readonly mark: Readonly<Record<string, string>>;
}

export interface Content {
  readonly bytes: Buffer;
  /** Hex. */
  readonly sha256: string;
  readonly md5: string;
}

export interface Listed {
  readonly key: string;
  readonly sizeBytes: number;
  readonly etag: string;
}

/** A peer that says nothing for so long is gone. */
const SILENCE_MS = 30_000;
const MAX_ERROR_BYTES = 65_536;
const PAGE = 1000;

/** Makes public what the client keeps to itself. */
class OpenClient extends Client {
  override listParts(...given: Parameters<Client['listParts']>): ReturnType<Client['listParts']> {
    return super.listParts(...given);
  }
}

/**
 * A bucket, below the prefix. Every request is signed together with the SHA-256 of its body, which every server
 * has to verify. Nothing is tried twice here, but for a region that the server corrects.
 * Errors are what the client or the network say: see `classify`.
 */
export class Remote implements Disposable {
  readonly #settings: RemoteSettings;
  readonly #agent: http.Agent;
  readonly #signal: AbortSignal;
  readonly #pace: Pace | null;
  readonly #clock: Clock;
  readonly #make: (region: string | null) => OpenClient;
  #client: OpenClient;

  private constructor({ settings, clock, signal }: RemoteOptions, ca: string | null) {
    const { endpoint, credentials, maxBytesPerSecond, maxConcurrency, pathStyle, region } = settings;
    if (!credentials) throw new CodedError('S3_CREDENTIALS_MISSING');
    const { protocol, hostname, port } = new URL(endpoint);
    const isSecure = protocol === 'https:';
    const keep = { keepAlive: true, maxSockets: maxConcurrency + 2 };
    const agent = isSecure
      ? new https.Agent({ ...keep, ...(ca === null ? {} : { ca }) })
      : new http.Agent(keep);
    this.#settings = settings;
    this.#agent = agent;
    this.#signal = signal;
    this.#clock = clock;
    this.#pace = maxBytesPerSecond === null ? null : new Pace(maxBytesPerSecond, clock);
    this.#make = (region) => {
      const client = new OpenClient({
        endPoint: hostname.replace(/^\[|\]$/g, ''),
        ...(port === '' ? {} : { port: Number(port) }),
        useSSL: isSecure,
        accessKey: credentials.accessKeyId,
        secretKey: credentials.secretAccessKey,
        ...(credentials.sessionToken === null ? {} : { sessionToken: credentials.sessionToken }),
        ...(region === null ? {} : { region }),
        pathStyle,
        transport: {
          request: ((options: http.RequestOptions, hear: Hear) =>
            this.#send(isSecure, options, hear)) as typeof http.request,
        },
        transportAgent: agent,
        retryOptions: { disableRetry: true },
      });
      // Also over TLS: what is signed was not altered by whatever stands between.
      client.enableSHA256 = true;
      return client;
    };
    this.#client = this.#make(region);
  }

  /** @throws CodedError S3_CREDENTIALS_MISSING, S3_TLS_FAILED when the CA's file cannot be read */
  static async open(options: RemoteOptions): Promise<Remote> {
    const { caFile } = options.settings;
    const ca =
      caFile === null
        ? null
        : await readFile(caFile, 'utf8').catch((error: unknown) => {
            throw CodedError.from(error, 'S3_TLS_FAILED');
          });
    return new Remote(options, ca);
  }

  /** null when there is no such object. */
  async head(key: string): Promise<RemoteHead | null> {
    try {
      const { size, etag, versionId, metaData } = await this.#ask((client) =>
        client.statObject(this.#settings.bucket, this.#name(key)),
      );
      const meta = metaData as Record<string, string | undefined>;
      const isSealed = meta['x-amz-server-side-encryption'] === 'aws:kms' || this.#isKms;
      return {
        sizeBytes: size,
        etag,
        versionId: versionId ?? null,
        meta,
        hasDigest: !isSealed && /^[0-9a-f]{32}(-\d+)?$/.test(etag),
      };
    } catch (error) {
      if (isCode(error, 'NotFound', 'NoSuchKey')) return null;
      throw error;
    }
  }

  /** In one request. */
  async put(key: string, content: Content, about: About): Promise<void> {
    const response = await this.#ask((client) =>
      client.makeRequestStreamAsync(
        {
          method: 'PUT',
          bucketName: this.#settings.bucket,
          objectName: this.#name(key),
          headers: { ...this.#objectHeaders(about), ...bodyHeaders(content) },
        },
        this.#body(content.bytes),
        content.sha256,
        [200],
        '',
      ),
    );
    await drain(response);
  }

  /** The id of a multipart upload. */
  async begin(key: string, about: About): Promise<string> {
    const { bucket } = this.#settings;
    return await this.#ask((client) =>
      client.initiateNewMultipartUpload(bucket, this.#name(key), this.#objectHeaders(about)),
    );
  }

  /** Parts that the server has; null where it cannot say. */
  async parts(key: string, uploadId: string): Promise<readonly RemotePart[] | null> {
    try {
      const parts = await this.#ask((client) =>
        client.listParts(this.#settings.bucket, this.#name(key), uploadId),
      );
      return parts.map(({ part, etag }) => ({ part, etag: bare(etag) }));
    } catch (error) {
      if (isCode(error, 'NotImplemented', 'MethodNotAllowed')) return null;
      throw error;
    }
  }

  /** The ETag of the part. */
  async putPart(key: string, uploadId: string, part: number, content: Content): Promise<string> {
    const response = await this.#ask((client) =>
      client.makeRequestStreamAsync(
        {
          method: 'PUT',
          bucketName: this.#settings.bucket,
          objectName: this.#name(key),
          query: `partNumber=${part}&uploadId=${encodeURIComponent(uploadId)}`,
          headers: bodyHeaders(content),
        },
        this.#body(content.bytes),
        content.sha256,
        [200],
        '',
      ),
    );
    await drain(response);
    const etag = bare(response.headers.etag ?? '');
    if (/^[0-9a-f]{32}$/.test(etag) && etag !== content.md5 && !this.#isSealed(response)) {
      throw new CodedError('S3_CORRUPTED', `part ${part} of ${key}`);
    }
    return etag;
  }

  async complete(key: string, uploadId: string, parts: readonly RemotePart[]): Promise<void> {
    await this.#ask((client) =>
      client.completeMultipartUpload(this.#settings.bucket, this.#name(key), uploadId, [...parts]),
    );
  }

  async abort(key: string, uploadId: string): Promise<void> {
    try {
      await this.#ask((client) =>
        client.abortMultipartUpload(this.#settings.bucket, this.#name(key), encodeURIComponent(uploadId)),
      );
    } catch (error) {
      if (!isCode(error, 'NoSuchUpload', 'NotImplemented', 'MethodNotAllowed', 'NotFound')) throw error;
    }
  }

  /** All objects below the prefix and `under`, by key, page by page. */
  async *list(under = ''): AsyncGenerator<readonly Listed[]> {
    const { bucket, prefix } = this.#settings;
    for (let token = ''; ;) {
      const page = await this.#ask((client) =>
        client.listObjectsV2Query(bucket, prefix + under, token, '', PAGE, ''),
      );
      yield page.objects.flatMap(({ name, size, etag }) =>
        name?.startsWith(prefix)
          ? { key: name.slice(prefix.length), sizeBytes: size ?? 0, etag: bare(etag ?? '') }
          : [],
      );
      if (!page.isTruncated || !page.nextContinuationToken) return;
      token = page.nextContinuationToken;
    }
  }

  /** Multipart uploads below the prefix that were begun and neither completed nor aborted. */
  async unfinished(): Promise<readonly { key: string; uploadId: string }[]> {
    const { bucket, prefix } = this.#settings;
    const found: { key: string; uploadId: string }[] = [];
    try {
      for (let [key, id] = ['', '']; ;) {
        const page = await this.#ask((client) =>
          client.listIncompleteUploadsQuery(bucket, prefix, key, id, ''),
        );
        for (const { key, uploadId } of page.uploads) {
          if (key.startsWith(prefix)) found.push({ key: key.slice(prefix.length), uploadId });
        }
        if (!page.isTruncated) return found;
        [key, id] = [page.nextKeyMarker, page.nextUploadIdMarker];
      }
    } catch (error) {
      if (isCode(error, 'NotImplemented', 'MethodNotAllowed')) return found;
      throw error;
    }
  }

  async get(key: string): Promise<Readable> {
    return await this.#ask((client) => client.getObject(this.#settings.bucket, this.#name(key)));
  }

  [Symbol.dispose](): void {
    this.#agent.destroy();
  }

  get #isKms(): boolean {
    return this.#settings.serverSideEncryption?.algorithm === 'aws:kms';
  }

  #isSealed(response: IncomingMessage): boolean {
    return this.#isKms || response.headers['x-amz-server-side-encryption'] === 'aws:kms';
  }

  #name(key: string): string {
    return this.#settings.prefix + key;
  }

  #objectHeaders({ contentType, mark }: About): Record<string, string> {
    const { tags, serverSideEncryption, objectLock } = this.#settings;
    const query = new URLSearchParams(tags).toString();
    return {
      'content-type': contentType,
      ...Object.fromEntries(Object.entries(mark).map(([name, value]) => [`x-amz-meta-${name}`, value])),
      ...(query === '' ? {} : { 'x-amz-tagging': query }),
      ...(serverSideEncryption && {
        'x-amz-server-side-encryption': serverSideEncryption.algorithm,
        ...(serverSideEncryption.keyId !== null && {
          'x-amz-server-side-encryption-aws-kms-key-id': serverSideEncryption.keyId,
        }),
      }),
      ...(objectLock && {
        'x-amz-object-lock-mode': objectLock.mode,
        'x-amz-object-lock-retain-until-date': new Date(this.#clock.utcMs() + objectLock.ms).toISOString(),
      }),
    };
  }

  #body(bytes: Buffer): Buffer | Readable {
    return this.#pace ? Readable.from(this.#pace.chunks(bytes, this.#signal), { objectMode: false }) : bytes;
  }

  /** Again in the region that the server names, once. */
  async #ask<T>(work: (client: OpenClient) => Promise<T>): Promise<T> {
    try {
      return await work(this.#client);
    } catch (error) {
      const { region } = error as { region?: unknown };
      const isElsewhere = isCode(error, 'AuthorizationHeaderMalformed', 'PermanentRedirect');
      if (!isElsewhere || typeof region !== 'string' || this.#settings.region !== null) throw error;
      this.#client = this.#make(region);
      return await work(this.#client);
    }
  }

  /** What the client calls in place of `http.request`: with an end to silence, and to all when we are told to stop. */
  #send(isSecure: boolean, options: http.RequestOptions, hear: Hear): ClientRequest {
    const { request } = isSecure ? https : http;
    const sent = request({ ...options, signal: this.#signal }, (response) => {
      const { statusCode = 0 } = response;
      if (statusCode < 500 && statusCode !== 429 && statusCode !== 408) return hear(response);
      void troubleOf(response).then((trouble) => sent.emit('error', trouble));
    });
    sent.setTimeout(SILENCE_MS, () => sent.destroy(new Silence('no answer')));
    return sent;
  }
}

type Hear = (response: IncomingMessage) => void;

/** The client itself would not read what such an answer says. */
async function troubleOf(response: IncomingMessage): Promise<Error> {
  let text = '';
  try {
    for await (const chunk of response.setEncoding('utf8')) {
      text += chunk as string;
      if (text.length > MAX_ERROR_BYTES) break;
    }
  } catch {
    // The status says enough.
  }
  const [, code = ''] = /<Code>([^<]*)<\/Code>/.exec(text) ?? [];
  const [, message = ''] = /<Message>([^<]*)<\/Message>/.exec(text) ?? [];
  return new ServerTrouble(response.statusCode ?? 0, code, message);
}

async function drain(response: IncomingMessage): Promise<void> {
  for await (const _ of response);
}

const bodyHeaders = ({ bytes, md5 }: Content): Record<string, string> => ({
  'content-length': String(bytes.byteLength),
  'content-md5': Buffer.from(md5, 'hex').toString('base64'),
});

const bare = (etag: string): string => etag.replaceAll('"', '');
