import fc from 'fast-check';
import { expect, test } from 'vitest';
import { WEEKDAYS, type DayMoment, type PlaceSettings } from '../../../device/contract/notify.ts';
import { isWithin, lastSwitch, nextSwitch, sunOn } from '../../../device/notify/hours.ts';

const UTC: PlaceSettings = { timeZone: 'UTC', location: null };
const ROME: PlaceSettings = { timeZone: 'Europe/Rome', location: { latitude: 41.9, longitude: 12.5 } };
const days = [...WEEKDAYS];
const at = (hours: number, minutes = 0): DayMoment => ({ from: 'midnight', minutes: hours * 60 + minutes });
const iso = (text: string): number => Date.parse(text);
const MINUTE_MS = 60_000;

test.each([
  ['2026-03-02T21:59:59Z', false],
  ['2026-03-02T22:00:00Z', true],
  ['2026-03-03T05:59:59Z', true],
  ['2026-03-03T06:00:00Z', false],
])('from 22:00 to 6:00, %s lies within: %s', (time, expected) => {
  expect(isWithin([{ days, from: at(22), to: at(6) }], iso(time), UTC)).toBe(expected);
});

test('hours over midnight belong to the day they begin on', () => {
  // 2026-03-07 is a Saturday.
  const hours = [{ days: ['sat' as const], from: at(22), to: at(6) }];
  expect(isWithin(hours, iso('2026-03-08T03:00:00Z'), UTC)).toBe(true);
  expect(isWithin(hours, iso('2026-03-07T03:00:00Z'), UTC)).toBe(false);
});

test('the whole day', () => {
  const hours = [{ days, from: at(0), to: at(24) }];
  fc.assert(
    fc.property(fc.integer({ min: iso('2026-01-01'), max: iso('2027-01-01') }), (utcMs) => {
      for (const place of [UTC, ROME]) expect(isWithin(hours, utcMs, place)).toBe(true);
    }),
    { numRuns: 50 },
  );
});

test('local time is that of the place, also over a change of clocks', () => {
  const hours = [{ days, from: at(12), to: at(13) }];
  expect(isWithin(hours, iso('2026-03-28T11:30:00Z'), ROME)).toBe(true);
  // The next day clocks are one hour ahead.
  expect(isWithin(hours, iso('2026-03-29T10:30:00Z'), ROME)).toBe(true);
  expect(isWithin(hours, iso('2026-03-29T11:30:00Z'), ROME)).toBe(false);
});

// UTC, by almanacs.
test.each([
  ['Rome', 41.9, 12.5, '2026-06-21', '03:35', '18:48'],
  ['Oslo', 59.91, 10.75, '2026-12-21', '08:18', '14:12'],
  ['Quito', -0.18, -78.47, '2026-03-20', '11:18', '23:24'],
  ['Sydney', -33.87, 151.21, '2026-01-01', '18:48 -1', '09:09'],
])('the sun over %s', (_name, latitude, longitude, date, rise, set) => {
  const place = { timeZone: null, location: { latitude, longitude } };
  const expected = (text: string): number => {
    const [time = '', shift = '0'] = text.split(' ');
    return iso(`${date}T${time}:00Z`) + Number(shift) * 86_400_000;
  };
  const [riseMs, setMs] = [sunOn(iso(date), 'sunrise', place)!, sunOn(iso(date), 'sunset', place)!];
  expect(Math.abs(riseMs - expected(rise))).toBeLessThan(4 * MINUTE_MS);
  expect(Math.abs(setMs - expected(set))).toBeLessThan(4 * MINUTE_MS);
});

test('where the sun does not set, 6:00 and 18:00 serve', () => {
  const north = { timeZone: 'UTC', location: { latitude: 78.2, longitude: 15.6 } };
  expect(sunOn(iso('2026-06-21'), 'sunset', north)).toBeNull();
  const night = [
    { days, from: { from: 'sunset', minutes: 0 }, to: { from: 'sunrise', minutes: 0 } },
  ] as const;
  expect(isWithin(night, iso('2026-06-21T20:00:00Z'), north)).toBe(true);
  expect(isWithin(night, iso('2026-06-21T12:00:00Z'), north)).toBe(false);
});

test('a schedule: the last switch up to now, and the next one', () => {
  const switches = [
    { days, at: at(7), mode: 'home' },
    { days: ['mon', 'tue', 'wed', 'thu', 'fri'], at: at(8, 30), mode: 'away' },
    { days, at: { from: 'sunset', minutes: 30 }, mode: 'night' },
  ] as const;
  // A Sunday morning.
  const now = iso('2026-03-01T09:00:00Z');
  expect(lastSwitch(switches, now, UTC)).toEqual({ utcMs: iso('2026-03-01T07:00:00Z'), mode: 'home' });
  expect(nextSwitch(switches, now, UTC)).toEqual({ utcMs: iso('2026-03-01T18:30:00Z'), mode: 'night' });
  expect(nextSwitch(switches, iso('2026-03-01T23:00:00Z'), UTC)?.mode).toBe('home');
  expect(lastSwitch([], now, UTC)).toBeNull();
});

test('whatever the schedule, nothing lies between the last switch and the next', () => {
  const moment = fc.record({
    from: fc.constantFrom('midnight' as const, 'sunrise' as const, 'sunset' as const),
    minutes: fc.integer({ min: 0, max: 359 }),
  });
  const entry = fc.record({
    days: fc.uniqueArray(fc.constantFrom(...WEEKDAYS), { minLength: 1 }),
    at: moment,
    mode: fc.constantFrom('home' as const, 'away' as const),
  });
  const time = fc.integer({ min: iso('2026-01-01'), max: iso('2027-01-01') });
  fc.assert(
    fc.property(fc.array(entry, { minLength: 1, maxLength: 5 }), time, (switches, utcMs) => {
      const last = lastSwitch(switches, utcMs, ROME)!;
      const next = nextSwitch(switches, utcMs, ROME)!;
      expect(last.utcMs).toBeLessThanOrEqual(utcMs);
      expect(next.utcMs).toBeGreaterThan(utcMs);
      expect(nextSwitch(switches, last.utcMs, ROME)?.utcMs).toBe(next.utcMs);
    }),
    { numRuns: 60 },
  );
});
