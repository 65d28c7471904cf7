/**
 * Letters as strokes, so that charts look the same on a machine without any font. Drawn for this project: capitals are
 * 10 high, y grows downwards, the baseline is at 10.
 */
type Glyph = readonly [width: number, strokes: string];

const BOWL_LEFT = 'M5.2 6.7A2.6 3.3 0 0 0 0 6.7A2.6 3.3 0 0 0 5.2 6.7';
const BOWL_RIGHT = 'M0 6.7A2.6 3.3 0 0 1 5.2 6.7A2.6 3.3 0 0 1 0 6.7';
const P = 'M0 10V0H3.8A2.7 2.7 0 0 1 3.8 5.4H0';
const O = 'M3.8 0A3.8 5 0 1 0 3.8 10A3.8 5 0 1 0 3.8 0';

const GLYPHS: Readonly<Record<string, Glyph>> = {
  ' ': [2.6, ''],
  A: [7, 'M0 10L3.5 0L7 10M1.2 6.7H5.8'],
  B: [6.6, 'M0 0V10H4A2.6 2.6 0 0 0 4 4.8H0M0 0H3.6A2.4 2.4 0 0 1 3.6 4.8'],
  C: [7, 'M6.6 2A3.6 5 0 1 0 6.6 8'],
  D: [7, 'M0 0V10H2.4A4.6 5 0 0 0 2.4 0H0'],
  E: [6, 'M6 0H0V10H6M0 5H5'],
  F: [6, 'M6 0H0V10M0 5H5'],
  G: [7.2, 'M6.6 2A3.6 5 0 1 0 7 6.6V5.4H4.2'],
  H: [6.6, 'M0 0V10M6.6 0V10M0 5H6.6'],
  I: [0.6, 'M.3 0V10'],
  J: [4.6, 'M4.6 0V7.4A2.3 2.6 0 0 1 0 7.4'],
  K: [6.2, 'M0 0V10M6 0L0 6M2.2 4L6.2 10'],
  L: [5.4, 'M0 0V10H5.4'],
  M: [8, 'M0 10V0L4 6.4L8 0V10'],
  N: [6.6, 'M0 10V0L6.6 10V0'],
  O: [7.6, O],
  P: [6.5, P],
  Q: [7.6, `${O}M5 7.4L7.6 10.6`],
  R: [6.5, `${P}M3.4 5.4L6.4 10`],
  S: [
    6.3,
    'M6 1.8C5.4 .6 4.4 0 3.1 0C1.4 0 .2 1 .2 2.5C.2 4.2 1.7 4.6 3.2 5C4.8 5.4 6.3 5.9 6.3 7.5C6.3 9 5 10 3.2 10C1.7 10 .6 9.4 0 8.1',
  ],
  T: [6.6, 'M0 0H6.6M3.3 0V10'],
  U: [6.6, 'M0 0V6.6A3.3 3.4 0 0 0 6.6 6.6V0'],
  V: [6.8, 'M0 0L3.4 10L6.8 0'],
  W: [9.6, 'M0 0L2.4 10L4.8 1.6L7.2 10L9.6 0'],
  X: [6.4, 'M0 0L6.4 10M6.4 0L0 10'],
  Y: [6.6, 'M0 0L3.3 5V10M6.6 0L3.3 5'],
  Z: [6.2, 'M0 0H6.2L0 10H6.2'],
  a: [5.2, `${BOWL_LEFT}M5.2 3.4V10`],
  b: [5.2, `M0 0V10${BOWL_RIGHT}`],
  c: [4.8, 'M4.8 4.9A2.6 3.3 0 1 0 4.8 8.5'],
  d: [5.2, `${BOWL_LEFT}M5.2 0V10`],
  e: [5.2, 'M0 6.6H5.2A2.6 3.3 0 1 0 4.6 8.8'],
  f: [3.4, 'M3.4 .1C2 -.2 1.4 .6 1.4 2V10M0 3.6H3.2'],
  g: [5.2, `${BOWL_LEFT}M5.2 3.4V10.6A2.6 2.4 0 0 1 .4 11.9`],
  h: [4.8, 'M0 0V10M0 6A2.4 2.6 0 0 1 4.8 6V10'],
  i: [0.6, 'M.3 3.4V10M.3 .8V.9'],
  j: [1.8, 'M1.5 3.4V11C1.5 12.3 1 12.9 0 12.9M1.5 .8V.9'],
  k: [4.8, 'M0 0V10M4.4 3.4L0 7.4M1.7 5.9L4.8 10'],
  l: [0.6, 'M.3 0V10'],
  m: [8.4, 'M0 3.4V10M0 5.6A2.1 2.2 0 0 1 4.2 5.6V10M4.2 5.6A2.1 2.2 0 0 1 8.4 5.6V10'],
  n: [4.8, 'M0 3.4V10M0 6A2.4 2.6 0 0 1 4.8 6V10'],
  o: [5.4, 'M2.7 3.4A2.7 3.3 0 1 0 2.7 10A2.7 3.3 0 1 0 2.7 3.4'],
  p: [5.2, `M0 3.4V13${BOWL_RIGHT}`],
  q: [5.2, `${BOWL_LEFT}M5.2 3.4V13`],
  r: [3, 'M0 3.4V10M0 6C.2 4.4 1.4 3.4 3 3.6'],
  s: [
    4.5,
    'M4.3 4.6C3.9 3.8 3.2 3.4 2.3 3.4C1.1 3.4 .2 4 .2 5C.2 6.1 1.2 6.4 2.3 6.7C3.5 7 4.5 7.3 4.5 8.4C4.5 9.4 3.5 10 2.3 10C1.2 10 .4 9.5 0 8.7',
  ],
  t: [3.5, 'M1.4 .8V7.8C1.4 9.4 2.2 10.1 3.5 9.8M0 3.4H3.2'],
  u: [4.8, 'M0 3.4V7.4A2.4 2.6 0 0 0 4.8 7.4V3.4M4.8 3.4V10'],
  v: [5, 'M0 3.4L2.5 10L5 3.4'],
  w: [7.6, 'M0 3.4L1.9 10L3.8 4.4L5.7 10L7.6 3.4'],
  x: [4.6, 'M0 3.4L4.6 10M4.6 3.4L0 10'],
  y: [5, 'M0 3.4L2.5 10M5 3.4L2 11.3C1.6 12.4 1 12.9 0 12.8'],
  z: [4.4, 'M0 3.4H4.4L0 10H4.4'],
  // As wide as each other, so that columns of numbers stand.
  0: [6, 'M3 0A3 5 0 1 0 3 10A3 5 0 1 0 3 0'],
  1: [6, 'M1.4 2L3.8 0V10'],
  2: [6, 'M.2 2.6A2.8 2.6 0 0 1 5.8 2.7C5.8 5 2 7 0 10H6'],
  3: [
    6,
    'M.3 1.7C.9 .6 1.8 0 3 0C4.6 0 5.6 1 5.6 2.4C5.6 3.9 4.4 4.8 2.4 4.8C4.6 4.8 5.9 5.8 5.9 7.3C5.9 8.9 4.7 10 3 10C1.6 10 .6 9.4 0 8.2',
  ],
  4: [6, 'M4.4 10V0L0 7H6'],
  5: [6, 'M5.4 0H1L.5 4.6C1.2 4 2 3.7 2.9 3.7C4.7 3.7 6 5 6 6.8C6 8.7 4.7 10 2.9 10C1.6 10 .6 9.4 0 8.4'],
  6: [6, 'M5 .2C2 1.2 .1 3.9 .1 6.9A2.9 3.1 0 1 0 .1 6.8'],
  7: [6, 'M0 0H6L2.2 10'],
  8: [6, 'M3 0A2.4 2.35 0 1 0 3 4.7A2.4 2.35 0 1 0 3 0M3 4.7A2.9 2.65 0 1 0 3 10A2.9 2.65 0 1 0 3 4.7'],
  9: [6, 'M1 9.8C4 8.8 5.9 6.1 5.9 3.1A2.9 3.1 0 1 0 5.9 3.2'],
  '.': [0.6, 'M.3 9.7V9.8'],
  ',': [0.9, 'M.6 9.6L0 11.4'],
  ':': [0.6, 'M.3 4.4V4.5M.3 9.5V9.6'],
  '-': [3, 'M0 6.2H3'],
  '–': [6, 'M0 6.2H6'],
  _: [5, 'M0 11.4H5'],
  '/': [4, 'M0 11L4 -.6'],
  '%': [
    7.4,
    'M1.5 .2A1.5 1.9 0 1 0 1.5 4A1.5 1.9 0 1 0 1.5 .2M5.9 6A1.5 1.9 0 1 0 5.9 9.8A1.5 1.9 0 1 0 5.9 6M6.4 .4L1 9.6',
  ],
  '(': [2, 'M2 -.6C.4 1.6 0 3.4 0 5.2C0 7 .4 8.8 2 11'],
  ')': [2, 'M0 -.6C1.6 1.6 2 3.4 2 5.2C2 7 1.6 8.8 0 11'],
  '+': [5, 'M0 6H5M2.5 3.5V8.5'],
  '×': [4.4, 'M0 4L4.4 8.4M4.4 4L0 8.4'],
  '·': [0.6, 'M.3 5.8V5.9'],
  "'": [0.6, 'M.3 0V2.6'],
};
/** In place of what nobody has drawn. */
const UNKNOWN: Glyph = [5, 'M0 3H5V10H0Z'];
const BETWEEN = 2;
/** Of capitals, by the size of letters as people give it. */
const CAPITAL = 0.7;
const LETTERS = /./gsu;

