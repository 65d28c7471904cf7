import { spawn } from 'node:child_process';
import { constants, setPriority } from 'node:os';
import { fileURLToPath } from 'node:url';

/** What becomes a picture. */
export type PictureJob =
  /** `input` is an SVG without text; a PNG comes out. */
  | { readonly kind: 'svg' }
  /** `input` is pictures of one size after each other, RGB with 8 bits; an animated GIF comes out: what chats and mail programs show alike. */
  | {
      readonly kind: 'animation';
      readonly width: number;
      readonly height: number;
      /** How long each is shown. */
      readonly delayMs: number;
      /** Fewer colours, then smaller, then fewer pictures, until it fits. */
      readonly maxBytes: number;
    };

const LIMIT_MS = 60_000;
const MAX_OUTPUT_BYTES = 8_000_000;
const CHILD = fileURLToPath(new URL('./pictures-child.ts', import.meta.url));

/**
 * Makes a picture in a process of its own, at low priority: the library for it is native, and what it takes is given
 * back with the process. Rejects when that takes longer than a minute, or fails, or `signal` aborts.
 */
export async function makePicture(job: PictureJob, input: Uint8Array, signal: AbortSignal): Promise<Buffer> {
  const child = spawn(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', '--max-semi-space-size=1', CHILD, JSON.stringify(job)],
    {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { UV_THREADPOOL_SIZE: '1', MALLOC_ARENA_MAX: '2' },
      signal: AbortSignal.any([signal, AbortSignal.timeout(LIMIT_MS)]),
      killSignal: 'SIGKILL',
    },
  );
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  const parts: Buffer[] = [];
  let [sizeBytes, complaint] = [0, ''];
  child.stdout.on('data', (part: Buffer) => {
    sizeBytes += part.byteLength;
    if (sizeBytes > MAX_OUTPUT_BYTES) child.kill('SIGKILL');
    else parts.push(part);
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    complaint = (complaint + text).slice(0, 1000);
  });
  // The end comes after it.
  child.on('error', (error) => (complaint ||= error.message));
  child.on('close', (code) =>
    code === 0 && sizeBytes > 0
      ? resolve(Buffer.concat(parts))
      : reject(new Error(`no picture was made: ${complaint.trim() || `exit code ${code}`}`)),
  );
  if (child.pid !== undefined) lowerPriority(child.pid);
  // Of a child that ends early; its exit says why.
  child.stdin.on('error', () => {}).end(input);
  return await promise;
}

function lowerPriority(pid: number): void {
  try {
    setPriority(pid, constants.priority.PRIORITY_BELOW_NORMAL);
  } catch {
    // It may be over already.
  }
}
