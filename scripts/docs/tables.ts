import { ERRORS } from '../../device/contract/errors.ts';
import { COUNTERS, GAUGES, HISTOGRAMS } from '../../device/contract/metrics.ts';
import { code, heading, table } from './markdown.ts';

const FAULTS = { operator: 'you can mend it', peer: 'the other side', internal: 'ours' } as const;

export function errorsDocument(): string {
  const rows = Object.entries(ERRORS).map(([name, { fault, means, advice }]) => [
    code(name),
    means,
    advice,
    FAULTS[fault],
  ]);
  return `${heading('Error codes', 'device/contract/errors.ts')}
A code never changes its meaning.

${table(['code', 'means', 'what to do', 'whose turn'], rows)}`;
}

export function metricsDocument(): string {
  const plain = (metrics: Readonly<Record<string, { help: string; labels: readonly string[] }>>): string =>
    table(
      ['name', '', 'labels'],
      Object.entries(metrics).map(([name, { help, labels }]) => [
        code(name),
        help,
        labels.map(code).join(', '),
      ]),
    );
  const histograms = table(
    ['name', '', 'buckets'],
    Object.entries(HISTOGRAMS).map(([name, { help, buckets }]) => [code(name), help, buckets.join(', ')]),
  );
  return `${heading('Metrics', 'device/contract/metrics.ts')}
\`http://<device>:9093/metrics\`, Prometheus' text format. Every sample also carries \`process\`, and \`camera\` where
it belongs to one. A metric appears once it has a first value.

## Counters

${plain(COUNTERS)}
## Gauges

${plain(GAUGES)}
## Histograms

${histograms}`;
}
