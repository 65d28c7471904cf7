import { execFile } from 'node:child_process';
import { renameSync, writeFileSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { startApp, type App } from '../app.ts';
import type { Settings } from '../contract/settings.ts';
import { systemClock } from '../kernel/clock.ts';
import { createLog, type Log } from '../kernel/log.ts';
import { ConfigKeeper, loadSettings, type CameraInput, type LoadOptions } from '../settings/index.ts';
import { fetchFootage, type FootageProgress } from './footage.ts';
import {
  parseModules,
  parsePreset,
  pausedModules,
  PRESETS,
  withExtraArgs,
  type Preset,
} from './selection.ts';
import { friendlyPath, loadOptions, parse, PLACES, PLACES_HELP, type Verb } from './verb.ts';
import { readBuildInfo } from './version.ts';

export const verb: Verb = {
  help: `
usage: spyoncino run [options]

Watches the cameras of the configuration. Without any it takes the first camera attached to this machine, and
with none of those either, a demo that loops footage of pedestrians. Ctrl-C finishes the open clips and stops;
a second Ctrl-C stops at once.

  --no-demo          without a camera wait for one to be attached, instead of showing the demo
  --video FILE       watch this video file instead, over and over
  --preset NAME      which cameras (SPYONCINO_PRESET): auto, as said above (default); sim, a generated picture
                     instead; usb or rtsp, the configured ones of that kind and no others
  --module NAME      as well: modules.status.resilience_tester, on standby until an admin arms a scenario; ways of telling
                     people (modules.output.telegram_notifier, …) that the configuration leaves off
  --skip-module NAME not: the resilience tester, and what a configuration shared with other nodes asks for;
                     cameras of a kind, the detector and the storage begin paused, until module.enable
  --log-level LEVEL  trace, debug, info, warn or error (default: as configured, info)
${PLACES_HELP}

Certificates of your own are looked for in SPYONCINO_CERTS_DIR (default: certs/ beside config.yaml).
SPYONCINO_EXTRA_ARGS holds further options, as they would be typed; what is typed wins.
`,
  async run(argv) {
    const { values } = parse(withExtraArgs(argv, process.env.SPYONCINO_EXTRA_ARGS), {
      ...PLACES,
      'no-demo': { type: 'boolean', default: false },
      video: { type: 'string' },
      preset: { type: 'string' },
      module: { type: 'string', multiple: true },
      'skip-module': { type: 'string', multiple: true },
      'log-level': { type: 'string' },
    });
    const logLevel = values['log-level'];
    const preset = parsePreset(values.preset ?? process.env.SPYONCINO_PRESET);
    const modules = parseModules(values.module, values['skip-module']);
    const options = (fallbackCameras: readonly CameraInput[]): LoadOptions => ({
      ...loadOptions(values),
      ...PRESETS[preset],
      ...modules,
      ...(logLevel === undefined ? {} : { logLevel }),
      ...(values.video === undefined
        ? { fallbackCameras }
        : { cameras: [{ camera_id: 'video', name: 'Video file', video_file: resolve(values.video) }] }),
    });
    const { settings, warnings } = await loadSettings(options([]));
    const log = createLog({ name: 'agent', level: settings.logLevel });
    for (const warning of warnings) log.warn(warning);
    const isUnconfigured = settings.cameras.length === 0;
    const load = options(
      isUnconfigured ? await findCameras(preset, !values['no-demo'], settings.dataDir, log) : [],
    );
    return await runAgent(load, settings.dataDir, pausedModules(values['skip-module']), log);
  },
};

async function runAgent(
  load: LoadOptions,
  dataDir: string,
  paused: readonly string[],
  log: Log,
): Promise<number> {
  const { version } = await readBuildInfo();
  const config = await ConfigKeeper.open({ load, stateDir: join(dataDir, 'state'), clock: systemClock, log });
  const { settings } = config.current;
  const onReload = (): void => {
    config
      .update({ author: 'file', changes: null })
      .catch((error: unknown) => log.error({ err: error }, 'config.yaml was changed, but is not used'));
  };
  const stopping = new AbortController();
  const onSignal = (signal: NodeJS.Signals): void => {
    if (stopping.signal.aborted) process.exit(130);
    log.info({ signal }, 'stopping: open clips are being finished');
    stopping.abort();
  };
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
  process.on('SIGHUP', onReload);
  let setupCode: string | null = null;
  const stopped = new Promise<void>((resolve) => {
    stopping.signal.addEventListener('abort', () => resolve(), { once: true });
  });
  try {
    const app = await startApp({
      config,
      version,
      env: process.env,
      clock: systemClock,
      log,
      paused,
      certsDir: resolve(process.env.SPYONCINO_CERTS_DIR || join(load.configDir, 'certs')),
      onSetupCode(code) {
        setupCode = code;
        tellOwnerCode(code, process.env.RUNTIME_DIRECTORY, log);
      },
    });
    try {
      await Promise.race([app.settled, stopped]);
      if (!stopping.signal.aborted) process.stdout.write(welcome(app, settings, version, setupCode));
      await stopped;
    } finally {
      await app[Symbol.asyncDispose]();
    }
    log.info('stopped');
    return 0;
  } finally {
    process.off('SIGINT', onSignal);
    process.off('SIGTERM', onSignal);
    process.off('SIGHUP', onReload);
  }
}

/**
 * For whoever shows it on a screen or puts it where the owner finds it; only on this machine, and gone with the agent. An empty
 * file: somebody owns the box.
 */
function tellOwnerCode(code: string | null, runtimeDir: string | undefined, log: Log): void {
  if (runtimeDir === undefined) return;
  const path = join(runtimeDir, 'owner-code');
  try {
    writeFileSync(`${path}.new`, code === null ? '' : `${code}\n`, { mode: 0o600 });
    renameSync(`${path}.new`, path);
  } catch (error) {
    log.warn({ err: error }, 'the code for the owner stands in the log alone');
  }
}

function welcome(app: App, settings: Settings, version: string, setupCode: string | null): string {
  const { cameras, detector, library } = app.state();
  const lines = [
    ...cameras.map(
      ({ cameraId, state, detail }) => `  camera    ${cameraId}: ${state}${detail ? `, ${detail}` : ''}`,
    ),
    `  detector  ${detector}`,
    `  bus       mqtt://${settings.bus.host}:${app.busPort}   try: npx spyoncino subscribe 'event.*'`,
    `  metrics   http://${settings.metrics.host}:${app.metricsPort}/metrics`,
    `  footage   ${friendlyPath(join(settings.dataDir, 'media'))}`,
    `  control   https://${hostname()}:${app.apiPort}   websocket wss://${hostname()}:${app.gatewayPort}/ws`,
    ...(setupCode === null
      ? []
      : [
          `  owner     none yet: npx spyoncino users add NAME --role admin, or POST /api/setup with code ${setupCode}`,
        ]),
    ...library.map(({ message, advice }) => `  trouble   ${message} ${advice}`),
  ];
  return `spyoncino ${version} ready\n${lines.join('\n')}\n  Ctrl-C finishes the open clips and stops.\n`;
}

/** For a machine nobody has configured: an attached camera, else the demo or, without it, the camera that will be attached. */
async function findCameras(
  preset: Preset,
  mayDemo: boolean,
  dataDir: string,
  log: Log,
): Promise<readonly CameraInput[]> {
  if (preset === 'rtsp') {
    log.warn('no camera with rtsp_url is configured: there is nothing to watch');
    return [];
  }
  const hasCamera = preset === 'usb' || (await hasAttachedCamera(log));
  if (!hasCamera && !mayDemo) log.info('no camera is configured or attached: waiting for one to be attached');
  // Asked for, it is waited for.
  if (hasCamera || !mayDemo) return [{ camera_id: 'camera', name: 'Attached camera', usb_port: 'auto' }];
  log.info('no camera is configured or attached: showing the demo');
  try {
    const path = await fetchFootage({
      cacheDir: join(dataDir, 'cache'),
      onProgress: showFetching(),
    });
    return [{ camera_id: 'demo', name: 'Demo: pedestrians', video_file: path }];
  } catch (error) {
    log.warn({ err: error }, 'the demo footage could not be fetched: showing a test pattern instead');
    return [{ camera_id: 'demo', name: 'Demo: test pattern', test_pattern: true }];
  }
}

/** A line for every tenth; people see that something happens, logs stay short. */
function showFetching(): (progress: FootageProgress) => void {
  let shown = -1;
  return ({ receivedBytes, totalBytes }) => {
    const tenths = Math.floor((10 * receivedBytes) / totalBytes);
    if (tenths <= shown) return;
    shown = tenths;
    process.stderr.write(
      `fetching the demo footage, once: ${tenths * 10} % of ${Math.round(totalBytes / 1e6)} MB\n`,
    );
  };
}

/** Asked in a process of its own: the agent itself never loads the media library. */
async function hasAttachedCamera(log: Log): Promise<boolean> {
  const nodes = await readdir('/sys/class/video4linux').catch(() => []);
  if (nodes.length === 0) return false;
  try {
    const main = fileURLToPath(new URL('../main.ts', import.meta.url));
    const { stdout } = await promisify(execFile)(process.execPath, [main, 'cameras', '--json'], {
      timeout: 10_000,
    });
    return (JSON.parse(stdout) as unknown[]).length > 0;
  } catch (error) {
    log.warn({ err: error }, 'attached cameras could not be listed');
    return false;
  }
}
