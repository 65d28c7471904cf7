/** The hours below a chart, as clocks show them where the device stands. Pure. */
import { FAINT, line, TEXT } from './frame.ts';
import { lettering } from './lettering.ts';

export interface Span {
  readonly startUtcMs: number;
  readonly endUtcMs: number;
  readonly timeZone: string | null;
}

const MINUTE_MS = 60_000;
/** Where a day does not divide, an hour does. */
const DAY_MIN = 1440;
const STEPS_MIN = [5, 10, 15, 30, 60, 120, 180, 240, 360, 720, DAY_MIN];
const MAX_MARKS = 8;

interface Mark {
  readonly utcMs: number;
  readonly text: string;
}

/** Round times of the day, few enough to be read; at midnight the date. */
export function marksOf({ startUtcMs, endUtcMs, timeZone }: Span): readonly Mark[] {
  const spanMin = (endUtcMs - startUtcMs) / MINUTE_MS;
  const stepMin = STEPS_MIN.find((step) => spanMin / step <= MAX_MARKS) ?? DAY_MIN;
  // Zones differ by quarters of an hour, and so do their changes of clocks.
  const lookMs = Math.min(15, stepMin) * MINUTE_MS;
  const marks: Mark[] = [];
  for (let utcMs = Math.ceil(startUtcMs / lookMs) * lookMs; utcMs < endUtcMs; utcMs += lookMs) {
    const { day, hour, minute } = partsOf(utcMs, timeZone);
    const ofDay = Number(hour) * 60 + Number(minute);
    if (ofDay % stepMin !== 0) continue;
    const date = stepMin < DAY_MIN ? day.split(' ').slice(0, 2).join(' ') : day;
    marks.push({ utcMs, text: ofDay === 0 ? date : `${hour}:${minute}` });
  }
  return marks;
}

/** `Sun 1 Mar 14:00 – Mon 2 Mar 14:00, Europe/Rome` */
export function spanInWords({ startUtcMs, endUtcMs, timeZone }: Span): string {
  const words = (utcMs: number): string => {
    const { day, hour, minute } = partsOf(utcMs, timeZone);
    return `${day} ${hour}:${minute}`;
  };
  return `${words(startUtcMs)} – ${words(endUtcMs)}, ${zoneOf(timeZone)}`;
}

const zoneOf = (timeZone: string | null): string =>
  timeZone ?? new Intl.DateTimeFormat('en').resolvedOptions().timeZone;

function partsOf(utcMs: number, timeZone: string | null) {
  const format = new Intl.DateTimeFormat('en-GB', {
    ...{ weekday: 'short', day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit' },
    ...{ hourCycle: 'h23', timeZone: zoneOf(timeZone) },
  });
  const parts = Object.fromEntries(format.formatToParts(utcMs).map(({ type, value }) => [type, value]));
  const { weekday = '', day = '', month = '', hour = '', minute = '' } = parts;
  return { day: `${weekday} ${day} ${month}`, hour, minute };
}

export const AXIS_HEIGHT = 64;
/** A date needs so much room to either side. */
const CLEAR_PX = 150;
const LONG_TEXT = 6;

/** Lines from `top` to `bottom`, words below. */
export function hoursAxis(span: Span, left: number, right: number, top: number, bottom: number): string {
  const { startUtcMs, endUtcMs } = span;
  let lastX = -Infinity;
  return marksOf(span)
    .map(({ utcMs, text }) => {
      const x = left + ((right - left) * (utcMs - startUtcMs)) / (endUtcMs - startUtcMs);
      const isClear = x - lastX >= (text.length > LONG_TEXT ? CLEAR_PX : CLEAR_PX * 0.6);
      const middle = Math.min(Math.max(x, left + 36), right - 36);
      if (isClear) lastX = x;
      return (
        line(x, top, x, bottom) +
        (isClear ? lettering(text, middle, bottom + 42, { size: TEXT, colour: FAINT, anchor: 'middle' }) : '')
      );
    })
    .join('');
}
