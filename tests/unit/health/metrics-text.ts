/**
 * Reads Prometheus' text format 0.0.4 as strictly as `promtool check metrics` does: names, escapes, HELP and
 * TYPE at most once and before the samples, families in one piece, no series twice, sound histograms.
 */
export interface Family {
  readonly name: string;
  help: string | null;
  type: string | null;
  readonly samples: Map<string, number>;
}

const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const SAMPLE = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:[a-zA-Z_]\w*="(?:[^"\\]|\\[\\"n])*",?)*)\})? (\S+)$/;

/** Throws an Error that names the first line that breaks a rule. */
export function parseMetrics(text: string): ReadonlyMap<string, Family> {
  if (text !== '' && !text.endsWith('\n')) throw new Error('the last line does not end');
  const families = new Map<string, Family>();
  let current: Family | null = null;
  for (const line of text.split('\n')) {
    if (line === '') continue;
    const [, keyword, name = '', rest = ''] = /^# (HELP|TYPE) (\S+) (.*)$/.exec(line) ?? [];
    if (keyword) {
      if (!NAME.test(name)) throw new Error(`bad name: ${line}`);
      if (current?.name !== name) current = open(families, name, line);
      const key = keyword === 'HELP' ? 'help' : 'type';
      if (current[key] !== null || current.samples.size > 0) throw new Error(`out of place: ${line}`);
      current[key] = rest;
      continue;
    }
    const sample = SAMPLE.exec(line);
    if (!sample) throw new Error(`not a sample: ${line}`);
    const [, sampleName = '', labels = '', value = ''] = sample;
    const family = familyName(sampleName, current);
    if (current?.name !== family) current = open(families, family, line);
    const series = `${sampleName}{${labels
      .split(/,(?=[a-zA-Z_]\w*=")/)
      .sort()
      .join(',')}}`;
    if (current.samples.has(series)) throw new Error(`twice: ${line}`);
    current.samples.set(series, numberOf(value, line));
  }
  for (const family of families.values()) if (family.type === 'histogram') checkHistogram(family);
  return families;
}

function open(families: Map<string, Family>, name: string, line: string): Family {
  if (families.has(name)) throw new Error(`family in two pieces: ${line}`);
  const family = { name, help: null, type: null, samples: new Map() };
  families.set(name, family);
  return family;
}

const familyName = (sample: string, current: Family | null): string =>
  current?.type === 'histogram' && ['_bucket', '_sum', '_count'].some((end) => sample === current.name + end)
    ? current.name
    : sample;

function numberOf(text: string, line: string): number {
  if (text === '+Inf') return Infinity;
  if (text === '-Inf') return -Infinity;
  const value = Number(text);
  if (Number.isNaN(value) && text !== 'NaN') throw new Error(`not a number: ${line}`);
  return value;
}

/** Buckets of one series never fall, and the last one, +Inf, is the count. */
function checkHistogram({ name, samples }: Family): void {
  const buckets = new Map<string, [le: number, count: number][]>();
  for (const [series, count] of samples) {
    const [, le] = /(?:^|[{,])le="([^"]+)"/.exec(series) ?? [];
    if (!series.startsWith(`${name}_bucket`) || le === undefined) continue;
    const rest = series
      .slice(`${name}_bucket{`.length, -1)
      .split(',')
      .filter((label) => !label.startsWith('le='));
    const list = buckets.get(rest.join(',')) ?? [];
    buckets.set(rest.join(','), [...list, [numberOf(le, series), count]]);
  }
  for (const [labels, list] of buckets) {
    const counts = list.toSorted(([a], [b]) => a - b).map(([, count]) => count);
    if (counts.some((count, at) => at > 0 && count < counts[at - 1]!))
      throw new Error(`${name}{${labels}} falls`);
    if (samples.get(`${name}_count{${labels}}`) !== counts.at(-1))
      throw new Error(`${name}{${labels}} miscounts`);
  }
}
