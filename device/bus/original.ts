/**
 * The topics of the original Python system, with its field names, for whoever subscribed to them. They say
 * nothing that our own topics do not say better; frames (`camera.<id>.frame`) stay off the bus.
 */
import { join } from 'node:path';
import type { ClipReadyFact, EventFact, MotionFact, StillFact } from '../contract/facts.ts';
import type { Meter } from '../contract/metrics.ts';
import type { Payload } from '../contract/topics.ts';
import type { Clock } from '../kernel/clock.ts';
import { RateLimiter, type RateLimit } from '../kernel/rate-limit.ts';
import type { Bus } from './broker.ts';

export interface OriginalTopicsOptions {
  readonly bus: Pick<Bus, 'publish'>;
  /** Paths of artifacts are absolute, as they were. */
  readonly dataDir: string;
  /** `event.snapshot.allowed`, per camera. */
  readonly rateLimit: RateLimit;
  readonly meter: Meter;
  readonly clock: Clock;
}

/** Stands beside our own publications; facts that the original had no word for are passed over. */
export class OriginalTopics {
  readonly #o: OriginalTopicsOptions;
  readonly #limiter: RateLimiter;

  constructor(options: OriginalTopicsOptions) {
    this.#o = options;
    this.#limiter = new RateLimiter(options.rateLimit);
  }

  setRateLimit(limit: RateLimit): void {
    this.#limiter.setLimit(limit);
  }

  take(fact: EventFact | MotionFact | StillFact | ClipReadyFact): void {
    switch (fact.type) {
      case 'motion':
        if (fact.phase === 'start') this.#motion(fact);
        break;
      case 'event':
        if (fact.phase === 'new') this.#detection(fact);
        break;
      case 'still':
        this.#snapshot(fact);
        break;
      case 'clip.ready':
        this.#clip(fact);
    }
  }

  #motion({ cameraId, utcMs, score }: MotionFact): void {
    const payload = detection(cameraId, 'motion-basic', utcMs, score, {
      motion_percent: Math.round(score * 100),
    });
    this.#o.bus.publish('process.motion.detected', payload);
    this.#o.bus.publish('process.motion.unique', payload);
  }

  #detection({ event }: EventFact): void {
    const { cameraId, label, box, score, startUtcMs, eventId, zones } = event;
    const attributes = {
      label,
      bbox: box,
      event_id: eventId,
      ...(zones.length > 0 ? { zone_matches: zones.map((zone_id) => ({ zone_id })) } : {}),
    };
    this.#o.bus.publish(
      'process.yolo.detected',
      detection(cameraId, 'yolo-v8', startUtcMs, score, attributes),
    );
    const alert = detection(cameraId, 'yolo-v8.alert-router', startUtcMs, score, {
      ...attributes,
      source_detector: 'yolo-v8',
    });
    this.#o.bus.publish('process.alert.detected', alert);
    if (zones.length > 0) this.#o.bus.publish('process.motion.zoned', alert);
  }

  #snapshot({ cameraId, eventId, path, utcMs }: StillFact): void {
    const { bus, clock, dataDir, meter } = this.#o;
    const payload = {
      ...VERSION,
      camera_id: cameraId,
      artifact_path: join(dataDir, path),
      content_type: 'image/jpeg',
      metadata: { detection: { event_id: eventId, timestamp_utc: iso(utcMs) } },
    };
    bus.publish('event.snapshot.ready', payload);
    if (this.#limiter.allows(cameraId, clock.monotonicMs())) bus.publish('event.snapshot.allowed', payload);
    else meter.count('spyoncino_drops_total', { stage: 'snapshot', reason: 'rate_limit' });
  }

  #clip({ clip, sha256 }: ClipReadyFact): void {
    if (clip.path === null) return;
    this.#o.bus.publish('event.clip.ready', {
      ...VERSION,
      camera_id: clip.cameraId,
      artifact_path: join(this.#o.dataDir, clip.path),
      media_kind: 'clip',
      content_type: 'video/mp4',
      metadata: { detection: { event_ids: clip.eventIds }, duration_seconds: clip.durationMs / 1000, sha256 },
    });
  }
}

const VERSION = { schema_version: '1.0.0' } as const;

const iso = (utcMs: number): string => new Date(utcMs).toISOString();

const detection = (
  cameraId: string,
  detectorId: string,
  utcMs: number,
  confidence: number,
  attributes: Record<string, unknown>,
): Payload<'process.alert.detected'> => ({
  ...VERSION,
  camera_id: cameraId,
  detector_id: detectorId,
  timestamp_utc: iso(utcMs),
  triggered: true,
  confidence,
  frame_ref: null,
  attributes,
});
