/** `npm run interrupt -- [--objects N] [--cuts N] [--kills N] [--seed S] [--encrypted]`: see run.ts. Ends with 1 when anything is lost. */
import { parseArgs } from 'node:util';
import { interrupt } from './run.ts';

const { values } = parseArgs({
  options: {
    objects: { type: 'string', default: '1000' },
    cuts: { type: 'string', default: '60' },
    kills: { type: 'string', default: '22' },
    seed: { type: 'string', default: '1' },
    encrypted: { type: 'boolean', default: false },
  },
});
const { broken, ...report } = await interrupt({
  objects: Number(values.objects),
  cuts: Number(values.cuts),
  kills: Number(values.kills),
  seed: Number(values.seed),
  isEncrypted: values.encrypted,
  tell: (line) => console.log(line),
});
const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;
console.log(
  `${report.objects} objects, ${megabytes(report.bytes)}; ${report.cuts} cuts, ${report.kills} kills in ` +
    `${report.seconds.toFixed(0)} s; ${megabytes(report.sentBytes)} over the wire`,
);
console.log(
  broken.length === 0
    ? 'every object is in the bucket once, byte for byte; ledger and listing say the same'
    : broken.join('\n'),
);
process.exitCode = broken.length === 0 ? 0 : 1;
