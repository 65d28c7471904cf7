/** What a lane does next. Pure: from its notices and the time. */
import type { Notice } from '../contract/notify.ts';
import { endOf, isOver, bestOf, startOf } from './incidents.ts';

export type SendStep =
  | { readonly kind: 'send'; readonly notice: Notice }
  /** All of them go into one digest. */
  | { readonly kind: 'fold'; readonly notices: readonly Notice[] }
  /** null: until something happens. */
  | { readonly kind: 'wait'; readonly forMs: number | null };

export interface SendRules {
  /** What was over for longer is old, unless it is the newest. */
  readonly freshMs: number;
  /** Incidents that may wait. */
  readonly maxWaiting: number;
  /** How long the first picture is waited for. */
  readonly settleMs: number;
  /** The picture that is waited for is the animated one. */
  readonly awaitsPreview: boolean;
  /** How long until the rate limit lets it through; 0: now. */
  readonly waitMs: (key: string) => number;
}

/** By what messages are limited: the camera that it began with. */
export const limitKey = ({ content }: Notice): string =>
  content.kind === 'digest' ? 'digest' : (content.events[0]?.cameraId ?? '');

/** The newest incident first, then those before it; what is old goes into a digest, and that comes last. */
export function nextSend(notices: readonly Notice[], rules: SendRules, nowUtcMs: number): SendStep {
  const waiting = notices.filter(({ status }) => status === 'queued');
  const alerts = waiting
    .filter(({ content }) => content.kind === 'incident')
    .toSorted((a, b) => startOf(b) - startOf(a));
  const digests = waiting.filter(({ content }) => content.kind === 'digest');
  // One that the receiver may have already is not told in other words.
  const foldable = alerts.slice(1).filter(({ maybeTold, inFlight }) => !maybeTold && !inFlight);
  const old = foldable.filter(
    (notice) => endOf(notice) < nowUtcMs - rules.freshMs || alerts.indexOf(notice) >= rules.maxWaiting,
  );
  if (old.length > 1 || (old.length === 1 && digests.some(canGrow))) return { kind: 'fold', notices: old };

  let forMs: number | null = null;
  for (const notice of [...alerts, ...digests]) {
    const ms = Math.max(settlesInMs(notice, rules, nowUtcMs), rules.waitMs(limitKey(notice)));
    if (ms <= 0) return { kind: 'send', notice };
    forMs = Math.min(forMs ?? Infinity, ms);
  }
  return { kind: 'wait', forMs };
}

/** A digest that nobody may have seen yet. */
export const canGrow = ({ maybeTold, inFlight }: Notice): boolean => !maybeTold && !inFlight;

function settlesInMs(
  { content, createdUtcMs }: Notice,
  { settleMs, awaitsPreview }: SendRules,
  nowUtcMs: number,
): number {
  if (content.kind === 'digest') return 0;
  // A short event is over before its animated picture is made.
  const isReady = awaitsPreview
    ? content.previewPath !== undefined
    : isOver(content) || bestOf(content).stillPath !== null;
  return isReady ? 0 : createdUtcMs + settleMs - nowUtcMs;
}

export type EditStep =
  | { readonly kind: 'edit' | 'give up'; readonly notice: Notice }
  | { readonly kind: 'wait'; readonly forMs: number | null };

/** Receivers do not let older messages be edited. */
const EDITABLE_MS = 40 * 3_600_000;

/** The newest message that says less than is known, at most one edit of each per `everyMs`. */
export function nextEdit(notices: readonly Notice[], everyMs: number, nowUtcMs: number): EditStep {
  const behind = notices
    .filter(({ status, revision, toldRevision }) => status === 'sent' && revision > toldRevision)
    .toSorted((a, b) => startOf(b) - startOf(a));
  let forMs: number | null = null;
  for (const notice of behind) {
    const toldUtcMs = notice.toldUtcMs ?? 0;
    if (toldUtcMs < nowUtcMs - EDITABLE_MS) return { kind: 'give up', notice };
    const ms = toldUtcMs + everyMs - nowUtcMs;
    if (ms <= 0) return { kind: 'edit', notice };
    forMs = Math.min(forMs ?? Infinity, ms);
  }
  return { kind: 'wait', forMs };
}
