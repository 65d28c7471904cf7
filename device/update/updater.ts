import { readdir, readFile, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { CodedError, type ErrorReport } from '../contract/errors.ts';
import type { UpdateOutcome, UpdateState } from '../contract/update.ts';
import type { Clock } from '../kernel/clock.ts';
import { replaceFile } from '../kernel/durable-file.ts';
import type { Log } from '../kernel/log.ts';
import { TaskSet } from '../kernel/tasks.ts';
import { attemptsInWords } from './attempts.ts';
import type { Home } from './home.ts';
import { isNewer, wayBack, type Running } from './judge.ts';
import { discardBundle, PartialBundle } from './partial-bundle.ts';
import { serveRanges } from './range-server.ts';
import type { BundleInfo, Rauc, RaucStatus, SlotInfo } from './rauc.ts';
import { compareVersions } from './version.ts';

export interface UpdaterOptions {
  readonly home: Home;
  readonly rauc: Rauc;
  /** Ours alone, on the data partition. */
  readonly folder: string;
  /** Where USB sticks are mounted: each below one of these, at most two levels down. */
  readonly stickFolders: readonly string[];
  /** Where updates come from when nobody names a place; null: nobody said. */
  readonly defaultSource: () => string | null;
  /** Which camera records an event now; null: none. */
  readonly recording: () => string | null;
  /** Why the health gate did not confirm `version`; empty when it has not said. */
  readonly gateReasons: (version: string) => Promise<readonly ErrorReport[]>;
  /** What the image noted of the slot that was tried last; empty when nothing. */
  readonly attempts: () => Promise<string>;
  readonly restartBox: () => Promise<void>;
  readonly onChange: (view: UpdateView) => void;
  /** Differs between starts of the box. */
  readonly bootId: string;
  readonly clock: Clock;
  readonly log: Log;
}

export interface UpdateTarget {
  readonly version: string;
  readonly source: string;
  /** null: of a file, which is not fetched. */
  readonly sizeBytes: number | null;
}

export interface UpdateView {
  readonly state: UpdateState;
  readonly version: string | null;
  readonly target: UpdateTarget | null;
  readonly receivedBytes: number | null;
  readonly progress: number | null;
  readonly error: ErrorReport | null;
  readonly last: {
    readonly version: string;
    readonly installedUtcMs: number;
    readonly outcome: UpdateOutcome;
    readonly reasons: readonly ErrorReport[];
  } | null;
}

export interface InstallOptions {
  readonly source: string | null;
  /** Also while an event is recorded. */
  readonly now: boolean;
  readonly stream: boolean;
  readonly reboot: boolean;
}

const lastSchema = z.object({ version: z.string(), installedUtcMs: z.number(), bootId: z.string() });
/** How often it is asked whether the event is over. */
const QUIET_CHECK_MS = 1000;
/** Of a fetch, told at most this often. */
const TOLD_EVERY = 0.01;
const TRIES_AT_CHANGED = 2;

/**
 * Brings a bundle into the other slot, one at a time. What must not be installed is refused before it is fetched: the
 * ends of a bundle are enough to verify its signature and to read board and version. Nothing is written while an event
 * is recorded, and the box is not restarted then, unless somebody says so.
 */
export class Updater {
  readonly #o: UpdaterOptions;
  readonly #stopping = new AbortController();
  readonly #tasks: TaskSet;
  #view: UpdateView;
  #isBusy = false;

  constructor(options: UpdaterOptions) {
    this.#o = options;
    this.#tasks = new TaskSet((_name, error) => this.#failed(error));
    this.#view = {
      state: 'idle',
      version: options.home.kind === 'image' ? options.home.version : null,
      target: null,
      receivedBytes: null,
      progress: null,
      error: null,
      last: null,
    };
  }

  get view(): UpdateView {
    return this.#view;
  }

  /** Says what came of what was installed last. */
  async start(): Promise<void> {
    const { home, attempts, bootId, folder, gateReasons } = this.#o;
    const kept = await readLast(folder);
    if (home.kind === 'image' && kept) {
      const isTrial = kept.bootId === bootId;
      const outcome = home.version === kept.version ? 'succeeded' : 'rolled_back';
      const reasons = outcome === 'succeeded' || isTrial ? [] : await gateReasons(kept.version);
      this.#change({
        state: isTrial ? 'installed' : 'idle',
        last: {
          version: kept.version,
          installedUtcMs: kept.installedUtcMs,
          outcome: isTrial ? 'trial' : outcome,
          reasons:
            outcome === 'rolled_back' && !isTrial && reasons.length === 0
              ? [new CodedError('UPDATE_ROLLED_BACK', attemptsInWords(await attempts())).report()]
              : reasons,
        },
      });
    } else this.#change({});
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#tasks.settle();
  }

  /** Resolves when what was accepted has ended, well or not. */
  async settle(): Promise<void> {
    await this.#tasks.settle();
  }

  /** @throws CodedError why it cannot be looked at, or must not be installed */
  async check(source: string | null): Promise<{ readonly target: UpdateTarget; readonly isNewer: boolean }> {
    return await this.#exclusively('checking', async () => {
      const running = await this.#running();
      const { info, target } = await this.#find(this.#sourceOf(source), running);
      return { target, isNewer: isNewer(info, running) };
    });
  }

  /**
   * Resolves when the bundle was found good for this box; what follows is told by `onChange`.
   *
   * @throws CodedError
   */
  async install(options: InstallOptions): Promise<UpdateTarget> {
    const from = this.#sourceOf(options.source);
    this.#mayDisturb(options.now);
    return await this.#exclusively('checking', async (goOn) => {
      const running = await this.#running();
      const { target, info } = await this.#find(from, running);
      if (!isNewer(info, running)) throw new CodedError('UPDATE_OLDER', `${info.version} runs here already`);
      goOn();
      this.#tasks.run('update', async () => {
        await this.#bring(target.source, running, options);
      });
      return target;
    });
  }

  /** @throws CodedError */
  async rollback({ now, reboot }: { now: boolean; reboot: boolean }): Promise<SlotInfo> {
    this.#mayDisturb(now);
    return await this.#exclusively('installing', async () => {
      await this.#running();
      const slot = wayBack(await this.#o.rauc.status(this.#stopping.signal));
      await this.#o.rauc.activateOther();
      if (reboot) await this.#o.restartBox();
      return slot;
    });
  }

  /** @throws CodedError UPDATE_NOT_AN_IMAGE, UPDATE_FAILED */
  async slots(): Promise<RaucStatus | null> {
    return this.#o.home.kind === 'image' ? await this.#o.rauc.status(this.#stopping.signal) : null;
  }

  #sourceOf(named: string | null): string {
    const { home, defaultSource } = this.#o;
    if (home.kind !== 'image') throw new CodedError('UPDATE_NOT_AN_IMAGE', home.howTo);
    const source = named ?? defaultSource();
    if (source === null) throw new CodedError('UPDATE_SOURCE_MISSING');
    return source;
  }

  #mayDisturb(now: boolean): void {
    const camera = now ? null : this.#o.recording();
    if (camera !== null) throw new CodedError('UPDATE_RECORDING', `by camera ${camera}`);
  }

  async #running(): Promise<Running> {
    const { home, rauc } = this.#o;
    if (home.kind !== 'image') throw new CodedError('UPDATE_NOT_AN_IMAGE', home.howTo);
    const { booted, compatible } = await rauc.status(this.#stopping.signal);
    if (booted === null)
      throw new CodedError('UPDATE_NOT_AN_IMAGE', 'it was not started from a slot of the image');
    return { version: home.version, compatible };
  }

  /** What lies at `from`, verified as far as it is here. */
  async #find(from: string, { compatible }: Running): Promise<FoundBundle> {
    const { rauc, stickFolders } = this.#o;
    const { signal } = this.#stopping;
    const source = from.replaceAll('{compatible}', compatible);
    if (!/^https?:/.test(source)) {
      const candidates = source === 'usb' ? await bundlesBelow(stickFolders) : [source];
      return await bestOf(candidates, compatible, (path) => rauc.info(path, signal));
    }
    const part = await this.#open(source);
    await part.fetchEnds();
    const info = await rauc.info(part.path, signal);
    return { info, part, target: { version: info.version, source, sizeBytes: part.sizeBytes } };
  }

  #open(url: string): Promise<PartialBundle> {
    const { clock, folder, log } = this.#o;
    return PartialBundle.open({ url, folder, clock, log, signal: this.#stopping.signal });
  }

  async #bring(source: string, running: Running, options: InstallOptions): Promise<void> {
    for (let tries = TRIES_AT_CHANGED; ; tries--) {
      try {
        await this.#bringOnce(source, running, options);
        break;
      } catch (error) {
        const hasChanged = error instanceof CodedError && error.code === 'UPDATE_CHANGED';
        if (hasChanged) await discardBundle(this.#o.folder);
        if (!hasChanged || tries <= 1) throw error;
      }
    }
    if (!options.reboot) return;
    if (!options.now) await this.#quiet('installed');
    await this.#o.restartBox();
  }

  async #bringOnce(source: string, running: Running, options: InstallOptions): Promise<void> {
    const { info, part, target } = await this.#find(source, running);
    // It may be another one than was looked at.
    if (!isNewer(info, running)) throw new CodedError('UPDATE_OLDER', `${info.version} runs here already`);
    if (part && !options.stream) await this.#fetchAll(part, target);
    if (!options.now) await this.#quiet('waiting');
    await this.#write(part, target, options.stream);
    await mkdir(this.#o.folder, { recursive: true });
    const last = { version: info.version, installedUtcMs: this.#o.clock.utcMs() };
    await replaceFile(
      lastPath(this.#o.folder),
      JSON.stringify({ ...last, bootId: this.#o.bootId } satisfies z.output<typeof lastSchema>),
    );
    await discardBundle(this.#o.folder);
    this.#isBusy = false;
    this.#change({
      state: 'installed',
      target: null,
      receivedBytes: null,
      progress: null,
      last: { ...last, outcome: 'trial', reasons: [] },
    });
  }

  async #fetchAll(part: PartialBundle, target: UpdateTarget): Promise<void> {
    const tell = (): void =>
      this.#change({
        state: 'downloading',
        target,
        receivedBytes: part.receivedBytes,
        progress: part.receivedBytes / part.sizeBytes,
      });
    tell();
    await part.fetchAll(() => {
      const told = this.#view.progress ?? 0;
      if (part.isWhole || part.receivedBytes / part.sizeBytes - told >= TOLD_EVERY) tell();
    });
  }

  async #write(part: PartialBundle | null, target: UpdateTarget, stream: boolean): Promise<void> {
    const { log, rauc } = this.#o;
    const tell = (progress: number): void =>
      this.#change({ state: 'installing', target, receivedBytes: part?.receivedBytes ?? null, progress });
    tell(0);
    await using server = part && stream ? await serveRanges(part, log) : null;
    await rauc.install(server?.url ?? part?.path ?? target.source, tell, this.#stopping.signal);
  }

  async #quiet(state: 'waiting' | 'installed'): Promise<void> {
    while (this.#o.recording() !== null) {
      if (this.#view.state !== state) this.#change({ state });
      await this.#o.clock.sleep(QUIET_CHECK_MS, this.#stopping.signal);
    }
  }

  /** One at a time; `goOn`: what was begun goes on when `work` has ended. */
  async #exclusively<T>(
    state: 'checking' | 'installing',
    work: (goOn: () => void) => Promise<T>,
  ): Promise<T> {
    if (this.#isBusy) throw new CodedError('UPDATE_RUNNING');
    this.#isBusy = true;
    const before = this.#view.state;
    this.#change({ state, error: null });
    let isOver = true;
    try {
      return await work(() => (isOver = false));
    } catch (error) {
      throw CodedError.from(error, 'UPDATE_FAILED');
    } finally {
      if (isOver) {
        this.#isBusy = false;
        this.#change({ state: before });
      }
    }
  }

  #failed(error: unknown): void {
    this.#isBusy = false;
    if (this.#stopping.signal.aborted) return;
    const coded = CodedError.from(error, 'UPDATE_FAILED');
    this.#o.log.warn({ err: error }, 'the update failed');
    this.#change({
      state: 'idle',
      target: null,
      receivedBytes: null,
      progress: null,
      error: coded.report(),
    });
  }

  #change(change: Partial<UpdateView>): void {
    this.#view = { ...this.#view, ...change };
    this.#o.onChange(this.#view);
  }
}

