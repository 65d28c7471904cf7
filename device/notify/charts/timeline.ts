/** When something happened: a row per camera, with footage, gaps and events. Pure: SVG out of facts. */
import {
  card,
  colourOf,
  FAINT,
  heading,
  HEADING_HEIGHT,
  INK,
  legend,
  MARGIN,
  rect,
  seriesOf,
  TEXT,
  WIDTH,
  type LegendEntry,
} from './frame.ts';
import { AXIS_HEIGHT, hoursAxis, spanInWords, type Span } from './hours-axis.ts';
import { fitted, lettering } from './lettering.ts';

interface Stretch {
  readonly start_ts: number;
  readonly end_ts: number;
}

export interface TimelineChart {
  readonly start_ts: number;
  readonly end_ts: number;
  readonly cameras: readonly {
    readonly camera_id: string;
    readonly coverage: readonly Stretch[];
    readonly gaps: readonly Stretch[];
    readonly events: readonly {
      readonly start_ts: number;
      readonly end_ts: number | null;
      readonly label: string;
    }[];
  }[];
}

const FOOTAGE = '#44515f';
const MISSING = '#8c3f49';
const NOTHING = '#28313b';
const MAX_ROWS = 12;
const ROW = 112;
const NAME = 46;
const BAND = 50;
/** What is shorter is still seen. */
const MIN_EVENT_PX = 5;
const MIN_GAP_PX = 2;

export function timelineChart(result: TimelineChart, timeZone: string | null): string {
  const { start_ts, end_ts, cameras } = result;
  const span: Span = { startUtcMs: start_ts, endUtcMs: end_ts, timeZone };
  const [left, right] = [MARGIN, WIDTH - MARGIN];
  const at = (ts: number): number =>
    left + ((right - left) * (Math.min(Math.max(ts, start_ts), end_ts) - start_ts)) / (end_ts - start_ts);
  const shown = cameras.slice(0, MAX_ROWS);
  const counts: Record<string, number> = {};
  for (const { label } of shown.flatMap(({ events }) => events)) counts[label] = (counts[label] ?? 0) + 1;
  const series = seriesOf(counts);

  const rows = shown.map(({ camera_id, coverage, gaps, events }, index) => {
    const top = HEADING_HEIGHT + 20 + index * ROW;
    const band = (from: number, to: number, least: number, colour: string): string => {
      const width = Math.max(at(to) - at(from), least);
      const x = Math.min(at(from), right - width);
      return rect(x, top + NAME, width, BAND, colour);
    };
    const many = events.length === 1 ? '1 event' : `${events.length} events`;
    return [
      lettering(fitted(camera_id, 34, 640), left, top + 30, { size: 34, colour: INK }),
      lettering(many, right, top + 30, { size: TEXT, colour: FAINT, anchor: 'end' }),
      rect(left, top + NAME, right - left, BAND, NOTHING, 6),
      ...coverage.map((each) => band(each.start_ts, each.end_ts, 0, FOOTAGE)),
      ...gaps.map((each) => band(each.start_ts, each.end_ts, MIN_GAP_PX, MISSING)),
      ...events.map((event) =>
        band(event.start_ts, event.end_ts ?? end_ts, MIN_EVENT_PX, colourOf(series, event.label)),
      ),
    ].join('');
  });
  const bottom = HEADING_HEIGHT + 20 + shown.length * ROW;
  const entries: LegendEntry[] = [
    ...series.map(({ label, count, colour }) => ({ text: `${label} ${count}`, colour })),
    { text: 'footage', colour: FOOTAGE },
    ...(shown.some(({ gaps }) => gaps.length > 0) ? [{ text: 'footage lost', colour: MISSING }] : []),
    ...(cameras.length > MAX_ROWS
      ? [{ text: `${cameras.length - MAX_ROWS} more cameras`, colour: NOTHING }]
      : []),
  ];
  const below = legend(entries, bottom + AXIS_HEIGHT + 28);
  const total = shown.reduce((sum, { events }) => sum + events.length, 0);
  return card(bottom + AXIS_HEIGHT + 28 + below.height + 20, [
    heading(total === 0 ? 'Nothing happened' : 'Timeline', spanInWords(span)),
    ...rows,
    hoursAxis(span, left, right, bottom - 4, bottom + 10),
    below.svg,
  ]);
}
