/** Steps in the life of notices: from what is, to what is next, with the lines of the journal. Pure. */
import type { ErrorReport } from '../contract/errors.ts';
import type { ClipSummary, EventRecord } from '../contract/library.ts';
import type { Attempt, Incident, IncidentEvent, Notice } from '../contract/notify.ts';
import type { DeliveryError } from './delivery.ts';
import { digested, endOf, incidentOf, isOver, NOTHING, withClip, withEvent } from './incidents.ts';
import { canGrow } from './plan.ts';

export interface Step {
  readonly notices: readonly Notice[];
  readonly attempts: readonly Attempt[];
  /** Finished: they are needed no longer. */
  readonly closed?: readonly Notice[];
}

/** What became known of an event or clip; null: it is gone again. */
export type News =
  | { readonly kind: 'clip.ready'; readonly clip: ClipSummary | null }
  | {
      readonly kind: 'event.new' | 'event.end' | 'segment.ready' | 'still';
      readonly event: EventRecord | null;
    };

export interface IngestRules {
  readonly groupMs: number;
  readonly wants: (event: IncidentEvent) => boolean;
}

/** The news as notices: new ones, and others that grow. */
export function ingested(
  notices: readonly Notice[],
  news: readonly News[],
  { groupMs, wants }: IngestRules,
  nowUtcMs: number,
): Step {
  const all = new Map(notices.map((notice) => [notice.noticeId, notice]));
  const changed = new Set<string>();
  const attempts: Attempt[] = [];
  const grow = (notice: Notice, content: Incident): void => {
    if (content === notice.content) return;
    const grown = { ...notice, content, revision: notice.revision + 1, tries: 0 };
    // What is told by a digest, or not at all, only needs to be known again.
    all.set(notice.noticeId, isLive(notice) ? grown : { ...notice, content });
    changed.add(notice.noticeId);
  };
  for (const item of news) {
    if (item.kind === 'clip.ready') {
      const { clip } = item;
      for (const notice of all.values()) {
        if (notice.content.kind !== 'incident') continue;
        if (notice.content.events.some(({ eventId }) => clip?.eventIds.includes(eventId))) {
          grow(notice, withClip(notice.content, clip!.clipId));
        }
      }
      continue;
    }
    const event = item.event && remembered(item.event);
    if (!event) continue;
    const known = incidentOf([...all.values()], event, groupMs);
    const isKnown =
      known?.content.kind === 'incident' &&
      known.content.events.some(({ eventId }) => eventId === event.eventId);
    // One that came to where it matters is told from then on.
    if (!isKnown && !wants(event)) continue;
    if (known?.content.kind === 'incident') {
      grow(known, withEvent(known.content, event, item.kind === 'still'));
      continue;
    }
    // A picture of one that was forgotten long ago makes no message.
    if (item.kind === 'still' && event.endUtcMs !== null) continue;
    const notice = noticeOf(event, nowUtcMs);
    all.set(notice.noticeId, notice);
    changed.add(notice.noticeId);
    attempts.push(line(notice, 'queued', 'send', nowUtcMs));
  }
  return { notices: [...changed].map((id) => all.get(id)!), attempts };
}

/** The incident of the event has an animated picture from now on; no notices where that is no news. */
export function previewed(notices: readonly Notice[], eventId: string, path: string): Step {
  const changed = notices.flatMap((notice): Notice[] => {
    const { content } = notice;
    if (content.kind !== 'incident' || !isLive(notice)) return [];
    if (content.clipId !== null || content.previewPath !== undefined) return [];
    if (!content.events.some((event) => event.eventId === eventId)) return [];
    const shown = { ...content, previewPath: path };
    return [{ ...notice, content: shown, revision: notice.revision + 1, tries: 0 }];
  });
  return { notices: changed, attempts: [] };
}

const isLive = ({ status }: Notice): boolean => status === 'queued' || status === 'sent';

/** One of which nobody has been told. */
export const newNotice = (noticeId: string, content: Notice['content'], createdUtcMs: number): Notice => ({
  noticeId,
  content,
  status: 'queued',
  createdUtcMs,
  revision: 1,
  toldRevision: 0,
  toldUtcMs: null,
  ref: null,
  tries: 0,
  inFlight: false,
  maybeTold: false,
});

const noticeOf = (event: IncidentEvent, nowUtcMs: number): Notice =>
  newNotice(`incident-${event.eventId}`, { kind: 'incident', events: [event], clipId: null }, nowUtcMs);

