import { createHash } from 'node:crypto';
import { CodedError, type ErrorReport } from '../contract/errors.ts';
import type { RemoteSettings } from '../contract/settings.ts';
import type { RemoteBacklog, RemoteKind, RemoteObject } from '../contract/sync.ts';
import { backoff } from '../kernel/backoff.ts';
import type { Clock } from '../kernel/clock.ts';
import type { Log } from '../kernel/log.ts';
import { TaskSet } from '../kernel/tasks.ts';
import { classify, isOfObject } from './classify.ts';
import { compare, type Difference } from './compare.ts';
import { manifestText } from './manifest.ts';
import { kindsNow, manifestKey } from './plan.ts';
import type { Ledger } from './port.ts';
import type { Remote } from './remote.ts';
import { sendObject, type Sent } from './send.ts';

export interface UploaderOptions {
  readonly settings: RemoteSettings;
  readonly dataDir: string;
  readonly ledger: Ledger;
  readonly clock: Clock;
  readonly log: Log;
  readonly onSent: (object: RemoteObject, sent: Sent, durationMs: number) => void;
  readonly onFailed: (object: RemoteObject, reason: CodedError, durationMs: number) => void;
  readonly onCompared: (difference: Difference, isAsked: boolean) => void;
  readonly onBacklog: (backlog: RemoteBacklog) => void;
}

const ENROL_BATCH = 200;
/** Old footage is looked through so many at a time, and only while nothing else waits: no more of it waits either. */
const BACKFILL_BATCH = 200;
/** Nothing is told of what is committed, so it is looked for. */
const IDLE_MS = 2000;
/** While much waits; counting it takes a while then. */
const COUNT_MS = 5000;
/** An object that alone cannot be sent is tried again after this long, then more and more rarely. */
const OBJECT_RETRY_MS = { first: 30_000, most: 3_600_000 };
const OUTAGE_MS = { firstMs: 500, maxMs: 60_000 };
/** A manifest shows what happened until so long ago; each costs a request. */
const MANIFEST_LAG_MS = 60_000;
const FIRST_COMPARE_MS = 600_000;

/**
 * Copies what the library commits to a bucket until it is stopped: what tells most first, several at a time. While
 * the server cannot be used, one object after the other asks whether it can, at growing intervals, and everything
 * waits in the ledger. Nothing is in memory alone, so it may end at any moment.
 */
export class Uploader {
  readonly #o: UploaderOptions;
  readonly #stopping = new AbortController();
  readonly #sending = new Map<number, RemoteObject>();
  readonly #tasks: TaskSet;
  #loop: Promise<void> | null = null;
  #remote: Remote | null = null;
  #wake = Promise.withResolvers<void>();
  #trouble: { report: ErrorReport; delays: Generator<number, never>; untilMonotonicMs: number } | null = null;
  #backlog: RemoteBacklog | null = null;
  #countAtMonotonicMs = 0;
  #compareAtMonotonicMs = Infinity;
  /** Kinds of which old footage has still to be looked for, and from where. */
  readonly #backfill = new Map<RemoteKind, number>();

  constructor(options: UploaderOptions) {
    this.#o = options;
    this.#tasks = new TaskSet((name, error) => options.log.error({ err: error, task: name }, 'failed'));
  }

  start(): void {
    const { clock, settings } = this.#o;
    if (settings.checkIntervalMs !== null) {
      this.#compareAtMonotonicMs = clock.monotonicMs() + Math.min(FIRST_COMPARE_MS, settings.checkIntervalMs);
    }
    if (settings.backfillMs > 0) for (const kind of settings.kinds) this.#backfill.set(kind, 0);
    this.#loop ??= this.#run();
  }

  /** What is under way is cut off; it goes on from there at the next start. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    this.hurry();
    await this.#loop;
    await this.#tasks.settle();
    this.#remote?.[Symbol.dispose]();
  }

  /** Why nothing can be sent; null while it can. */
  get trouble(): ErrorReport | null {
    return this.#trouble?.report ?? null;
  }

  /** null until it was looked for. */
  get backlog(): RemoteBacklog | null {
    return this.#backlog;
  }

  /** Not all of the old footage that is wanted was found yet. */
  get isBackfilling(): boolean {
    return this.#backfill.size > 0;
  }

