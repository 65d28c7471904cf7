/** What people read. Pure. */
import type { Digest, Incident, Notice } from '../contract/notify.ts';
import { isOver } from './incidents.ts';

export interface Words {
  readonly nodeId: string;
  readonly timeZone: string | null;
  /** What people call a camera. */
  readonly cameraName: (cameraId: string) => string;
}

/** Longer lists end with a number. */
const MAX_LINES = 20;

export function subjectOf(notice: Notice, words: Words): string {
  const { content } = notice;
  if (content.kind === 'digest') return `${content.incidents} incidents while nobody could be told`;
  const [first] = content.events;
  const labels = [...new Set(content.events.map(({ label }) => label))];
  const cameras = [...new Set(content.events.map(({ cameraId }) => words.cameraName(cameraId)))];
  return `${capital(list(labels))} on ${list(cameras)}, ${clockTime(first?.startUtcMs ?? 0, words)}`;
}

/** A few plain lines, the subject not among them. */
export function textOf({ content }: Notice, words: Words): string {
  return content.kind === 'digest' ? digestText(content, words) : incidentText(content, words);
}

function incidentText(incident: Incident, words: Words): string {
  const lines = incident.events.map(({ cameraId, label, score, zones, startUtcMs, endUtcMs }) => {
    const where = zones.length > 0 ? ` (${zones.join(', ')})` : '';
    const stay = endUtcMs === null ? 'still there' : lasting(endUtcMs - startUtcMs);
    const time = clockTime(startUtcMs, words);
    return `${time} ${words.cameraName(cameraId)}${where}: ${label} ${Math.round(score * 100)} %, ${stay}`;
  });
  const more = lines.length - MAX_LINES;
  return [
    ...lines.slice(0, MAX_LINES),
    ...(more > 0 ? [`and ${more} more`] : []),
    ...(isOver(incident) ? [] : ['It goes on.']),
  ].join('\n');
}

function digestText({ startUtcMs, endUtcMs, events }: Digest, words: Words): string {
  const lines = Object.entries(events).map(([cameraId, labels]) => {
    const counts = Object.entries(labels).map(([label, count]) => `${count} × ${label}`);
    return `${words.cameraName(cameraId)}: ${counts.join(', ')}`;
  });
  const more = lines.length - MAX_LINES;
  return [
    `From ${dayAndTime(startUtcMs, words)} to ${dayAndTime(endUtcMs, words)}`,
    ...lines.slice(0, MAX_LINES),
    ...(more > 0 ? [`and ${more} cameras more`] : []),
    'The recordings are on the device.',
  ].join('\n');
}

/** `2026-03-01 14:05:09` where it happened, for subjects that stand alone. */
export const dayAndTime = (utcMs: number, { timeZone }: Pick<Words, 'timeZone'>): string =>
  new Intl.DateTimeFormat('sv-SE', {
    dateStyle: 'short',
    timeStyle: 'medium',
    ...(timeZone === null ? {} : { timeZone }),
  }).format(utcMs);

const clockTime = (utcMs: number, words: Words): string => dayAndTime(utcMs, words).slice(-8);

const capital = (text: string): string => text.slice(0, 1).toUpperCase() + text.slice(1);

const list = (names: readonly string[]): string =>
  names.length <= 3 ? names.join(', ') : `${names.slice(0, 3).join(', ')} and ${names.length - 3} more`;

function lasting(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  return seconds < 120 ? `${seconds} s` : `${Math.round(seconds / 60)} min`;
}