/** Accents are left out: `é` is `e`. */
const glyphsOf = (text: string): readonly Glyph[] =>
  (text.normalize('NFD').replaceAll(/\p{M}/gu, '').match(LETTERS) ?? []).map(
    (letter) => GLYPHS[letter] ?? UNKNOWN,
  );

const scaleOf = (size: number): number => (size * CAPITAL) / 10;

/** How wide it is. */
export function widthOf(text: string, size: number): number {
  const glyphs = glyphsOf(text);
  const wide = glyphs.reduce((sum, [width]) => sum + width + BETWEEN, 0);
  return Math.max(0, wide - BETWEEN) * scaleOf(size);
}

/** As much of it as fits. */
export function fitted(text: string, size: number, width: number): string {
  if (widthOf(text, size) <= width) return text;
  const letters = text.match(LETTERS) ?? [];
  while (letters.length > 1 && widthOf(`${letters.join('')}..`, size) > width) letters.pop();
  return `${letters.join('')}..`;
}

export interface Lettering {
  readonly size: number;
  readonly colour: string;
  readonly anchor?: 'start' | 'middle' | 'end';
  readonly isBold?: boolean;
}

const SHIFT = { start: 0, middle: 0.5, end: 1 } as const;

/** An SVG group; `y` is the baseline. */
export function lettering(text: string, x: number, y: number, options: Lettering): string {
  const { size, colour, anchor = 'start', isBold = false } = options;
  const scale = scaleOf(size);
  let at = x - widthOf(text, size) * SHIFT[anchor];
  const strokes = glyphsOf(text).map(([width, path]) => {
    const stroke = path === '' ? '' : `<path transform="translate(${round(at / scale)})" d="${path}"/>`;
    at += (width + BETWEEN) * scale;
    return stroke;
  });
  const weight = isBold ? 1.7 : 1.15;
  return (
    `<g transform="translate(0 ${round(y - 10 * scale)}) scale(${round(scale)})" fill="none" stroke="${colour}" ` +
    `stroke-width="${weight}" stroke-linecap="round" stroke-linejoin="round">${strokes.join('')}</g>`
  );
}

export const round = (value: number): number => Math.round(value * 1000) / 1000;
