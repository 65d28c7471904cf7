import { join } from 'node:path';
import type { Bus } from './bus/index.ts';
import { CodedError } from './contract/errors.ts';
import type { Meter } from './contract/metrics.ts';
import type { Module, ModuleHealth } from './contract/modules.ts';
import type { RemoteSettings } from './contract/settings.ts';
import type { RemoteKind, RemoteObject } from './contract/sync.ts';
import type { Clock } from './kernel/clock.ts';
import type { Log } from './kernel/log.ts';
import { Slot, type Part } from './kernel/slot.ts';
import type { Consumers, Library, OutboxKind } from './library/index.ts';
import { Uploader, type Difference, type Ledger, type Sent } from './sync/index.ts';

export interface UploadDeskOptions {
  /** null: nothing is copied. */
  readonly settings: RemoteSettings | null;
  /** Another agent does it. */
  readonly isStandby: boolean;
  readonly dataDir: string;
  readonly library: Library;
  readonly bus: Pick<Bus, 'publish'>;
  readonly meter: Meter;
  readonly clock: Clock;
  readonly log: Log;
}

const CONSUMER = 's3';
const OUTBOX_KINDS: Readonly<Record<RemoteKind, OutboxKind>> = {
  still: 'still',
  clip: 'clip.ready',
  segment: 'segment.ready',
};
/** Lists of keys in messages are no longer. */
const MAX_KEYS = 100;
/** After these there is something to copy. */
const TOPICS = new Set(['clip.ready', 'segment.ready', 'event.snapshot.ready']);

/** Joins the uploader with library and bus; says how it is, also while there is none. */
export class UploadDesk {
  readonly #o: UploadDeskOptions;
  readonly #slot: Slot<RemoteSettings | null, Part>;
  #uploader: Uploader | null = null;
  #lastResult: 'synced' | 'failed' | null = null;

  constructor(options: UploadDeskOptions) {
    this.#o = options;
    this.#slot = new Slot<RemoteSettings | null, Part>(options.settings, (settings) => this.#make(settings));
  }

  /** What the library has to keep for us. */
  get consumers(): Consumers {
    const { settings } = this.#slot;
    return settings ? { [CONSUMER]: settings.kinds.map((kind) => OUTBOX_KINDS[kind]) } : {};
  }

  start(): void {
    this.#slot.start();
  }

  async restart(settings: RemoteSettings | null): Promise<void> {
    await this.#slot.restart(settings);
  }

  async stop(): Promise<void> {
    await this.#slot.stop();
  }

  /** A message of this topic crossed the bus. */
  heard(topic: string): void {
    if (TOPICS.has(topic)) this.#uploader?.hurry();
  }

  /** @throws CodedError UPLOADS_OFF, UPLOADS_STANDBY, and why the bucket cannot be listed */
  async compare(): Promise<Difference> {
    if (this.#uploader) return await this.#uploader.compare();
    throw new CodedError(this.#o.isStandby ? 'UPLOADS_STANDBY' : 'UPLOADS_OFF');
  }

  /** Disabled, what is committed waits in the outbox, and goes in its order later. */
  module(): Module {
    return {
      id: 'modules.storage.s3_uploader',
      instance: null,
      pausing: this.#slot,
      health: () => this.#health(),
    };
  }

  #health(): ModuleHealth {
    const { settings } = this.#slot;
    if (!settings) return { status: 'disabled', reasons: [], details: {} };
    const { bucket, prefix, encryptTo } = settings;
    if (this.#o.isStandby) {
      const reasons = [new CodedError('UPLOADS_STANDBY').report()];
      return { status: 'disabled', reasons, details: { bucket, prefix } };
    }
    const reasons = this.#reasons(settings);
    const backlog = this.#uploader?.backlog ?? null;
    const last_result = this.#lastResult;
    return {
      status: reasons.length === 0 ? 'healthy' : 'degraded',
      reasons,
      details: {
        bucket,
        prefix,
        queue_size: backlog?.objects ?? null,
        queue_bytes: backlog?.bytes ?? null,
        oldest_ts: backlog?.oldestUtcMs ?? null,
        // Of it: what was there before uploads were switched on, and whether more of that is still looked for.
        backfill_size: backlog?.backfillObjects ?? null,
        is_backfilling: this.#uploader?.isBackfilling ?? false,
        encrypted_to: encryptTo?.keyId ?? null,
        last_result,
      },
    };
  }

  #reasons({ credentials }: RemoteSettings): ModuleHealth['reasons'] {
    if (!credentials) return [new CodedError('S3_CREDENTIALS_MISSING').report()];
    const trouble = this.#uploader?.trouble;
    return trouble ? [trouble] : [];
  }

