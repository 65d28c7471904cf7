import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { filmOf } from './film.ts';

const run = promisify(execFile);

export interface Verdict {
  readonly sha256: string;
  readonly sizeBytes: number;
  /** When each picture in the file was shown, by its note and its own time. */
  readonly picturesUtcMs: readonly number[];
  /** Why it is no whole film; null when it is one. */
  readonly complaint: string | null;
}

/** How many films one FFmpeg is given at once. */
const TOGETHER = 24;

/** Plays files to their end with FFmpeg. The same bytes are played once, however often and wherever they are seen. */
export class Judge {
  readonly #verdicts = new Map<string, Verdict>();

  /** By path. */
  async judge(paths: readonly string[]): Promise<ReadonlyMap<string, Verdict>> {
    const files = await Promise.all(
      paths.map(async (path) => {
        const bytes = await readFile(path);
        return { path, bytes, sha256: createHash('sha256').update(bytes).digest('hex') };
      }),
    );
    const unseen = [
      ...new Map(
        files.filter(({ sha256 }) => !this.#verdicts.has(sha256)).map((file) => [file.sha256, file]),
      ).values(),
    ];
    for (let at = 0; at < unseen.length; at += TOGETHER)
      await this.#judgeTogether(unseen.slice(at, at + TOGETHER));
    return new Map(files.map(({ path, sha256 }) => [path, this.#verdicts.get(sha256)!]));
  }

  async #judgeTogether(files: readonly File[]): Promise<void> {
    const films = files.map((file) => ({ ...file, ...read(file.bytes) }));
    const readable = films.filter(({ complaint }) => complaint === null);
    const { counts, complaint } = await play(readable.map(({ path }) => path));
    if (complaint && readable.length > 1) {
      for (const file of files) await this.#judgeTogether([file]);
      return;
    }
    for (const film of films) {
      const { picturesUtcMs, sha256 } = film;
      const played = counts[readable.indexOf(film)] ?? 0;
      const short =
        played === picturesUtcMs.length ? null : `plays ${played} of ${picturesUtcMs.length} pictures`;
      this.#verdicts.set(sha256, {
        ...{ sha256, picturesUtcMs, sizeBytes: film.bytes.byteLength },
        complaint: film.complaint ?? (complaint || short),
      });
    }
  }
}

interface File {
  readonly path: string;
  readonly bytes: Buffer;
  readonly sha256: string;
}

function read(bytes: Buffer): Pick<Verdict, 'picturesUtcMs' | 'complaint'> {
  try {
    return { picturesUtcMs: filmOf(bytes).picturesUtcMs, complaint: null };
  } catch (error) {
    return { picturesUtcMs: [], complaint: String(error) };
  }
}

/** Pictures that come out of each file, and what FFmpeg has to say; it stops at the first error. */
async function play(paths: readonly string[]): Promise<{ counts: readonly number[]; complaint: string }> {
  if (paths.length === 0) return { counts: [], complaint: '' };
  const inputs = paths.flatMap((path) => ['-threads', '1', '-i', path]);
  const pictures = paths.flatMap((_, i) => ['-map', `${i}:v`]);
  const sound = paths.flatMap((_, i) => ['-map', `${i}:a?`]);
  const { stdout, stderr } = await run(
    'ffmpeg',
    [
      ...['-v', 'warning', '-xerror', ...inputs, ...pictures, ...sound],
      ...['-fps_mode', 'passthrough', '-f', 'framecrc', '-'],
    ],
    { maxBuffer: 2 ** 27 },
  ).catch(({ message, stdout = '', stderr }: Error & { stdout?: string; stderr?: string }) => ({
    stdout,
    stderr: stderr || message,
  }));
  const counts = paths.map(() => 0);
  for (const line of stdout.split('\n')) {
    const stream = Number.parseInt(line, 10);
    if (stream < counts.length) counts[stream]!++;
  }
  return { counts, complaint: stderr };
}
