/** How often what happened: events by the hour, stacked by label, and by camera. Pure: SVG out of facts. */
import {
  card,
  FAINT,
  heading,
  HEADING_HEIGHT,
  INK,
  legend,
  line,
  MARGIN,
  OTHERS,
  rect,
  seriesOf,
  TEXT,
  WIDTH,
} from './frame.ts';
import { AXIS_HEIGHT, hoursAxis, spanInWords, type Span } from './hours-axis.ts';
import { fitted, lettering, widthOf } from './lettering.ts';

export interface CountsChart {
  readonly start_ts: number;
  readonly end_ts: number;
  readonly stats: {
    readonly total_events: number;
    readonly by_type: Readonly<Record<string, number>>;
    readonly by_camera: Readonly<Record<string, number>>;
  };
  /** Hours in which there was something. */
  readonly by_hour: readonly {
    readonly start_ts: number;
    readonly by_type: Readonly<Record<string, number>>;
  }[];
}

const HOUR_MS = 3_600_000;
const PLOT = 460;
const MAX_BARS = 48;
const MAX_CAMERAS = 8;
const CAMERA_ROW = 60;
const CAMERA_BAR = '#5b6b7c';

export function countsChart(result: CountsChart, timeZone: string | null): string {
  const { start_ts, end_ts, stats } = result;
  const span: Span = { startUtcMs: start_ts, endUtcMs: end_ts, timeZone };
  const series = seriesOf(stats.by_type);
  const columns = columnsOf(result, new Set(series.map(({ label }) => label)));
  const ceiling = niceCeiling(Math.max(...columns.map(({ total }) => total)));

  const top = HEADING_HEIGHT + 30;
  const bottom = top + PLOT;
  const left = MARGIN + widthOf(String(ceiling), TEXT) + 20;
  const right = WIDTH - MARGIN;
  const width = (right - left) / columns.length;
  const gap = Math.min(8, width * 0.2);
  const grid = [0, 0.5, 1]
    .filter((part) => Number.isInteger(ceiling * part))
    .map((part) => {
      const y = bottom - PLOT * part;
      const number = lettering(String(ceiling * part), left - 20, y + 10, {
        ...{ size: TEXT, colour: FAINT, anchor: 'end' as const },
      });
      return line(left, y, right, y) + number;
    });
  const bars = columns.flatMap(({ counts }, index) => {
    let y = bottom;
    return series.map(({ label, colour }) => {
      const height = (PLOT * (counts[label] ?? 0)) / ceiling;
      y -= height;
      return height === 0 ? '' : rect(left + index * width + gap / 2, y, width - gap, height, colour);
    });
  });
  const names = legend(
    series.map(({ label, count, colour }) => ({ text: `${label} ${count}`, colour })),
    bottom + AXIS_HEIGHT + 30,
  );
  const camerasTop = bottom + AXIS_HEIGHT + 30 + names.height + (names.height > 0 ? 24 : 0);
  const cameras = camerasPart(stats.by_camera, camerasTop);
  const { total_events: total } = stats;
  const title = total === 0 ? 'Nothing happened' : `${total} ${total === 1 ? 'event' : 'events'}`;
  return card(camerasTop + cameras.height + 24, [
    heading(title, spanInWords(span)),
    ...grid,
    ...bars,
    hoursAxis(span, left, right, bottom, bottom + 10),
    names.svg,
    cameras.svg,
  ]);
}

interface Column {
  readonly counts: Readonly<Record<string, number>>;
  readonly total: number;
}

/** One for each hour, or for several where there are many. */
function columnsOf(
  { start_ts, end_ts, by_hour }: CountsChart,
  named: ReadonlySet<string>,
): readonly Column[] {
  const hours = Math.max(1, Math.round((end_ts - start_ts) / HOUR_MS));
  const number = Math.ceil(hours / Math.ceil(hours / MAX_BARS));
  const counts = Array.from({ length: number }, (): Record<string, number> => ({}));
  for (const { start_ts: ts, by_type } of by_hour) {
    const at = Math.min(
      number - 1,
      Math.max(0, Math.floor(((ts - start_ts) / (end_ts - start_ts)) * number)),
    );
    const column = counts[at]!;
    for (const [type, count] of Object.entries(by_type)) {
      const label = named.has(type) ? type : OTHERS.label;
      column[label] = (column[label] ?? 0) + count;
    }
  }
  return counts.map((column) => ({
    counts: column,
    total: Object.values(column).reduce((sum, count) => sum + count, 0),
  }));
}

/** The next of 2, 4, 6 … 16, 20, 40 …: halves of it are whole. */
export function niceCeiling(value: number): number {
  for (let unit = 1; ; unit *= 10) {
    const nice = [2, 4, 6, 8, 10, 12, 14, 16].map((each) => each * unit).find((each) => each >= value);
    if (nice !== undefined) return nice;
  }
}

function camerasPart(
  byCamera: Readonly<Record<string, number>>,
  top: number,
): { readonly svg: string; readonly height: number } {
  const sorted = Object.entries(byCamera).toSorted(([, a], [, b]) => b - a);
  const shown = sorted.slice(0, MAX_CAMERAS);
  const max = Math.max(1, ...shown.map(([, count]) => count));
  const nameWidth = Math.min(340, Math.max(0, ...shown.map(([name]) => widthOf(name, TEXT))));
  const left = MARGIN + nameWidth + 24;
  const room = WIDTH - MARGIN - left - widthOf(String(max), TEXT) - 20;
  const rows = shown.map(([name, count], index) => {
    const y = top + index * CAMERA_ROW;
    const length = Math.max(4, (room * count) / max);
    return (
      lettering(fitted(name, TEXT, nameWidth), MARGIN, y + 31, { size: TEXT, colour: INK }) +
      rect(left, y + 4, length, 34, CAMERA_BAR, 6) +
      lettering(String(count), left + length + 18, y + 31, { size: TEXT, colour: FAINT })
    );
  });
  return { svg: rows.join(''), height: shown.length * CAMERA_ROW };
}
