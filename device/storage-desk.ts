import { join } from 'node:path';
import type { Bus } from './bus/index.ts';
import { CodedError, type ErrorReport } from './contract/errors.ts';
import type { GapFact } from './contract/facts.ts';
import type { Meter } from './contract/metrics.ts';
import type { ModulePausing } from './contract/modules.ts';
import type { Settings } from './contract/settings.ts';
import type { Payload } from './contract/topics.ts';
import type { Clock } from './kernel/clock.ts';
import type { Log } from './kernel/log.ts';
import {
  AlarmBook,
  forecastDays,
  type CleanupReport,
  type Library,
  type LibraryStats,
} from './library/index.ts';
import type { RetentionPolicy } from './library/index.ts';

export interface StorageDeskOptions {
  readonly settings: Settings;
  readonly library: Library;
  readonly bus: Pick<Bus, 'publish'>;
  readonly meter: Meter;
  readonly clock: Clock;
  readonly log: Log;
  /** Footage belongs on another disk from now on; whoever writes any must be told. */
  readonly onMediaChange: () => void;
}

/** Between two cycles, however urgent. */
const LEAST_PAUSE_MS = 1000;

/**
 * Looks after the disk: is it the right one, is there room, what has to go, what ails it; and says so on the bus.
 * At every interval, and at once when footage was lost to the disk or something ails the index.
 */
export class StorageDesk implements ModulePausing {
  readonly #o: StorageDeskOptions;
  readonly #alarms: AlarmBook;
  readonly #stopping = new AbortController();
  #settings: Settings;
  #isPaused = false;
  #freeBytes: number | null = null;
  #urgent = Promise.withResolvers<void>();
  #mediaId: string;
  #published = '';
  #logged = '';
  #loop: Promise<void> | null = null;

  constructor(options: StorageDeskOptions) {
    this.#o = options;
    this.#settings = options.settings;
    this.#alarms = new AlarmBook(options.clock);
    this.#mediaId = options.library.mediaId;
  }

  start(): void {
    this.#loop ??= this.#run();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#loop;
  }

  /** Goes by `settings` from now on. */
  configure(settings: Settings): void {
    this.#settings = settings;
    this.hurry();
  }

  /** What ails the storage now. */
  get alarms(): readonly ErrorReport[] {
    return this.#alarms.active().map(({ code, message, advice }) => ({ code, message, advice }));
  }

