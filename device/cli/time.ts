import { CodedError } from '../contract/errors.ts';

/** How times are written on the command line. */
export const TIMES_HELP = `  Times: 2026-11-23T14:30 or 14:30 (today), local unless they end in Z or an offset; now; -10m (ago); as --to
  also +90s (after --from). Units: s, m, h, d.`;

const UNITS_MS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const DATE = /^\d{4}-\d\d-\d\d$/;
const DATE_TIME = /^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,3})?)?(Z|[+-]\d\d:\d\d)?$/;
const TIME = /^\d\d:\d\d(:\d\d(\.\d{1,3})?)?$/;

/** UTC ms; `fromUtcMs` is what a `+` counts from. */
export function parseTime(name: string, text: string, nowUtcMs: number, fromUtcMs?: number): number {
  const utcMs = readTime(text, nowUtcMs, fromUtcMs);
  if (Number.isNaN(utcMs)) {
    throw new CodedError(
      'USAGE',
      `--${name} takes a time like 2026-11-23T14:30, 14:30 or -10m, not "${text}"`,
    );
  }
  return Math.round(utcMs);
}

function readTime(text: string, nowUtcMs: number, fromUtcMs: number | undefined): number {
  if (text === 'now') return nowUtcMs;
  const [, sign, amount, unit] = /^([+-])(\d+(?:\.\d+)?)([smhd])$/.exec(text) ?? [];
  if (sign === '-') return nowUtcMs - Number(amount) * UNITS_MS[unit!]!;
  if (sign === '+') return (fromUtcMs ?? NaN) + Number(amount) * UNITS_MS[unit!]!;
  // Without a time of day JavaScript would take a date as UTC.
  if (DATE.test(text)) return Date.parse(`${text}T00:00`);
  if (DATE_TIME.test(text)) return Date.parse(text.replace(' ', 'T'));
  if (TIME.test(text)) {
    const now = new Date(nowUtcMs);
    const [hours, minutes, seconds = '0'] = text.split(':') as [string, string, string?];
    if (Number(hours) > 23 || Number(minutes) > 59 || Number(seconds) >= 60) return NaN;
    return now.setHours(Number(hours), Number(minutes), 0, 0) + Number(seconds) * 1000;
  }
  return NaN;
}

/** `--from -10m` as `--from=-10m`: `parseArgs` takes a value that begins with a dash for an option. */
export const joinDashes = (argv: readonly string[], names: readonly string[]): readonly string[] =>
  argv.flatMap((word, i) => {
    const next = argv[i + 1];
    if (names.includes(word) && next !== undefined && /^-\d/.test(next)) return [`${word}=${next}`];
    return i > 0 && names.includes(argv[i - 1]!) && /^-\d/.test(word) ? [] : [word];
  });