  #make(settings: RemoteSettings | null): Part {
    if (!settings?.credentials || this.#o.isStandby) return { start() {}, async stop() {} };
    const { clock, dataDir, library, log, meter } = this.#o;
    const uploader = new Uploader({
      ...{ settings, dataDir, clock, log },
      ledger: ledgerOf(library),
      onSent: (object, sent, durationMs) => this.#sent(settings, object, sent, durationMs),
      onFailed: (object, reason, durationMs) => this.#failed(settings, object, reason, durationMs),
      onCompared: (difference, isAsked) => this.#compared(difference, isAsked),
      onBacklog: ({ objects, bytes, backfillObjects }) => {
        meter.set('spyoncino_upload_backfill_objects', backfillObjects);
        meter.set('spyoncino_upload_backlog_objects', objects);
        meter.set('spyoncino_upload_backlog_bytes', bytes);
      },
    });
    return {
      start: () => {
        this.#uploader = uploader;
        uploader.start();
      },
      stop: async () => {
        this.#uploader = null;
        await uploader.stop();
      },
    };
  }

  #sent(settings: RemoteSettings, object: RemoteObject, sent: Sent, durationMs: number): void {
    const { bus, clock, meter } = this.#o;
    const { kind, ref, cameraId, startUtcMs, endUtcMs } = object;
    const { sizeBytes, sha256, sealed, etag, versionId } = sent;
    const sentBytes = sealed?.sizeBytes ?? sizeBytes;
    this.#lastResult = 'synced';
    meter.count('spyoncino_uploaded_bytes_total', { kind }, sentBytes);
    bus.publish('storage.upload.done', {
      ...{
        kind,
        id: ref,
        camera_id: cameraId,
        bucket: settings.bucket,
        object_key: settings.prefix + object.key,
      },
      ...{ size_bytes: sizeBytes, sha256, etag, start_ts: startUtcMs },
      sealed: sealed && { key_id: sealed.keyId, size_bytes: sealed.sizeBytes, sha256: sealed.sha256 },
      waited_ms: Math.max(0, Math.round(clock.utcMs() - endUtcMs)),
    });
    bus.publish('storage.s3.synced', {
      ...this.#attempt(settings, object, durationMs),
      ...{ size_bytes: sentBytes, etag, status: 'synced' },
      ...(versionId === null ? {} : { version_id: versionId }),
    });
  }

  #failed(settings: RemoteSettings, object: RemoteObject, reason: CodedError, durationMs: number): void {
    this.#lastResult = 'failed';
    this.#o.meter.count('spyoncino_upload_failures_total', { reason: reason.code });
    this.#o.bus.publish('storage.s3.synced', {
      ...this.#attempt(settings, object, durationMs),
      ...{ size_bytes: object.sizeBytes ?? 0, status: 'failed', error: reason.report() },
    });
  }

  #attempt({ bucket, prefix, tags }: RemoteSettings, object: RemoteObject, durationMs: number) {
    const { key, kind, ref, cameraId, path } = object;
    return {
      artifact_path: join(this.#o.dataDir, path ?? `media/${key}`),
      ...{ bucket, object_key: prefix + key, duration_ms: Math.round(durationMs) },
      lifecycle_tags: { ...tags },
      metadata: { kind, id: ref, camera_id: cameraId },
    };
  }

  #compared(difference: Difference, isAsked: boolean): void {
    const { missing, orphaned, totalLocal, totalRemote, queuedAgain } = difference;
    if (!isAsked && missing.length === 0 && orphaned.length === 0) return;
    this.#o.bus.publish('storage.discrepancy', {
      root: join(this.#o.dataDir, 'media'),
      missing_remote: missing.slice(0, MAX_KEYS),
      orphaned_remote: orphaned.slice(0, MAX_KEYS),
      ...{ missing_count: missing.length, orphaned_count: orphaned.length },
      ...{ total_local: totalLocal, total_remote: totalRemote, queued_again: queuedAgain },
    });
  }
}

/** The ledger, as the uploader knows it, in the library. */
export const ledgerOf = (library: Pick<Library, 'ask'>): Ledger => ({
  enrol: (limit) => library.ask('remoteEnrol', { consumer: CONSUMER, limit }),
  backfill: (page) => library.ask('remoteBackfill', { consumer: CONSUMER, ...page }),
  next: (choice) => library.ask('remoteNext', choice),
  materialise: (clipId) => library.ask('materialiseClip', clipId),
  ready: (file) => library.ask('remoteReady', file),
  seal: (choice) => library.ask('remoteSeal', choice),
  uploading: (progress) => library.ask('remoteUploading', progress),
  verified: (result) => library.ask('remoteVerified', result),
  failed: (failure) => library.ask('remoteFailed', failure),
  gone: (attempt) => library.ask('remoteGone', attempt),
  missing: (nos) => library.ask('remoteMissing', { nos }),
  backlog: () => library.ask('remoteBacklog'),
  entries: (page) => library.ask('remoteEntries', page),
  manifestDays: (changedBeforeUtcMs) => library.ask('remoteManifestDue', { changedBeforeUtcMs }),
  manifest: (day) => library.ask('remoteManifest', day),
  manifestWritten: (day) => library.ask('remoteManifestWritten', day),
});
