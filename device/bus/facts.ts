import type {
  CameraFact,
  CameraPhase,
  ClipPartialFact,
  ClipReadyFact,
  ClipState,
  Coverage,
  EventFact,
  EventState,
  GapFact,
  MotionFact,
  SegmentReadyFact,
} from '../contract/facts.ts';
import type { ErrorReport } from '../contract/errors.ts';
import type { ChainLink } from '../contract/library.ts';
import type { Payload } from '../contract/topics.ts';
import type { Bus } from './broker.ts';

/** Says on the bus what a camera's chain said. */
export function publishFact(
  bus: Pick<Bus, 'publish'>,
  fact: EventFact | MotionFact | ClipPartialFact | GapFact,
): void {
  switch (fact.type) {
    case 'event':
      // The three phases share one payload; TypeScript cannot see that of a topic made from a union.
      bus.publish<'event.new'>(`event.${fact.phase}` as 'event.new', eventPayload(fact.event));
      break;
    case 'motion': {
      const { cameraId: camera_id, utcMs, score } = fact;
      if (fact.phase === 'start') bus.publish('motion.start', { camera_id, start_ts: utcMs, score });
      else bus.publish('motion.end', { camera_id, end_ts: utcMs, score });
      break;
    }
    case 'clip.partial':
      bus.publish('clip.partial', clipPayload(fact.clip));
      break;
    case 'gap':
      bus.publish('storage.gap', {
        camera_id: fact.cameraId,
        start_ts: fact.startUtcMs,
        end_ts: fact.endUtcMs,
        reason: fact.reason,
      });
  }
}

/** Says on the bus that footage is on disk and in the index; `link` is its place in the chain. */
export function publishFootage(
  bus: Pick<Bus, 'publish'>,
  fact: ClipReadyFact | SegmentReadyFact,
  link: ChainLink | null,
): void {
  const { recovered } = fact;
  if (fact.type === 'clip.ready') {
    bus.publish('clip.ready', {
      ...clipPayload(fact.clip),
      sha256: fact.sha256,
      coverage: coveragePayload(fact.coverage),
      recovered,
      chain: link,
    });
  } else if (link) {
    const { segmentId, cameraId, path, startUtcMs, durationMs, sizeBytes } = fact.segment;
    bus.publish('segment.ready', {
      segment_id: segmentId,
      camera_id: cameraId,
      url: path,
      start_ts: startUtcMs,
      duration_ms: durationMs,
      size_bytes: sizeBytes,
      sha256: fact.sha256,
      coverage: coveragePayload(fact.coverage),
      recovered,
      chain: link,
    });
  }
}

/** One camera out of its streams: it is as well as its recorded stream, and says what ails any of them. */
export function cameraPayload(
  cameraId: string,
  streams: readonly CameraFact[],
  overall: { phase: CameraPhase; sinceUtcMs: number; reason: ErrorReport | null } | null,
): Payload<'status.camera.*'> {
  const main = streams.find(({ role }) => role === 'main') ?? null;
  const ailing = streams.find(({ reason }) => reason !== null) ?? null;
  return {
    camera_id: cameraId,
    state: overall?.phase ?? main?.phase ?? 'starting',
    generation: main?.generation ?? 0,
    since_ts: overall?.sinceUtcMs ?? main?.sinceUtcMs ?? 0,
    reason: overall?.reason ?? ailing?.reason ?? null,
    retry_in_ms: ailing?.retryInMs ?? null,
    streams: streams.map(({ role, phase, analysed, stream }) => ({
      role,
      state: phase,
      analysed,
      codec: stream?.codec ?? null,
      width: stream?.width ?? null,
      height: stream?.height ?? null,
      fps: stream?.fps ?? null,
      audio: stream?.audio ?? null,
      encoder: stream?.encoder ?? null,
    })),
  };
}

const eventPayload = (event: EventState): Payload<'event.new'> => ({
  event_id: event.eventId,
  camera_id: event.cameraId,
  track_id: event.trackId,
  label: event.label,
  score: event.score,
  top_score: event.topScore,
  box: [...event.box],
  zones: [...event.zones],
  entered_zones: [...event.enteredZones],
  stationary: event.stationary,
  start_ts: event.startUtcMs,
  last_seen_ts: event.lastSeenUtcMs,
  end_ts: event.endUtcMs,
  end_reason: event.endReason,
  best: { ts: event.best.utcMs, box: [...event.best.box], score: event.best.score },
  still: event.stillPath,
});

const clipPayload = (clip: ClipState): Payload<'clip.partial'> => ({
  clip_id: clip.clipId,
  camera_id: clip.cameraId,
  event_ids: [...clip.eventIds],
  url: clip.path,
  start_ts: clip.startUtcMs,
  duration_ms: clip.durationMs,
  size_bytes: clip.sizeBytes,
});

const coveragePayload = (coverage: readonly Coverage[]) =>
  coverage.map(({ startUtcMs, endUtcMs }) => ({ start_ts: startUtcMs, end_ts: endUtcMs }));
