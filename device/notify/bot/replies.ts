/** Results of commands as people read them in a chat. Pure; shapes are those of `device/handlers.ts`. */
import { countsChart, type CountsChart } from '../charts/counts.ts';
import { timelineChart, type TimelineChart } from '../charts/timeline.ts';
import { dayAndTime } from '../wording.ts';

export interface Button {
  readonly text: string;
  /** Comes back when it is pressed: a command as it would be typed, without the slash. */
  readonly press: string;
}

export interface Reply {
  readonly text: string;
  readonly buttons?: readonly (readonly Button[])[];
  /** Relative to the data directory. */
  readonly photo?: string;
  readonly video?: string;
  /** SVG of what the text says; where it cannot be drawn, the text alone is sent. */
  readonly chart?: string;
  /** What is too long for a message, as a file. */
  readonly document?: { readonly name: string; readonly text: string };
}

export interface HealthResult {
  readonly status: string;
  readonly modules: Readonly<
    Record<string, { readonly status: string; readonly reasons: readonly { readonly message: string }[] }>
  >;
}

const SIGNS: Readonly<Record<string, string>> = { healthy: '✅', degraded: '⚠️', error: '❌', disabled: '⏸' };

export function healthReply({ status, modules }: HealthResult): Reply {
  const ailing = Object.entries(modules).filter(([, { status }]) => status !== 'healthy');
  return {
    text: [
      `${SIGNS[status] ?? ''} ${status}, ${Object.keys(modules).length} modules`,
      ...ailing.map(([id, { status, reasons }]) => {
        const why = reasons.map(({ message }) => message).join(' ');
        return `${SIGNS[status] ?? ''} ${id.replace('modules.', '')}${why ? `: ${why}` : ''}`;
      }),
    ].join('\n'),
  };
}

export interface ArmResult {
  readonly mode: string;
  readonly by: string;
  readonly muted_until_ts: number | null;
  readonly next: { readonly ts: number; readonly mode: string } | null;
}

export function armReply({ mode, by, muted_until_ts, next }: ArmResult, timeZone: string | null): Reply {
  const time = (ts: number): string => dayAndTime(ts, { timeZone });
  return {
    text: [
      `${mode} (${by})`,
      ...(muted_until_ts === null ? [] : [`muted until ${time(muted_until_ts)}`]),
      ...(next === null ? [] : [`${next.mode} from ${time(next.ts)}`]),
    ].join('\n'),
  };
}

export interface RecordingsResult {
  readonly items: readonly {
    readonly id: string;
    readonly label: string;
    readonly camera_id: string;
    readonly start_ts: number;
  }[];
}

/** Telegram takes no longer answers of buttons. */
const MAX_PRESS_BYTES = 64;
const PER_ROW = 4;
const DAY_MS = 86_400_000;

export interface Now {
  readonly utcMs: number;
  /** null: that of this machine. */
  readonly timeZone: string | null;
}

/** By day, numbered; a button for each number. */
export function recordingsReply({ items }: RecordingsResult, { utcMs, timeZone }: Now): Reply {
  const shown = items.filter(({ id }) => Buffer.byteLength(`clip ${id}`) <= MAX_PRESS_BYTES);
  if (shown.length === 0) return { text: 'There are no recordings.' };
  const day = (ms: number): string => dayAndTime(ms, { timeZone }).slice(0, 10);
  const days = new Map([
    [day(utcMs), 'Today'],
    [day(utcMs - DAY_MS), 'Yesterday'],
  ]);
  const lines: string[] = [];
  let heading = '';
  for (const [index, { label, camera_id, start_ts }] of shown.entries()) {
    const when = dayAndTime(start_ts, { timeZone });
    const next = days.get(when.slice(0, 10)) ?? 'Older';
    if (next !== heading) lines.push(...(heading === '' ? [] : ['']), next);
    heading = next;
    const time = next === 'Older' ? when.slice(5, 16) : when.slice(11, 16);
    lines.push(`${index + 1}. ${time} ${label}, ${camera_id}`);
  }
  const buttons = shown.map(({ id }, index) => ({ text: String(index + 1), press: `clip ${id}` }));
  return {
    text: lines.join('\n'),
    buttons: Array.from({ length: Math.ceil(buttons.length / PER_ROW) }, (_, row) =>
      buttons.slice(row * PER_ROW, (row + 1) * PER_ROW),
    ),
  };
}

const BARS = ['·', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/** One sign per number; the largest is the highest. */
export function sparkline(counts: readonly number[]): string {
  const max = Math.max(1, ...counts);
  return counts.map((count) => BARS[Math.ceil((count / max) * (BARS.length - 1))]).join('');
}

export interface TimelineResult extends TimelineChart {
  readonly hours: number;
}

const COLUMNS = 24;

export function timelineReply(result: TimelineResult, timeZone: string | null): Reply {
  const { hours, start_ts, end_ts, cameras } = result;
  const width = (end_ts - start_ts) / COLUMNS;
  const lines = cameras.map(({ camera_id, events, gaps }) => {
    const counts = Array.from({ length: COLUMNS }, () => 0);
    for (const event of events) {
      const at = Math.floor((event.start_ts - start_ts) / width);
      if (at >= 0 && at < COLUMNS) counts[at] = counts[at]! + 1;
    }
    const missing = gaps.reduce((sum, gap) => sum + gap.end_ts - gap.start_ts, 0);
    const note = missing > 0 ? `, ${Math.round(missing / 60_000)} min without footage` : '';
    return `${sparkline(counts)} ${camera_id}: ${events.length} events${note}`;
  });
  return { text: [`The last ${hours} h`, ...lines].join('\n'), chart: timelineChart(result, timeZone) };
}

export interface SummaryResult extends CountsChart {
  readonly hours: number;
}

const BAR_WIDTH = 12;

export function summaryReply(result: SummaryResult, timeZone: string | null): Reply {
  const { hours, stats } = result;
  const bars = (counts: Readonly<Record<string, number>>): string[] => {
    const sorted = Object.entries(counts).toSorted(([, a], [, b]) => b - a);
    const max = Math.max(1, ...sorted.map(([, count]) => count));
    return sorted.map(
      ([name, count]) => `${'█'.repeat(Math.ceil((count / max) * BAR_WIDTH))} ${count} ${name}`,
    );
  };
  const lines = [`${stats.total_events} events in the last ${hours} h`, ...bars(stats.by_type)];
  return {
    text: [...lines, '', ...bars(stats.by_camera)].join('\n').trimEnd(),
    chart: countsChart(result, timeZone),
  };
}

/** Longer ones are a file. */
const MAX_CONFIG = 3500;

export interface ConfigResult {
  readonly fingerprint: string;
  readonly data: unknown;
}

/** `wanted` is a key like `outputs.telegram`; null: all of it. */
export function configReply({ fingerprint, data }: ConfigResult, wanted: string | null): Reply {
  const text = JSON.stringify(data, null, 2);
  const title = `${wanted ?? 'configuration'} (${fingerprint.slice(0, 12)})`;
  if (text.length <= MAX_CONFIG) return { text: `${title}\n${text}` };
  return { text: title, document: { name: `${wanted ?? 'config'}.json`, text } };
}
