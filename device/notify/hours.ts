/** Hours of the day where the device stands, by its clock or by the sun. Pure. */
import {
  WEEKDAYS,
  type ArmSwitch,
  type DayMoment,
  type Hours,
  type PlaceSettings,
} from '../contract/notify.ts';

const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;
/** Of a week from now or back, and the day around it. */
const MAX_DAYS = 8;

/** A day of the calendar, as the UTC midnight of the same date. */
type Day = number;

export function isWithin(hours: readonly Hours[], utcMs: number, place: PlaceSettings): boolean {
  const today = dayOf(utcMs, place);
  return hours.some(({ days, from, to }) =>
    [today - DAY_MS, today].some((day) => {
      if (!days.includes(weekdayOf(day))) return false;
      const startMs = momentOn(day, from, place);
      const sameDayMs = momentOn(day, to, place);
      const endMs = sameDayMs > startMs ? sameDayMs : momentOn(day + DAY_MS, to, place);
      return startMs <= utcMs && utcMs < endMs;
    }),
  );
}

export interface Switching {
  readonly utcMs: number;
  readonly mode: ArmSwitch['mode'];
}

/** The newest switch up to now; null: there was none within a week. */
export const lastSwitch = (
  switches: readonly ArmSwitch[],
  utcMs: number,
  place: PlaceSettings,
): Switching | null =>
  switchings(switches, utcMs, place, -1).findLast((switching) => switching.utcMs <= utcMs) ?? null;

/** The next one. */
export const nextSwitch = (
  switches: readonly ArmSwitch[],
  utcMs: number,
  place: PlaceSettings,
): Switching | null =>
  switchings(switches, utcMs, place, 1).find((switching) => switching.utcMs > utcMs) ?? null;

function switchings(
  switches: readonly ArmSwitch[],
  utcMs: number,
  place: PlaceSettings,
  direction: 1 | -1,
): Switching[] {
  const today = dayOf(utcMs, place);
  const days = Array.from({ length: MAX_DAYS + 1 }, (_, i) => today + direction * (i - 1) * DAY_MS);
  return days
    .flatMap((day) =>
      switches
        .filter((each) => each.days.includes(weekdayOf(day)))
        .map(({ at, mode }) => ({ utcMs: momentOn(day, at, place), mode })),
    )
    .toSorted((a, b) => a.utcMs - b.utcMs);
}

const weekdayOf = (day: Day) => WEEKDAYS[new Date(day).getUTCDay()]!;

function dayOf(utcMs: number, place: PlaceSettings): Day {
  return Math.floor((utcMs + offsetMs(utcMs, place)) / DAY_MS) * DAY_MS;
}

function momentOn(day: Day, { from, minutes }: DayMoment, place: PlaceSettings): number {
  const base = from === 'midnight' ? null : sunOn(day, from, place);
  return base === null
    ? zoned(day + (minutes + FIXED_MINUTES[from]) * MINUTE_MS, place)
    : base + minutes * MINUTE_MS;
}

/** Where nobody said where the device stands, or the sun does not rise or set on that day. */
const FIXED_MINUTES = { midnight: 0, sunrise: 6 * 60, sunset: 18 * 60 } as const;

/** UTC of a local time that is given as if it were UTC. One that a change of clocks leaves out is the next there is. */
function zoned(localMs: number, place: PlaceSettings): number {
  const guessMs = localMs - offsetMs(localMs, place);
  return localMs - offsetMs(guessMs, place);
}

/** How far local time is ahead of UTC. */
function offsetMs(utcMs: number, { timeZone }: PlaceSettings): number {
  const parts = formatOf(timeZone).formatToParts(utcMs);
  const of = (type: string): number => Number(parts.find((part) => part.type === type)?.value);
  const local = Date.UTC(of('year'), of('month') - 1, of('day'), of('hour'), of('minute'), of('second'));
  return local - Math.floor(utcMs / 1000) * 1000;
}

const formats = new Map<string | null, Intl.DateTimeFormat>();

function formatOf(timeZone: string | null): Intl.DateTimeFormat {
  let format = formats.get(timeZone);
  if (!format) {
    format = new Intl.DateTimeFormat('en-US', {
      calendar: 'gregory',
      hourCycle: 'h23',
      ...{ year: 'numeric', month: 'numeric', day: 'numeric' },
      ...{ hour: 'numeric', minute: 'numeric', second: 'numeric' },
      ...(timeZone === null ? {} : { timeZone }),
    });
    formats.set(timeZone, format);
  }
  return format;
}

const RAD = Math.PI / 180;
const J2000_MS = Date.UTC(2000, 0, 1, 12);

/**
 * Sunrise or sunset on a day, exact to a minute or two; null where there is none that day. The sunrise equation
 * after Meeus, "Astronomical Algorithms", with the sun's upper rim at the horizon and mean refraction (−0.833°).
 */
export function sunOn(day: Day, event: 'sunrise' | 'sunset', { location }: PlaceSettings): number | null {
  if (location === null) return null;
  const { latitude, longitude } = location;
  const days = Math.round((day + DAY_MS / 2 - J2000_MS) / DAY_MS) + 0.0008;
  const noon = days - longitude / 360;
  const anomaly = (357.5291 + 0.98560028 * noon) % 360;
  const centre =
    1.9148 * Math.sin(anomaly * RAD) +
    0.02 * Math.sin(2 * anomaly * RAD) +
    0.0003 * Math.sin(3 * anomaly * RAD);
  const ecliptic = (anomaly + centre + 180 + 102.9372) % 360;
  const transit = noon + 0.0053 * Math.sin(anomaly * RAD) - 0.0069 * Math.sin(2 * ecliptic * RAD);
  const sine = Math.sin(ecliptic * RAD) * Math.sin(23.4397 * RAD);
  const cosine = Math.cos(Math.asin(sine));
  const hour =
    (Math.sin(-0.833 * RAD) - Math.sin(latitude * RAD) * sine) / (Math.cos(latitude * RAD) * cosine);
  if (Math.abs(hour) > 1) return null;
  const half = Math.acos(hour) / RAD / 360;
  return J2000_MS + (transit + (event === 'sunrise' ? -half : half)) * DAY_MS;
}
