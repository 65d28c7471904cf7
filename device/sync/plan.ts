/** What may be sent when, in which order, and in which pieces. Pure. */
import type { RemoteSettings } from '../contract/settings.ts';
import type { RemoteKind } from '../contract/sync.ts';

/** What tells most in the fewest bytes goes first. */
const ORDER: readonly RemoteKind[] = ['still', 'clip', 'segment'];
const DAYS = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'];

/** Kinds that may be sent now, most wanted first. */
export function kindsNow(
  { kinds, windows, isMetered }: Pick<RemoteSettings, 'kinds' | 'windows' | 'isMetered'>,
  localTime: Pick<Date, 'getDay' | 'getHours' | 'getMinutes'>,
): readonly RemoteKind[] {
  const patient = isMetered || !isOpen(windows, localTime);
  return ORDER.filter((kind) => kinds.includes(kind) && (kind !== 'segment' || !patient));
}

/** `mon-fri 22:00-06:00`: a window that goes past midnight belongs to the day on which it opens. */
export function isOpen(
  windows: readonly string[],
  time: Pick<Date, 'getDay' | 'getHours' | 'getMinutes'>,
): boolean {
  if (windows.length === 0) return true;
  const minute = time.getHours() * 60 + time.getMinutes();
  const today = time.getDay();
  return windows.some((window) => {
    const [hours = '', days = ''] = window.split(' ').toReversed();
    const [from = 0, to = 0] = hours.split('-').map(minutesOf);
    const opensOn = (day: number): boolean => days === '' || daysOf(days).has(day);
    if (from < to) return opensOn(today) && minute >= from && minute < to;
    return (opensOn(today) && minute >= from) || (opensOn((today + 6) % 7) && minute < to);
  });
}

const minutesOf = (time: string): number => {
  const [hours = 0, minutes = 0] = time.split(':').map(Number);
  return hours * 60 + minutes;
};

/** `mon-fri,sun` → numbers as of `Date.getDay`. */
function daysOf(text: string): ReadonlySet<number> {
  const days = new Set<number>();
  for (const range of text.split(',')) {
    const [first = 0, last = first] = range.split('-').map((name) => DAYS.indexOf(name));
    for (let day = first; ; day = (day + 1) % 7) {
      days.add(day);
      if (day === last) break;
    }
  }
  return days;
}

export interface Piece {
  /** From 1. */
  readonly part: number;
  readonly atBytes: number;
  readonly sizeBytes: number;
}

/** Of S3. */
const MAX_PARTS = 10_000;

/** An object as the parts in which it is sent; one: it goes in a single request. The same for the same size. */
export function piecesOf(sizeBytes: number, partBytes: number): readonly Piece[] {
  const size = Math.max(partBytes, Math.ceil(sizeBytes / MAX_PARTS));
  const count = Math.max(1, Math.ceil(sizeBytes / size));
  return Array.from({ length: count }, (_, n) => ({
    part: n + 1,
    atBytes: n * size,
    sizeBytes: Math.min(size, sizeBytes - n * size),
  }));
}

/** The camera and day of a manifest, by its key; null for other objects. */
export function manifestDayOf(key: string): { cameraId: string; day: string } | null {
  const [, cameraId, day] = /^manifests\/([^/]+)\/(\d{4}-\d\d-\d\d)\.json$/.exec(key) ?? [];
  return cameraId === undefined || day === undefined ? null : { cameraId, day };
}

export const manifestKey = ({ cameraId, day }: { cameraId: string; day: string }): string =>
  `manifests/${cameraId}/${day}.json`;
