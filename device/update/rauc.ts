import { execFile, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { z } from 'zod';
import { CodedError, type ErrorCode } from '../contract/errors.ts';

/** What a bundle says of itself, by a signature that was verified. */
export interface BundleInfo {
  readonly compatible: string;
  readonly version: string;
}

export interface SlotInfo {
  readonly name: string;
  /** Of its group of slots; null for those that go with another. */
  readonly bootName: string | null;
  readonly state: string;
  /** `good`, `bad`, or null where nobody knows. */
  readonly bootStatus: string | null;
  /** What was installed there; null where nobody noted it. */
  readonly version: string | null;
}

export interface RaucStatus {
  readonly compatible: string;
  /** Boot name of the slot that runs; null on a system that was not started by the boot script. */
  readonly booted: string | null;
  readonly slots: readonly SlotInfo[];
}

export interface RaucOptions {
  /** For tests: instead of the system's. The service has its own. */
  readonly config?: string;
  readonly env?: Readonly<Record<string, string | undefined>>;
}

const infoSchema = z.object({ compatible: z.string(), version: z.string() });
const slotSchema = z.object({
  bootname: z.string().nullish(),
  state: z.string(),
  boot_status: z.string().nullish(),
  slot_status: z.object({ bundle: z.object({ version: z.string().nullish() }).optional() }).optional(),
});
const statusSchema = z.object({
  compatible: z.string(),
  booted: z.string().nullish(),
  slots: z.array(z.record(z.string(), slotSchema)),
});

/** For each slot RAUC starts our backend, which takes seconds on a busy box. */
const QUESTION_PATIENCE_MS = 60_000;
/** What RAUC says, and what that means for whoever wants an update. The first that fits. */
const MEANINGS: readonly (readonly [RegExp, ErrorCode])[] = [
  [/signature verification failed|Signature size is 0|no signature/i, 'UPDATE_UNSIGNED'],
  [/Compatible mismatch/i, 'UPDATE_WRONG_BOARD'],
  [/version.*(?:lower|older|smaller)|downgrade/i, 'UPDATE_OLDER'],
  [/via D-Bus/i, 'UPDATE_FAILED'],
  [/No space left/i, 'UPDATE_NO_SPACE'],
  [/No such file/i, 'UPDATE_NOT_FOUND'],
  [
    /Invalid bundle format|Invalid identifier|squashfs magic|not a multiple of 4|too small/i,
    'UPDATE_TRUNCATED',
  ],
];

/**
 * RAUC by its command line (`rauc … --output-format=json`). Installing and marking are done by its service, which
 * has the rights for that.
 */
export class Rauc {
  readonly #o: RaucOptions;

  constructor(options: RaucOptions = {}) {
    this.#o = options;
  }

  /** @throws CodedError UPDATE_UNSIGNED, UPDATE_TRUNCATED, … */
  async info(path: string, signal?: AbortSignal): Promise<BundleInfo> {
    const { config } = this.#o;
    const where = config === undefined ? [] : [`--conf=${config}`];
    return infoSchema.parse(await this.#ask(['info', ...where, '--output-format=json', path], signal));
  }

  async status(signal?: AbortSignal): Promise<RaucStatus> {
    const status = statusSchema.parse(
      await this.#ask(['status', '--detailed', '--output-format=json'], signal),
    );
    return {
      compatible: status.compatible,
      booted: status.booted ?? null,
      slots: status.slots.flatMap((named) =>
        Object.entries(named).map(([name, slot]) => ({
          name,
          bootName: slot.bootname ?? null,
          state: slot.state,
          bootStatus: slot.boot_status ?? null,
          version: slot.slot_status?.bundle?.version ?? null,
        })),
      ),
    };
  }

  /** Writes the other slot and makes it the next one to start. `source` is a file, or an address on this machine. */
  async install(source: string, onProgress: (fraction: number) => void, signal: AbortSignal): Promise<void> {
    const child = spawn('rauc', ['install', source], {
      env: { ...process.env, ...this.#o.env },
      stdio: ['ignore', 'pipe', 'pipe'],
      signal,
    });
    const ended = new Promise<number | null>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', resolve);
    });
    // Without this a failed start would be nobody's while lines are awaited.
    ended.catch(() => {});
    let said = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => (said = (said + text).slice(-MAX_SAID)));
    for await (const line of createInterface({ input: child.stdout })) {
      const percent = /^\s*(\d{1,3})% /.exec(line)?.[1];
      if (percent === undefined) said = `${said}${line}\n`.slice(-MAX_SAID);
      else onProgress(Math.min(1, Number(percent) / 100));
    }
    const code = await ended.catch((error: unknown) => {
      throw startFailure(error, signal);
    });
    if (code !== 0) throw meaningOf(/LastError: (.*)/.exec(said)?.[1] ?? said);
  }

  /** The slot that does not run is the next one to start. */
  async activateOther(): Promise<void> {
    await this.#run(['status', 'mark-active', 'other']);
  }

  async #ask(args: readonly string[], signal?: AbortSignal): Promise<unknown> {
    const stdout = await this.#run(args, signal);
    // Older versions print messages before it.
    const from = stdout.indexOf('{');
    try {
      return JSON.parse(stdout.slice(Math.max(0, from)));
    } catch (error) {
      throw new CodedError('UPDATE_FAILED', 'RAUC gave no answer that can be read', { cause: error });
    }
  }

  async #run(args: readonly string[], signal?: AbortSignal): Promise<string> {
    try {
      const { stdout } = await promisify(execFile)('rauc', [...args], {
        env: { ...process.env, ...this.#o.env },
        timeout: QUESTION_PATIENCE_MS,
        ...(signal ? { signal } : {}),
      });
      return stdout;
    } catch (error) {
      const { code, stderr } = error as { code?: unknown; stderr?: string };
      if (typeof code === 'number') throw meaningOf(stderr ?? '');
      throw startFailure(error, signal);
    }
  }
}

const MAX_SAID = 8192;

function startFailure(error: unknown, signal?: AbortSignal): Error {
  if (signal?.aborted) return error as Error;
  return (error as NodeJS.ErrnoException).code === 'ENOENT'
    ? new CodedError('UPDATE_NOT_AN_IMAGE', 'rauc is not installed')
    : CodedError.from(error, 'UPDATE_FAILED');
}

/** Of what RAUC wrote when it failed. */
export function meaningOf(said: string): CodedError {
  const words = said
    .split('\n')
    .filter((line) => line.trim() !== '' && !/^rauc-Message|^\(rauc:/.test(line))
    .map((line) => line.trim());
  const detail = words.at(-1) ?? 'RAUC does not say why';
  const code = MEANINGS.find(([pattern]) => pattern.test(words.join('\n')))?.[1] ?? 'UPDATE_FAILED';
  return new CodedError(code, detail.slice(0, 300));
}
