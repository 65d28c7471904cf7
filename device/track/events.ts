import type { EventEndReason, EventFact, EventState } from '../contract/facts.ts';
import type { Moment, Track, Visit } from './track.ts';

/** `2026-03-01T12:00:00.123Z` → `20260301T120000123Z`: sorts as text, is a file name everywhere. */
export const compactUtc = (utcMs: number): string => new Date(utcMs).toISOString().replaceAll(/[-:.]/g, '');

/** Says what becomes of visits, as facts. Holds nothing but who and where it is. */
export class EventWriter {
  readonly #cameraId: string;
  readonly #run: string;

  constructor(cameraId: string, run: string) {
    this.#cameraId = cameraId;
    this.#run = run;
  }

  begin(track: Track, now: Moment, arrivedUtcMs: number): EventFact {
    const since = track.since ?? track.first;
    track.state = 'visiting';
    track.visit = {
      eventId: `${compactUtc(since.utcMs)}-${this.#run}-${track.trackId}`,
      since,
      label: track.label,
      stationary: track.standing,
      stillPath: null,
      dirty: false,
      belief: 0,
      lastFactMs: now.mediaMs,
      shot: null,
    };
    return this.#fact('new', track, track.visit, arrivedUtcMs, null);
  }

  update(track: Track, visit: Visit, now: Moment, arrivedUtcMs: number): EventFact {
    visit.dirty = false;
    visit.lastFactMs = now.mediaMs;
    return this.#fact('update', track, visit, arrivedUtcMs, null);
  }

  /** The track has no visit afterwards. */
  end(track: Track, visit: Visit, reason: EventEndReason, endUtcMs: number, arrivedUtcMs: number): EventFact {
    const fact = this.#fact('end', track, visit, arrivedUtcMs, { reason, endUtcMs });
    track.visit = null;
    return fact;
  }

  #fact(
    phase: EventFact['phase'],
    track: Track,
    visit: Visit,
    arrivedUtcMs: number,
    end: { reason: EventEndReason; endUtcMs: number } | null,
  ): EventFact {
    const { best, last, zones } = track;
    visit.belief = Math.max(visit.belief, track.belief.score);
    const event: EventState = {
      eventId: visit.eventId,
      cameraId: this.#cameraId,
      trackId: track.trackId,
      label: visit.label,
      score: visit.belief,
      topScore: track.topScore,
      box: track.box,
      zones: zones.inside,
      enteredZones: zones.entered,
      stationary: visit.stationary,
      startUtcMs: visit.since.utcMs,
      lastSeenUtcMs: last.utcMs,
      endUtcMs: end?.endUtcMs ?? null,
      endReason: end?.reason ?? null,
      best: { utcMs: best.utcMs, mediaMs: best.mediaMs, box: best.box, score: best.score },
      stillPath: visit.stillPath,
      startMediaMs: visit.since.mediaMs,
      lastSeenMediaMs: last.mediaMs,
    };
    return { type: 'event', phase, event, frameArrivedUtcMs: arrivedUtcMs };
  }
}
