/** What all charts have: a card that is readable on bright and dark screens, a heading, a legend. Pure. */
import { fitted, lettering, round, widthOf } from './lettering.ts';

export const INK = '#e9edf2';
export const FAINT = '#9aa7b5';
export const LINE = '#36414d';
const CARD = '#1e252d';

/** Told apart also by those who do not see all colours. */
const COLOURS = ['#ffb454', '#5cb3ff', '#7bd88f', '#ff7b89', '#c792ea', '#4dd0c4', '#d3b88c'];
export const OTHERS = { label: 'other', colour: '#8a97a6' } as const;

export const WIDTH = 1080;
export const MARGIN = 48;
export const TEXT = 30;

export interface Series {
  readonly label: string;
  readonly count: number;
  readonly colour: string;
}

/** The most frequent have colours of their own; the rest share one. */
export function seriesOf(counts: Readonly<Record<string, number>>): readonly Series[] {
  const sorted = Object.entries(counts)
    .filter(([, count]) => count > 0)
    .toSorted(([a, x], [b, y]) => y - x || (a < b ? -1 : 1));
  const named = COLOURS.slice(0, sorted.length).map((colour, at): Series => {
    const [label, count] = sorted[at]!;
    return { label, count, colour };
  });
  const rest = sorted.slice(COLOURS.length).reduce((sum, [, count]) => sum + count, 0);
  return rest === 0 ? named : [...named, { ...OTHERS, count: rest }];
}

export const colourOf = (series: readonly Series[], label: string): string =>
  series.find((each) => each.label === label)?.colour ?? OTHERS.colour;

export const rect = (x: number, y: number, width: number, height: number, fill: string, radius = 0): string =>
  `<rect x="${round(x)}" y="${round(y)}" width="${round(width)}" height="${round(height)}" rx="${radius}" fill="${fill}"/>`;

export const line = (x1: number, y1: number, x2: number, y2: number): string =>
  `<path d="M${round(x1)} ${round(y1)}L${round(x2)} ${round(y2)}" stroke="${LINE}" stroke-width="2"/>`;

export const HEADING_HEIGHT = 156;

/** `subtitle` below `title`. */
export const heading = (title: string, subtitle: string): string =>
  lettering(title, MARGIN, 88, { size: 48, colour: INK, isBold: true }) +
  lettering(fitted(subtitle, TEXT, WIDTH - 2 * MARGIN), MARGIN, 136, { size: TEXT, colour: FAINT });

const LEGEND_LINE = 52;
const SWATCH = 24;
const GAP = 44;

export interface LegendEntry {
  readonly text: string;
  readonly colour: string;
}

/** As many lines as it needs, from `top` on. */
export function legend(
  entries: readonly LegendEntry[],
  top: number,
): { readonly svg: string; readonly height: number } {
  let [x, row] = [MARGIN, 0];
  const parts = entries.map(({ text, colour }) => {
    const words = fitted(text, TEXT, WIDTH - 2 * MARGIN - SWATCH - 14);
    const width = SWATCH + 14 + widthOf(words, TEXT);
    if (x > MARGIN && x + width > WIDTH - MARGIN) [x, row] = [MARGIN, row + 1];
    const y = top + row * LEGEND_LINE;
    const part =
      rect(x, y + 2, SWATCH, SWATCH, colour, 6) +
      lettering(words, x + SWATCH + 14, y + 25, { size: TEXT, colour: INK });
    x += width + GAP;
    return part;
  });
  return { svg: parts.join(''), height: entries.length === 0 ? 0 : (row + 1) * LEGEND_LINE };
}

export const card = (height: number, parts: readonly string[]): string =>
  `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${Math.ceil(height)}" ` +
  `viewBox="0 0 ${WIDTH} ${Math.ceil(height)}">${rect(0, 0, WIDTH, height, CARD)}${parts.join('')}</svg>`;
