export { mergeMetrics } from './merge.ts';
export { createMeter, type ProcessMeter } from './meter.ts';
export { serveMetrics, type MetricsServer, type MetricsServerOptions } from './server.ts';