interface FoundBundle {
  readonly info: BundleInfo;
  readonly target: UpdateTarget;
  /** null: it is a file. */
  readonly part: PartialBundle | null;
}

/** The newest that is for this board; else the reason of the last that was looked at. */
async function bestOf(
  paths: readonly string[],
  compatible: string,
  look: (path: string) => Promise<BundleInfo>,
): Promise<FoundBundle> {
  let best: FoundBundle | null = null;
  let reason: unknown = new CodedError('UPDATE_NOT_FOUND', 'no USB stick with a bundle is plugged in');
  for (const path of paths) {
    try {
      const info = await look(path);
      const found = { info, target: { version: info.version, source: path, sizeBytes: null }, part: null };
      const isBetter =
        best === null ||
        (info.compatible === compatible &&
          (best.info.compatible !== compatible ||
            (compareVersions(info.version, best.info.version) ?? -1) > 0));
      if (isBetter) best = found;
    } catch (error) {
      reason = error;
    }
  }
  if (!best) throw reason;
  return best;
}

/** Bundles on sticks, at the top of each or one folder below. */
async function bundlesBelow(folders: readonly string[]): Promise<readonly string[]> {
  const levels = await Promise.all(
    folders.map(async (folder) => readdir(folder, { recursive: true }).catch(() => [])),
  );
  return levels
    .flatMap((names, at) => names.map((name) => join(folders[at] ?? '', name)))
    .filter((path) => path.endsWith('.raucb'))
    .sort();
}

const lastPath = (folder: string): string => join(folder, 'installed.json');

async function readLast(folder: string): Promise<z.output<typeof lastSchema> | null> {
  try {
    return lastSchema.parse(JSON.parse(await readFile(lastPath(folder), 'utf8')));
  } catch {
    return null; // nothing was installed here yet
  }
}
