export { mergeMetrics } from './merge.ts';
export { createMeter, type ProcessMeter } from './meter.ts';
export { serveMetrics, type MetricsServer, type MetricsServerOptions } from './server.ts';
export { summarise, type HealthSummary, type ModuleReport } from './summary.ts';
export { Watchdog, type WatchdogOptions } from './watchdog.ts';
