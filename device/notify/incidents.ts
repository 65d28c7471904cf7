/** What happened together, over cameras and time. Pure. */
import type { Digest, Incident, IncidentEvent, Notice } from '../contract/notify.ts';

/** A visit that never ends, or a whole day of traffic, becomes a new message now and then. */
const MAX_INCIDENT_MS = 900_000;
const MAX_EVENTS = 100;

export const startOf = ({ content }: Pick<Notice, 'content'>): number =>
  content.kind === 'digest'
    ? content.startUtcMs
    : Math.min(...content.events.map(({ startUtcMs }) => startUtcMs));

/** The last that is known of it. */
export const endOf = ({ content }: Pick<Notice, 'content'>): number =>
  content.kind === 'digest'
    ? content.endUtcMs
    : Math.max(...content.events.map(({ startUtcMs, endUtcMs }) => endUtcMs ?? startUtcMs));

export const isOver = ({ events }: Incident): boolean => events.every(({ endUtcMs }) => endUtcMs !== null);

/**
 * The incident that `event` is part of: one that knows it already, else the newest that was not quiet for longer
 * than `groupMs` when it began. null: it is the first of a new one.
 */
export function incidentOf(
  notices: readonly Notice[],
  event: Pick<IncidentEvent, 'eventId' | 'startUtcMs'>,
  groupMs: number,
): Notice | null {
  const knows = ({ content }: Notice): boolean =>
    content.kind === 'incident' && content.events.some(({ eventId }) => eventId === event.eventId);
  const known = notices.find(knows);
  if (known) return known;
  const reaches = (notice: Notice): boolean => {
    const { content, status } = notice;
    if (content.kind !== 'incident' || content.events.length >= MAX_EVENTS) return false;
    if (status === 'folded' || status === 'given_up') return false;
    const startUtcMs = startOf(notice);
    const isInTime = isOver(content) ? event.startUtcMs <= endOf(notice) + groupMs : true;
    return (
      isInTime && event.startUtcMs >= startUtcMs - groupMs && event.startUtcMs < startUtcMs + MAX_INCIDENT_MS
    );
  };
  return notices.filter(reaches).toSorted((a, b) => startOf(b) - startOf(a))[0] ?? null;
}

/** The event whose picture stands for all: the surest of those that have one, else the surest. */
export function bestOf({ events }: Incident): IncidentEvent {
  const seen = events.filter(({ stillPath }) => stillPath !== null);
  return (seen.length > 0 ? seen : events).reduce((best, event) => (event.score > best.score ? event : best));
}

/** With the event as it is now, and perhaps another picture of it; the same incident when that changes nothing. */
export function withEvent(incident: Incident, event: IncidentEvent, hasNewStill: boolean): Incident {
  const at = incident.events.findIndex(({ eventId }) => eventId === event.eventId);
  if (at === -1) return { ...incident, events: [...incident.events, event] };
  const known = incident.events[at]!;
  // Belief that only grows is no news.
  const isNews =
    known.endUtcMs !== event.endUtcMs ||
    known.stillPath !== event.stillPath ||
    known.label !== event.label ||
    known.zones.length !== event.zones.length;
  const changed = { ...incident, events: incident.events.with(at, event) };
  return isNews || (hasNewStill && bestOf(changed) === event) ? changed : incident;
}

/** With a clip of one of its events; the first clip stays. */
export const withClip = (incident: Incident, clipId: string): Incident =>
  incident.clipId === null ? { ...incident, clipId } : incident;

export const NOTHING: Digest = {
  kind: 'digest',
  incidents: 0,
  startUtcMs: Infinity,
  endUtcMs: -Infinity,
  events: {},
};

/** The digest with all that `notice` would have told. */
export function digested(digest: Digest, notice: Notice): Digest {
  const { content } = notice;
  const counts: Record<string, Record<string, number>> = structuredClone(digest.events) as never;
  const add = (cameraId: string, label: string, count: number): void => {
    const labels = (counts[cameraId] ??= {});
    labels[label] = (labels[label] ?? 0) + count;
  };
  if (content.kind === 'incident') for (const { cameraId, label } of content.events) add(cameraId, label, 1);
  else {
    for (const [cameraId, labels] of Object.entries(content.events)) {
      for (const [label, count] of Object.entries(labels)) add(cameraId, label, count);
    }
  }
  return {
    kind: 'digest',
    incidents: digest.incidents + (content.kind === 'digest' ? content.incidents : 1),
    startUtcMs: Math.min(digest.startUtcMs, startOf(notice)),
    endUtcMs: Math.max(digest.endUtcMs, endOf(notice)),
    events: counts,
  };
}
