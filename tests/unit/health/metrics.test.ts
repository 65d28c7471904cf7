import { expect, test } from 'vitest';
import { COUNTERS, GAUGES, HISTOGRAMS, type Meter } from '../../../device/contract/metrics.ts';
import { createMeter, mergeMetrics } from '../../../device/health/index.ts';
import { parseMetrics } from './metrics-text.ts';

const keys = <T extends object>(table: T): (keyof T & string)[] => Object.keys(table) as (keyof T & string)[];
const values = (labels: readonly string[]) =>
  Object.fromEntries(labels.map((label) => [label, `a "${label}"\n\\`]));

/** Gives every metric of the table a value. */
function exercise(meter: Meter): void {
  for (const name of keys(HISTOGRAMS)) for (const value of [0.2, 7, 1e6]) meter.observe(name, value);
  for (const name of keys(COUNTERS)) meter.count(name, values(COUNTERS[name].labels), 2);
  for (const name of keys(GAUGES)) meter.set(name, 1, values(GAUGES[name].labels));
}

test('the page of several processes is what Prometheus reads, each family once', async () => {
  using agent = createMeter({ process: 'agent' });
  using porch = createMeter({ process: 'camera', camera: 'porch' });
  using yard = createMeter({ process: 'camera', camera: 'yard' });
  for (const meter of [agent, porch, yard]) exercise(meter);
  const children = await Promise.all([porch, yard].map(({ registry }) => registry.getMetricsAsJSON()));
  const families = parseMetrics(await mergeMetrics(agent.registry, [...children, []]));

  const table = [...keys(HISTOGRAMS), ...keys(COUNTERS), ...keys(GAUGES)];
  expect([...families.keys()].sort()).toEqual(table.sort());
  for (const { name, help, type, samples } of families.values()) {
    expect(help, name).toBeTruthy();
    expect(type, name).toMatch(/^(counter|gauge|histogram)$/);
    const of = (mark: string): number => [...samples.keys()].filter((series) => series.includes(mark)).length;
    expect(of('camera="porch"'), name).toBe(of('camera="yard"'));
    expect(of('process="agent"'), name).toBe(of('camera="yard"'));
  }
});

test('numbers of one process do not run into those of another', async () => {
  using agent = createMeter({ process: 'agent' });
  using camera = createMeter({ process: 'camera', camera: 'porch' });
  agent.count('spyoncino_frames_total', {}, 3);
  camera.count('spyoncino_frames_total', {}, 4);
  const text = await mergeMetrics(agent.registry, [await camera.registry.getMetricsAsJSON()]);
  expect([...(parseMetrics(text).get('spyoncino_frames_total')?.samples.values() ?? [])]).toEqual([3, 4]);
});

test('an agent without children has a page', async () => {
  using agent = createMeter({ process: 'agent' });
  const families = parseMetrics(await mergeMetrics(agent.registry, []));
  const [resident] = families.get('spyoncino_resident_bytes')?.samples.values() ?? [];
  expect(resident).toBeGreaterThan(1e6);
});

test('event-loop delay is how late the loop is, not how often we look', async () => {
  using meter = createMeter({ process: 'agent' });
  const delayMs = async (): Promise<number> => {
    const metric = await meter.registry.getSingleMetric('spyoncino_event_loop_delay_ms')?.get();
    return metric?.values[0]?.value ?? Number.NaN;
  };
  // A busy machine may be late at one look or another; a delay that contains the period never gets below it.
  const calm = async (): Promise<boolean> => {
    const late = await delayMs();
    return late > 0 && late < 200;
  };
  await expect.poll(calm, { interval: 450, timeout: 14_000 }).toBe(true);
});

test.each([
  ['# TYPE a counter\n# TYPE a counter\n', 'out of place'],
  ['a 1\nb 1\na{x="1"} 1\n', 'two pieces'],
  ['a{x="1",y="2"} 1\na{y="2",x="1"} 1\n', 'twice'],
  ['a{x="1} 1\n', 'not a sample'],
  ['a one\n', 'not a number'],
  ['a 1', 'does not end'],
  ['# TYPE h histogram\nh_bucket{le="1"} 2\nh_bucket{le="+Inf"} 1\nh_count 1\nh_sum 1\n', 'falls'],
])('the reader refuses %j', (text, why) => {
  expect(() => parseMetrics(text)).toThrow(why);
});