  /** Numbers for operators. */
  get details(): Readonly<Record<string, unknown>> {
    return { root: join(this.#settings.dataDir, 'media'), free_bytes: this.#freeBytes };
  }

  get isPaused(): boolean {
    return this.#isPaused;
  }

  /** Paused, nothing is deleted; space, alarms and the disk are looked at all the same. */
  setPaused(isPaused: boolean): void {
    this.#isPaused = isPaused;
    this.hurry();
  }

  /** Deletes what has to go now; `aggressive`: as much again as should stay free, too. What was deleted. */
  async cleanUpNow(isAggressive: boolean): Promise<CleanupReport> {
    return await this.#cleanUp(isAggressive ? 2 : 1);
  }

  /** Footage of a camera was lost. */
  lost({ cameraId, reason }: GapFact): void {
    if (this.#alarms.lost(cameraId, reason)) this.hurry();
  }

  /** Look now. */
  hurry(): void {
    this.#urgent.resolve();
  }

  async #run(): Promise<void> {
    const { clock, log } = this.#o;
    const stopped = this.#stopping.signal;
    while (!stopped.aborted) {
      this.#urgent = Promise.withResolvers();
      await this.#cycle().catch((error: unknown) =>
        log.error({ err: error }, 'the disk was not looked after'),
      );
      await pause(clock, LEAST_PAUSE_MS, stopped);
      const waiting = new AbortController();
      const end = AbortSignal.any([stopped, waiting.signal]);
      const rest = pause(clock, Math.max(0, this.#settings.storage.cleanupIntervalMs - LEAST_PAUSE_MS), end);
      await Promise.race([rest, this.#urgent.promise]);
      waiting.abort();
    }
  }

  async #cycle(): Promise<void> {
    const { library, onMediaChange } = this.#o;
    const { mediaId, isThere, problem } = await library.checkMedia();
    if (mediaId !== this.#mediaId) {
      this.#mediaId = mediaId;
      onMediaChange();
    }
    const problems: ErrorReport[] = [];
    try {
      const report = problem || this.#isPaused ? NOTHING_DONE : await this.#cleanUp(1);
      problems.push(...report.problems);
      if (!report.isComplete) this.hurry();
      if (isThere) this.#publishStats(await library.ask('libraryStats'), report);
    } catch (error) {
      problems.push(CodedError.from(error, 'INDEX_UNAVAILABLE').report());
    }
    this.#alarms.observe([...library.troubles, ...problems]);
    this.#publishAlarms();
  }

  async #cleanUp(headroomFactor: number): Promise<CleanupReport> {
    const { library, meter, log } = this.#o;
    const report = await library.ask('cleanup', policyOf(this.#settings, headroomFactor));
    for (const { footageClass, reason, files, sizeBytes } of report.deleted) {
      meter.count('spyoncino_deleted_bytes_total', { class: footageClass, reason }, sizeBytes);
      log.info({ class: footageClass, reason, files, sizeBytes }, 'footage was deleted');
    }
    return report;
  }

  #publishStats(stats: LibraryStats, { deleted, problems }: CleanupReport): void {
    const { bus, meter } = this.#o;
    const settings = this.#settings;
    const { disk, classes, remote, stills, writtenBytesPerDay } = stats;
    const { headroomBytes } = settings.storage;
    const usedBytes = disk.totalBytes - disk.freeBytes;
    const forecast = forecastDays(stats, headroomBytes);
    const ofClass = (name: keyof typeof classes): Payload<'storage.stats'>['event'] => ({
      files: classes[name].files,
      size_bytes: classes[name].sizeBytes,
      oldest_ts: classes[name].oldestUtcMs,
    });
    this.#freeBytes = disk.freeBytes;
    meter.set('spyoncino_disk_free_bytes', disk.freeBytes);
    bus.publish('storage.stats', {
      root: join(settings.dataDir, 'media'),
      total_gb: gigabytes(disk.totalBytes),
      used_gb: gigabytes(usedBytes),
      free_gb: gigabytes(disk.freeBytes),
      usage_percent: round((100 * usedBytes) / disk.totalBytes, 1),
      files_deleted: deleted.reduce((sum, { files }) => sum + files, 0),
      aggressive:
        deleted.some(({ reason }) => reason === 'headroom') ||
        problems.some(({ code }) => code === 'STORAGE_LOW'),
      warning: disk.freeBytes < headroomBytes,
      artifacts: {
        '*.mp4': classes.continuous.files + classes.event.files + classes.protected.files,
        '*.jpg': stills,
      },
      continuous: ofClass('continuous'),
      event: ofClass('event'),
      protected: ofClass('protected'),
      uploads: {
        ...{ waiting: remote.objects, waiting_bytes: remote.bytes },
        ...{ oldest_ts: remote.oldestUtcMs, backfill: remote.backfillObjects },
      },
      write_gb_per_day: writtenBytesPerDay === null ? null : gigabytes(writtenBytesPerDay),
      forecast_days: forecast === null ? null : round(forecast, 1),
    });
  }

  #publishAlarms(): void {
    const { bus, meter, log } = this.#o;
    const alarms = this.#alarms.active().map(({ code, message, advice, sinceUtcMs, cameraId }) => ({
      code,
      message,
      advice,
      since_ts: sinceUtcMs,
      camera_id: cameraId,
    }));
    meter.set('spyoncino_storage_alarms', alarms.length);
    const codes = alarms.map(({ code, camera_id }) => `${code} ${camera_id ?? ''}`).join();
    const said = JSON.stringify(alarms);
    if (codes !== this.#logged) {
      if (alarms.length > 0) log.warn({ alarms }, 'the storage needs somebody');
      else log.info('the storage is well again');
    }
    this.#logged = codes;
    if (said === this.#published) return;
    this.#published = said;
    bus.publish('storage.alarm', { active: alarms.length > 0, alarms });
  }
}

const NOTHING_DONE: CleanupReport = { deleted: [], isComplete: true, problems: [] };

const pause = (clock: Clock, ms: number, signal: AbortSignal): Promise<void> =>
  clock.sleep(ms, signal).catch(() => {});

const gigabytes = (bytes: number): number => round(bytes / 1e9, 3);
const round = (value: number, digits: number): number => Number(value.toFixed(digits));

const policyOf = ({ storage, cameras }: Settings, headroomFactor: number): RetentionPolicy => ({
  headroomBytes: storage.headroomBytes * headroomFactor,
  limits: storage.retention,
  cameraLimits: new Map(cameras.map(({ cameraId, recording }) => [cameraId, recording.retention])),
});
