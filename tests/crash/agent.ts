/** A real agent whose camera hosts are those of this rig. Writes down what it announces. */
import { fileURLToPath } from 'node:url';
import { startApp } from '../../device/app.ts';
import { subscribe } from '../../device/bus/index.ts';
import { systemClock } from '../../device/kernel/clock.ts';
import { createLog } from '../../device/kernel/log.ts';
import { readPlan, settingsOf } from './plan.ts';
import { openReports } from './witness.ts';

const plan = readPlan();
const report = openReports(plan.reportsFile);
const settings = settingsOf(plan);
const stopping = new AbortController();
process.on('disconnect', () => stopping.abort());

await using app = await startApp({
  settings,
  version: '0.0.0',
  clock: systemClock,
  log: createLog({ name: 'agent', level: settings.logLevel }),
  cameraHost: fileURLToPath(new URL('camera-host.ts', import.meta.url)),
});
await subscribe({
  host: settings.bus.host,
  port: app.busPort,
  globs: ['clip.ready', 'segment.ready'],
  signal: stopping.signal,
  onMessage: ({ payload }) => {
    const { url, sha256 } = payload as { url: string | null; sha256: string | null };
    if (url !== null && sha256 !== null) report({ type: 'announced', path: url, sha256 });
  },
});
