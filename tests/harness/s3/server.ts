/**
 * A real S3 server in a process of its own: s3rver, which keeps objects as files, checks signatures, and stores what
 * of a broken upload had arrived. It lacks the listing of parts and of unfinished uploads, and their end; with
 * `extended` these are answered here, from its files.
 *
 * As a program: `server.ts DIRECTORY BUCKET extended|plain [CERT KEY]`; prints its port.
 */
import { spawn } from 'node:child_process';
import crypto from 'node:crypto';
import { once } from 'node:events';
import { readdir, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

export interface S3ServerOptions {
  readonly directory: string;
  readonly bucket: string;
  /** Lists and aborts multipart uploads; default: yes. */
  readonly isExtended?: boolean;
  /** With TLS: PEM files. */
  readonly tls?: { readonly certFile: string; readonly keyFile: string };
  /** In place of any free one. */
  readonly port?: number;
}

export interface S3Server extends AsyncDisposable {
  readonly port: number;
}

/** Keys that it takes. */
export const S3_KEY = 'S3RVER';

export async function startS3Server({
  directory,
  bucket,
  isExtended = true,
  tls,
  port = 0,
}: S3ServerOptions): Promise<S3Server> {
  const args = [directory, bucket, isExtended ? 'extended' : 'plain', String(port)];
  const child = spawn(
    process.execPath,
    [import.meta.filename, ...args, ...(tls ? [tls.certFile, tls.keyFile] : [])],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const exited = once(child, 'exit');
  const [line] = (await Promise.race([
    once(createInterface({ input: child.stdout }), 'line'),
    exited.then(() => Promise.reject(new Error('the S3 server did not start'))),
  ])) as [string];
  return {
    port: Number(line),
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL');
      await exited;
    },
  };
}

interface Context {
  readonly method: string;
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
  status: number;
  type: string;
  body: string;
}

async function serve(argv: readonly string[]): Promise<void> {
  const [directory = '', bucket = '', mode, port, certFile, keyFile] = argv;
  // Made for an older Node, and loud about it.
  process.removeAllListeners('warning');
  // It makes its continuation tokens with DES, which is not to be had any more; three times the same key is the same.
  const { createCipheriv, createDecipheriv } = crypto;
  const tripled = (key: Buffer): Buffer => Buffer.concat([key, key, key]);
  Object.assign(crypto, {
    createCipheriv: (_: string, key: Buffer, iv: Buffer) => createCipheriv('des-ede3-cbc', tripled(key), iv),
    createDecipheriv: (_: string, key: Buffer, iv: Buffer) =>
      createDecipheriv('des-ede3-cbc', tripled(key), iv),
  });
  const untyped: string = 's3rver';
  const { default: S3rver } = (await import(untyped)) as {
    default: new (options: object) => { middleware: unknown[]; run(): Promise<{ port: number }> };
  };
  const server = new S3rver({
    directory,
    address: '127.0.0.1',
    port: Number(port),
    silent: true,
    serviceEndpoint: 'localhost',
    configureBuckets: [{ name: bucket }],
    ...(certFile && keyFile ? { cert: await readFile(certFile), key: await readFile(keyFile) } : {}),
  });
  if (mode === 'extended') {
    const uploads = join(directory, bucket, '._S3rver_uploads');
    server.middleware.unshift((context: Context, next: () => Promise<void>) =>
      extend(uploads, context, next),
    );
  }
  process.stdout.write(`${(await server.run()).port}\n`);
}

async function extend(uploads: string, context: Context, next: () => Promise<void>): Promise<void> {
  const { method, query } = context;
  const { uploadId } = query;
  const answer = (status: number, body: string): void => {
    Object.assign(context, { status, type: 'application/xml', body });
  };
  if (method === 'GET' && 'uploads' in query) {
    const all = await Promise.all(
      (await readdir(uploads).catch(() => [])).map(async (id) => {
        const key = await readFile(join(uploads, id, 'key'), 'utf8').catch(() => '');
        return `<Upload><Key>${key}</Key><UploadId>${id}</UploadId><Initiated>2026-01-01T00:00:00.000Z</Initiated></Upload>`;
      }),
    );
    return answer(
      200,
      `<ListMultipartUploadsResult><IsTruncated>false</IsTruncated>${all.join('')}</ListMultipartUploadsResult>`,
    );
  }
  if (uploadId === undefined || (method !== 'GET' && method !== 'DELETE')) return await next();
  const folder = join(uploads, uploadId);
  const names = await readdir(folder).catch(() => null);
  if (!names) return answer(404, '<Error><Code>NoSuchUpload</Code><Message>no such upload</Message></Error>');
  if (method === 'DELETE') {
    await rm(folder, { recursive: true });
    return answer(204, '');
  }
  const parts = await Promise.all(
    names
      .filter((name) => names.includes(`${name}.md5`))
      .map(async (name) => {
        const etag = await readFile(join(folder, `${name}.md5`), 'utf8');
        const { size } = await stat(join(folder, name));
        return `<Part><PartNumber>${name}</PartNumber><ETag>"${etag}"</ETag><Size>${size}</Size><LastModified>2026-01-01T00:00:00.000Z</LastModified></Part>`;
      }),
  );
  answer(200, `<ListPartsResult><IsTruncated>false</IsTruncated>${parts.join('')}</ListPartsResult>`);
}

if (import.meta.main) await serve(process.argv.slice(2));
