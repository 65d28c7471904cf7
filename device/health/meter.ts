import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import {
  COUNTERS,
  GAUGES,
  HISTOGRAMS,
  type CounterName,
  type GaugeName,
  type HistogramName,
  type Meter,
} from '../contract/metrics.ts';

/** Also how often an otherwise idle process is woken up to be measured. */
const LOOP_SAMPLE_MS = 200;

/** The metrics of one process. */
export interface ProcessMeter extends Meter, Disposable {
  readonly registry: Registry;
}

/**
 * Every metric of the table, with `labels` on each sample. A metric appears once it has a first value.
 * Event-loop delay and resident memory are read when the registry is.
 */
export function createMeter(labels: Readonly<Record<string, string>>): ProcessMeter {
  const registry = new Registry();
  registry.setDefaultLabels(labels);
  const histograms = new Map<string, Histogram>();
  const counters = new Map<string, Counter>();
  const gauges = new Map<string, Gauge>();

  function once<T>(map: Map<string, T>, name: string, make: () => T): T {
    let metric = map.get(name);
    if (!metric) map.set(name, (metric = make()));
    return metric;
  }
  const gauge = (name: GaugeName): Gauge =>
    once(gauges, name, () => {
      const { help, labels } = GAUGES[name];
      return new Gauge({ name, help, labelNames: [...labels], registers: [registry] });
    });

  const loopDelay = monitorEventLoopDelay({ resolution: LOOP_SAMPLE_MS });
  loopDelay.enable();
  for (const [name, read] of [
    ['spyoncino_event_loop_delay_ms', readLoopDelay],
    ['spyoncino_resident_bytes', () => process.memoryUsage.rss()],
  ] as const) {
    const { help } = GAUGES[name];
    gauges.set(
      name,
      new Gauge({
        name,
        help,
        registers: [registry],
        collect() {
          this.set(read());
        },
      }),
    );
  }
  function readLoopDelay(): number {
    // The monitor records the time between two ticks of its timer, not how late they are.
    const lateMs = Math.max(0, loopDelay.percentile(99) / 1e6 - LOOP_SAMPLE_MS);
    loopDelay.reset();
    return lateMs;
  }

  return {
    registry,
    observe(name: HistogramName, value: number) {
      once(histograms, name, () => {
        const { help, buckets } = HISTOGRAMS[name];
        return new Histogram({ name, help, buckets: [...buckets], registers: [registry] });
      }).observe(value);
    },
    count(name: CounterName, labels = {}, by = 1) {
      once(counters, name, () => {
        const { help, labels } = COUNTERS[name];
        return new Counter({ name, help, labelNames: [...labels], registers: [registry] });
      }).inc({ ...labels }, by);
    },
    set(name: GaugeName, value: number, labels = {}) {
      gauge(name).set({ ...labels }, value);
    },
    [Symbol.dispose]() {
      loopDelay.disable();
    },
  };
}
