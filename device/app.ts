import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createBus } from './bus/index.ts';
import { CameraDesk } from './camera-desk.ts';
import type { ErrorReport } from './contract/errors.ts';
import type { CameraPhase } from './contract/facts.ts';
import type { Settings } from './contract/settings.ts';
import { DetectDesk, publishDetectorState } from './detect-desk.ts';
import { createMeter, mergeMetrics, serveMetrics } from './health/index.ts';
import type { Clock } from './kernel/clock.ts';
import type { Log } from './kernel/log.ts';
import { openLibrary } from './library/index.ts';
import { StorageDesk } from './storage-desk.ts';

export interface AppOptions {
  readonly settings: Settings;
  readonly version: string;
  readonly clock: Clock;
  readonly log: Log;
}

export interface App extends AsyncDisposable {
  readonly busPort: number;
  readonly metricsPort: number;
  /** Resolves once every camera and the detector either work or have said why not. */
  readonly settled: Promise<void>;
  state(): AppState;
}

export interface AppState {
  readonly cameras: readonly CameraSummary[];
  readonly detector: string;
  /** What ails the index of the footage or its disk. */
  readonly library: readonly ErrorReport[];
}

export interface CameraSummary {
  readonly cameraId: string;
  readonly state: CameraPhase;
  /** For people: the stream, or what is wrong. */
  readonly detail: string;
}

/**
 * Joins the rooms into one running agent. Sinks are built first and sources last, so that taking down in
 * reverse order drains in the direction the data flows.
 */
export async function startApp({ settings, version, clock, log }: AppOptions): Promise<App> {
  await using building = new AsyncDisposableStack();
  await mkdir(settings.dataDir, { recursive: true });

  const meter = building.use(createMeter({ process: 'agent' }));
  const bus = building.use(
    await createBus({ nodeId: settings.nodeId, ...settings.bus, version, meter, log, clock }),
  );

  const { dataDir, logLevel } = settings;
  let storage: StorageDesk | null = null;
  const library = await openLibrary({
    dataDir,
    settings: settings.storage,
    logLevel,
    clock,
    log,
    meter,
    onTroubles: () => storage?.hurry(),
  });
  building.use(library);

  const runDir = await mkdtemp(join(tmpdir(), 'spyoncino-'));
  building.defer(() => rm(runDir, { recursive: true, force: true }));
  const detectSocket = join(runDir, 'detect.sock');

  const unsettled = new Set(['detector', ...settings.cameras.map(({ cameraId }) => cameraId)]);
  const settled = Promise.withResolvers<void>();
  const settle = (name: string): void => {
    if (unsettled.delete(name) && unsettled.size === 0) settled.resolve();
  };

  const detector = new DetectDesk({
    settings: settings.detection,
    dataDir,
    logLevel,
    socket: detectSocket,
    meter,
    clock,
    log,
    onState: (state) => {
      publishDetectorState(bus, state);
      if (state.state !== 'starting') settle('detector');
    },
  });
  detector.start();
  building.defer(() => detector.stop());

  let lastRun = 0;
  const nextRun = (): string => (lastRun = Math.max(lastRun + 1, clock.utcMs())).toString(36);
  const cameras = settings.cameras
    .filter(({ enabled }) => enabled)
    .map(
      (camera) =>
        new CameraDesk({
          settings: camera,
          dataDir,
          logLevel,
          detectSocket,
          nextRun,
          bus,
          library,
          meter,
          clock,
          log,
          onGap: (gap) => storage?.lost(gap),
          onState: (state) => {
            if (state === 'running' || state === 'down') settle(camera.cameraId);
          },
        }),
    );
  for (const { cameraId, enabled } of settings.cameras) if (!enabled) settle(cameraId);

  storage = new StorageDesk({
    settings,
    library,
    bus,
    meter,
    clock,
    log,
    onMediaChange: () => {
      for (const camera of cameras) camera.restart();
    },
  });
  storage.start();
  building.defer(() => storage?.stop());

  const metrics = await serveMetrics({
    ...settings.metrics,
    log,
    collect: async () => {
      const children = await Promise.all([detector, ...cameras].map((desk) => desk.metrics()));
      return mergeMetrics(meter.registry, children);
    },
  });
  building.use(metrics);

  for (const camera of cameras) camera.start();
  building.defer(async () => {
    await Promise.all(cameras.map((camera) => camera.stop()));
  });

  const owned = building.move();
  return {
    busPort: bus.port,
    metricsPort: metrics.port,
    settled: settled.promise,
    state: () => ({
      cameras: cameras.map((camera) => camera.summary()),
      detector: detector.summary(),
      library: library.troubles,
    }),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