  /** There may be something to send. */
  hurry(): void {
    this.#wake.resolve();
  }

  /** Lists the bucket now. @throws CodedError why it cannot be listed */
  async compare(): Promise<Difference> {
    return await this.#compare(true);
  }

  async #run(): Promise<void> {
    const { clock, log } = this.#o;
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      this.#wake = Promise.withResolvers();
      let isIdle = true;
      try {
        isIdle = !(await this.#step());
      } catch (error) {
        if (signal.aborted) return;
        this.#troubled(classify(error));
        log.debug({ err: error }, 'uploads wait');
      }
      if (isIdle) await this.#rest(this.#waitMs(clock.monotonicMs()));
    }
  }

  /** True when there may be more to do at once. */
  async #step(): Promise<boolean> {
    const { clock, ledger, settings } = this.#o;
    if (clock.monotonicMs() < (this.#trouble?.untilMonotonicMs ?? 0)) return false;
    this.#remote ??= await this.#open();
    const enrolled = await ledger.enrol(ENROL_BATCH);
    if (clock.monotonicMs() >= this.#countAtMonotonicMs) await this.#count();
    const atOnce = this.#trouble ? 1 : settings.maxConcurrency;
    if (this.#sending.size < atOnce) {
      const kinds = kindsNow(settings, new Date(clock.utcMs()));
      const object = await ledger.next({ kinds, not: [...this.#sending.keys()] });
      if (object) {
        this.#send(object, this.#remote);
        return true;
      }
      if (!this.#trouble && enrolled === 0 && (await this.#takeOld(kinds))) return true;
    }
    if (this.#sending.size > 0) return enrolled > 0;
    await this.#count();
    await this.#writeManifests(this.#remote);
    if (clock.monotonicMs() >= this.#compareAtMonotonicMs) await this.#compare(false);
    if (this.#trouble) {
      // Nothing is there to be tried, so something that is not there is asked for.
      await this.#remote.head('none');
      this.#recovered();
    }
    return enrolled > 0;
  }

  /** A batch of what was there before, where nothing else waits; false when there is nothing to look through. */
  async #takeOld(kinds: readonly RemoteKind[]): Promise<boolean> {
    const { clock, ledger, settings } = this.#o;
    const kind = kinds.find((each) => this.#backfill.has(each));
    if (kind === undefined) return false;
    const { taken, after } = await ledger.backfill({
      ...{ kind, after: this.#backfill.get(kind)!, limit: BACKFILL_BATCH },
      sinceUtcMs: clock.utcMs() - settings.backfillMs,
    });
    if (after === null) this.#backfill.delete(kind);
    else this.#backfill.set(kind, after);
    if (taken > 0) this.#countAtMonotonicMs = 0;
    return true;
  }

  /** Only who uploads loads the client. */
  async #open(): Promise<Remote> {
    const { settings, clock } = this.#o;
    if (!settings.credentials) throw new CodedError('S3_CREDENTIALS_MISSING');
    const { Remote } = await import('./remote.ts');
    return await Remote.open({ settings, clock, signal: this.#stopping.signal });
  }

  #send(object: RemoteObject, remote: Remote): void {
    const { clock, dataDir, ledger, settings, onSent } = this.#o;
    this.#sending.set(object.no, object);
    const startedMs = clock.monotonicMs();
    this.#tasks.run(`upload of ${object.key}`, async () => {
      try {
        const { partBytes, prefix, encryptTo: recipient } = settings;
        const sent = await sendObject({ dataDir, partBytes, prefix, recipient, ledger, remote }, object);
        this.#recovered();
        onSent(object, sent, clock.monotonicMs() - startedMs);
      } catch (error) {
        if (!this.#stopping.signal.aborted)
          await this.#failed(object, error, clock.monotonicMs() - startedMs);
      } finally {
        this.#sending.delete(object.no);
        this.hurry();
      }
    });
  }

  async #failed(object: RemoteObject, error: unknown, durationMs: number): Promise<void> {
    const { clock, ledger, log, onFailed } = this.#o;
    const { no, revision, attempts } = object;
    if ((error as NodeJS.ErrnoException).code === 'ENOENT')
      error = new CodedError('FOOTAGE_NOT_FOUND', object.key);
    const reason = classify(error);
    log.debug({ err: error, key: object.key, code: reason.code }, 'an object could not be sent');
    onFailed(object, reason, durationMs);
    try {
      if (reason.code === 'FOOTAGE_NOT_FOUND') await ledger.gone({ no, revision });
      else {
        const waits = isOfObject(reason)
          ? Math.min(OBJECT_RETRY_MS.most, OBJECT_RETRY_MS.first * 2 ** Math.min(attempts, 10))
          : 0;
        // What arrived damaged can be sent again at once; only when that fails, too, something is wrong with it.
        const isFirst = reason.code === 'S3_CORRUPTED' && attempts === 0;
        const retryUtcMs = isFirst ? 0 : clock.utcMs() + waits;
        await ledger.failed({ no, revision, code: reason.code, retryUtcMs, startsOver: isOfObject(reason) });
      }
      if (!isOfObject(reason)) this.#troubled(reason);
    } catch (error) {
      this.#troubled(classify(error));
    }
  }

  async #writeManifests(remote: Remote): Promise<void> {
    const { clock, ledger } = this.#o;
    for (const due of await ledger.manifestDays(clock.utcMs() - MANIFEST_LAG_MS)) {
      const text = manifestText({ ...due, writtenUtcMs: clock.utcMs() }, await ledger.manifest(due));
      const bytes = Buffer.from(text);
      const [sha256, md5] = (['sha256', 'md5'] as const).map((name) =>
        createHash(name).update(bytes).digest('hex'),
      ) as [string, string];
      await remote.put(
        manifestKey(due),
        { bytes, sha256, md5 },
        {
          contentType: 'application/json',
          mark: { sha256 },
        },
      );
      await ledger.manifestWritten({ ...due, written: due.revision });
    }
  }

  async #compare(isAsked: boolean): Promise<Difference> {
    const { clock, ledger, settings, onCompared } = this.#o;
    try {
      const remote = (this.#remote ??= await this.#open());
      const startedUtcMs = clock.utcMs();
      const unfinished = await remote.unfinished();
      const difference = await compare({ ledger, list: remote.list(), startedUtcMs });
      // Of attempts that died before the ledger knew of them: nobody sees such parts, and somebody pays for them.
      for (const { key, uploadId } of unfinished) {
        if (!difference.uploadIds.has(uploadId)) await remote.abort(key, uploadId);
      }
      this.#recovered();
      onCompared(difference, isAsked);
      if (settings.checkIntervalMs !== null) {
        this.#compareAtMonotonicMs = clock.monotonicMs() + settings.checkIntervalMs;
      }
      this.hurry();
      return difference;
    } catch (error) {
      throw classify(error);
    }
  }

  #troubled(reason: CodedError): void {
    const { clock, log } = this.#o;
    const delays = this.#trouble?.delays ?? backoff(OUTAGE_MS);
    if (this.#trouble?.report.code !== reason.code) log.warn({ err: reason }, 'uploads wait');
    const now = clock.monotonicMs();
    // Several that fail together are one failure.
    const isCounted = this.#trouble !== null && now < this.#trouble.untilMonotonicMs;
    const untilMonotonicMs = isCounted ? this.#trouble!.untilMonotonicMs : now + delays.next().value;
    this.#trouble = { report: reason.report(), delays, untilMonotonicMs };
  }

  #recovered(): void {
    if (!this.#trouble) return;
    this.#trouble = null;
    this.#o.log.info('uploads go on');
  }

  async #count(): Promise<void> {
    const { clock, ledger, onBacklog } = this.#o;
    this.#backlog = await ledger.backlog();
    this.#countAtMonotonicMs = clock.monotonicMs() + COUNT_MS;
    onBacklog(this.#backlog);
  }

  #waitMs(nowMonotonicMs: number): number {
    const until = this.#trouble?.untilMonotonicMs ?? 0;
    return until > nowMonotonicMs ? until - nowMonotonicMs : IDLE_MS;
  }

  async #rest(ms: number): Promise<void> {
    const over = new AbortController();
    const signal = AbortSignal.any([over.signal, this.#stopping.signal]);
    await Promise.race([this.#o.clock.sleep(ms, signal).catch(() => {}), this.#wake.promise]);
    over.abort();
  }
}
