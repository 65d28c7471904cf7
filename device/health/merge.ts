import { AggregatorRegistry, type Registry } from 'prom-client';

/**
 * The metrics of several processes as one page in Prometheus' text format: each family once, with the samples
 * of all processes under it. Samples are told apart by their labels; those with the very same labels are added up.
 * `children` are answers of `registry.getMetricsAsJSON()`.
 */
export async function mergeMetrics(own: Registry, children: readonly (readonly object[])[]): Promise<string> {
  const metrics = [await own.getMetricsAsJSON(), ...children.map((child) => [...child])];
  return await AggregatorRegistry.aggregate(metrics).metrics();
}
