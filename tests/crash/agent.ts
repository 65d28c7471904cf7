/** A real agent whose child processes are those of this rig. Writes down what it announces. */
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startApp } from '../../device/app.ts';
import { subscribe } from '../../device/bus/index.ts';
import { systemClock } from '../../device/kernel/clock.ts';
import { createLog } from '../../device/kernel/log.ts';
import { ConfigKeeper } from '../../device/settings/index.ts';
import { readPlan } from './plan.ts';
import { openReports } from './witness.ts';

const { cameras, dataDir, reportsFile } = readPlan();
const report = openReports(reportsFile);
const stopping = new AbortController();
process.on('disconnect', () => stopping.abort());
const fileOf = (module: string): string => fileURLToPath(new URL(module, import.meta.url));

const shared = { clock: systemClock, log: createLog({ name: 'agent', level: 'error' }) };
const config = await ConfigKeeper.open({
  ...shared,
  load: {
    dataDir,
    configDir: dirname(reportsFile),
    env: { SPYONCINO_BUS__PORT: '0', SPYONCINO_METRICS__PORT: '0' },
    logLevel: 'error',
    cameras: cameras.map(({ cameraId, mode }) => ({
      camera_id: cameraId,
      test_pattern: true,
      recording: { mode },
    })),
  },
  stateDir: join(dataDir, 'state'),
});
await using app = await startApp({
  ...shared,
  ...{ config, version: '0.0.0', env: {} },
  hosts: { camera: fileOf('camera-host.ts'), detect: fileOf('detect-host.ts') },
});
await subscribe({
  host: config.current.settings.bus.host,
  port: app.busPort,
  globs: ['clip.ready', 'segment.ready'],
  signal: stopping.signal,
  onMessage: ({ payload }) => {
    const { url, sha256 } = payload as { url: string | null; sha256: string | null };
    if (url !== null && sha256 !== null) report({ type: 'announced', path: url, sha256 });
  },
});