const remembered = ({ state, stillPath, ...event }: EventRecord): IncidentEvent => ({
  eventId: event.eventId,
  cameraId: event.cameraId,
  label: event.label,
  score: state.best.score,
  zones: event.zones,
  startUtcMs: event.startUtcMs,
  endUtcMs: event.endUtcMs,
  stillPath,
});

/** A notice as it is found at the start: what was on its way may have arrived. */
export const interrupted = (notice: Notice): Notice =>
  notice.inFlight
    ? { ...notice, inFlight: false, maybeTold: notice.maybeTold || notice.status === 'queued' }
    : notice;

export function begun(notice: Notice, action: Attempt['action'], nowUtcMs: number): Step {
  const tried = { ...notice, inFlight: true, tries: notice.tries + 1 };
  return { notices: [tried], attempts: tried.tries > 1 ? [line(tried, 'retried', action, nowUtcMs)] : [] };
}

/** `revision` is what was told; meanwhile there may be more. */
export function told(
  notice: Notice,
  action: Attempt['action'],
  ref: string,
  revision: number,
  nowUtcMs: number,
): Step {
  const sent: Notice = {
    ...notice,
    status: 'sent',
    ref,
    toldRevision: revision,
    toldUtcMs: nowUtcMs,
    tries: 0,
    inFlight: false,
    maybeTold: false,
  };
  return { notices: [sent], attempts: [line(notice, 'sent', action, nowUtcMs)] };
}

export function failed(
  notice: Notice,
  action: Attempt['action'],
  failure: DeliveryError,
  nowUtcMs: number,
): Step {
  const { isFinal, maybeDelivered } = failure;
  const next: Notice = {
    ...notice,
    inFlight: false,
    maybeTold: notice.maybeTold || (action === 'send' && maybeDelivered),
    ...(isFinal && action === 'send' ? { status: 'given_up' } : {}),
    // The receiver keeps what it has; only more news is another reason to try.
    ...(isFinal && action === 'edit' ? { toldRevision: notice.revision, tries: 0 } : {}),
  };
  const outcome = isFinal ? 'given_up' : 'failed';
  return { notices: [next], attempts: [line(notice, outcome, action, nowUtcMs, failure.report())] };
}

/** `old` become part of a digest: of one that waits, or of a new one with the id `noticeId`. */
export function folded(
  old: readonly Notice[],
  notices: readonly Notice[],
  noticeId: string,
  nowUtcMs: number,
): Step {
  const waiting = notices.find(
    (notice) => notice.content.kind === 'digest' && notice.status === 'queued' && canGrow(notice),
  );
  const content = old.reduce(digested, waiting?.content.kind === 'digest' ? waiting.content : NOTHING);
  const digest: Notice = waiting
    ? { ...waiting, content, revision: waiting.revision + 1, tries: 0 }
    : newNotice(noticeId, content, nowUtcMs);
  return {
    notices: [digest, ...old.map((notice): Notice => ({ ...notice, status: 'folded' }))],
    attempts: [
      ...old.map((notice) => line(notice, 'folded', 'send', nowUtcMs)),
      ...(waiting ? [] : [line(digest, 'queued', 'send', nowUtcMs)]),
    ],
  };
}

/** What waits is not told, now or later. */
export const shed = (waiting: readonly Notice[], reason: ErrorReport, nowUtcMs: number): Step => ({
  notices: waiting.map((notice): Notice => ({ ...notice, status: 'given_up' })),
  attempts: waiting.map((notice) => line(notice, 'given_up', 'send', nowUtcMs, reason)),
});

/** Clips come a while after the end. */
const LINGER_MS = 600_000;
const LIFE_MS = 86_400_000;
const MAX_KEPT = 1000;

/** Those that need not be known any longer: told or given up, and nothing more is to be expected of them. */
export function forgettable(
  notices: readonly Notice[],
  canEdit: boolean,
  nowUtcMs: number,
): readonly Notice[] {
  const settled = notices.filter(
    ({ status, revision, toldRevision }) =>
      status !== 'queued' && !(canEdit && status === 'sent' && revision > toldRevision),
  );
  const surplus = settled.length - MAX_KEPT;
  return settled.filter((notice, at) => {
    if (at < surplus || notice.createdUtcMs < nowUtcMs - LIFE_MS) return true;
    const isEnded = notice.content.kind === 'digest' || isOver(notice.content);
    return isEnded && Math.max(endOf(notice), notice.toldUtcMs ?? 0) < nowUtcMs - LINGER_MS;
  });
}

const line = (
  { noticeId, tries }: Notice,
  outcome: Attempt['outcome'],
  action: Attempt['action'],
  atUtcMs: number,
  reason: ErrorReport | null = null,
): Attempt => ({ noticeId, atUtcMs, outcome, action, tries, reason });
