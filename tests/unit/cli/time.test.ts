import { expect, test } from 'vitest';
import { joinDashes, parseTime } from '../../../device/cli/time.ts';

const NOW = new Date(2026, 10, 23, 15, 0, 30).getTime();
const read = (text: string, fromUtcMs?: number): number => parseTime('from', text, NOW, fromUtcMs);

test.each([
  ['2026-11-23T14:30', new Date(2026, 10, 23, 14, 30).getTime()],
  ['2026-11-23 14:30:05.25', new Date(2026, 10, 23, 14, 30, 5, 250).getTime()],
  ['2026-11-23', new Date(2026, 10, 23).getTime()],
  ['2026-11-23T14:30:00Z', Date.UTC(2026, 10, 23, 14, 30)],
  ['2026-11-23T14:30:00+02:00', Date.UTC(2026, 10, 23, 12, 30)],
  ['14:30', new Date(2026, 10, 23, 14, 30).getTime()],
  ['09:05:07.5', new Date(2026, 10, 23, 9, 5, 7, 500).getTime()],
  ['now', NOW],
  ['-10m', NOW - 600_000],
  ['-1.5h', NOW - 5_400_000],
])('%s', (text, utcMs) => {
  expect(read(text)).toBe(utcMs);
});

test('a length counts from the first moment', () => {
  expect(read('+90s', 1000)).toBe(91_000);
});

test.each(['', 'yesterday', '25:00', '2026-13-01', '10m', '-10', '+5m', '14:60', '2026-11-23T14'])(
  'not a time: "%s"',
  (text) => {
    expect(() => read(text)).toThrow(expect.objectContaining({ code: 'USAGE' }) as Error);
  },
);

test('a value that begins with a dash stays the value of its option', () => {
  const argv = ['--from', '-10m', '--to', 'now', '-x', '--json'];
  expect(joinDashes(argv, ['--from', '--to'])).toEqual(['--from=-10m', '--to', 'now', '-x', '--json']);
});
