import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createBus, OriginalTopics, publishConfigFact, ResilienceTester } from './bus/index.ts';
import type { CameraSummary } from './camera-desk.ts';
import { Cameras } from './cameras.ts';
import type { Caller } from './contract/access.ts';
import type { ErrorReport } from './contract/errors.ts';
import type { Module } from './contract/modules.ts';
import type { DetectionSettings, Settings } from './contract/settings.ts';
import { Access, AuditFile, CommandDoor, type CommandOutcome } from './control/index.ts';
import { DetectDesk, publishDetectorState } from './detect-desk.ts';
import { createHandlers } from './handlers.ts';
import { createMeter, mergeMetrics, serveMetrics, Watchdog } from './health/index.ts';
import type { Clock } from './kernel/clock.ts';
import type { Log } from './kernel/log.ts';
import { Slot } from './kernel/slot.ts';
import { openLibrary } from './library/index.ts';
import { modulesOf, partsOf } from './modules.ts';
import { authenticateBy, hearRequests } from './requests-desk.ts';
import type { ChangePlan, ConfigKeeper } from './settings/index.ts';
import { StatusDesk } from './status-desk.ts';
import { StorageDesk } from './storage-desk.ts';

export interface AppOptions {
  /** Ours from now on: it is told how the agent is, and closed with it. */
  readonly config: ConfigKeeper;
  readonly version: string;
  /** For systemd's notifications. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  readonly log: Log;
  /** Modules that child processes run in place of ours: for tests that play the camera. */
  readonly hosts?: { readonly camera: string; readonly detect: string };
}

export interface App extends AsyncDisposable {
  readonly busPort: number;
  readonly metricsPort: number;
  /** Resolves once every camera and the detector either work or have said why not. */
  readonly settled: Promise<void>;
  /** Whether some user may administer the device. */
  readonly hasOwner: boolean;
  state(): AppState;
  command(request: unknown, caller: Caller): Promise<CommandOutcome>;
}

export interface AppState {
  readonly cameras: readonly CameraSummary[];
  readonly detector: string;
  /** What ails the index of the footage or its disk. */
  readonly library: readonly ErrorReport[];
}

/**
 * Joins the rooms into one running agent. Sinks are built first and sources last, so that taking down in
 * reverse order drains in the direction the data flows.
 */
export async function startApp({ config, version, env, clock, log, hosts }: AppOptions): Promise<App> {
  await using building = new AsyncDisposableStack();
  const { settings } = config.current;
  const { dataDir, logLevel } = settings;
  const stateDir = join(dataDir, 'state');
  await mkdir(dataDir, { recursive: true });

  const meter = building.use(createMeter({ process: 'agent' }));
  const audit = building.use(new AuditFile(stateDir, log));
  const access = await Access.open({ stateDir, clock, onSetupCode: () => {} });
  const broker = building.use(
    await createBus({
      nodeId: settings.nodeId,
      ...settings.bus,
      authenticate: authenticateBy(access),
      stateDir,
      version,
      meter,
      log,
      clock,
    }),
  );
  const tester = settings.resilience.enabled
    ? building.use(
        new ResilienceTester({ bus: broker, scenarios: settings.resilience.scenarios, clock, log }),
      )
    : null;
  const bus = tester ?? broker;

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
  const settling = whenAllHaveSaid(['detector', ...enabled(settings).map(({ cameraId }) => cameraId)]);

  const detector = new Slot<DetectionSettings, DetectDesk>(
    settings.detection,
    (now) =>
      new DetectDesk({
        settings: now,
        entry: hosts?.detect,
        dataDir,
        logLevel,
        socket: detectSocket,
        meter,
        clock,
        log,
        onState: (state) => {
          publishDetectorState(bus, state);
          if (state.state !== 'starting') settling.said('detector');
        },
      }),
  );
  detector.start();
  building.defer(() => detector.stop());

  const { rateLimit } = settings.outputs;
  const original = new OriginalTopics({ bus, dataDir, rateLimit, meter, clock });
  let lastRun = 0;
  const cameras = new Cameras({
    entry: hosts?.camera,
    dataDir,
    logLevel,
    detectSocket,
    nextRun: () => (lastRun = Math.max(lastRun + 1, clock.utcMs())).toString(36),
    bus,
    original,
    library,
    meter,
    clock,
    log,
    onGap: (gap) => storage?.lost(gap),
    onState: (cameraId, state) => {
      if (state === 'running' || state === 'down') settling.said(cameraId);
    },
  });

  storage = new StorageDesk({
    settings,
    library,
    bus,
    meter,
    clock,
    log,
    onMediaChange: () => {
      for (const desk of cameras.desks) desk.restart();
    },
  });
  storage.start();
  const storageDesk = storage;
  building.defer(() => storageDesk.stop());

  const modules = (): readonly Module[] =>
    modulesOf({
      cameras,
      detector,
      storage: storageDesk,
      library,
      others: [
        ...(tester
          ? [{ id: 'modules.status.resilience_tester', instance: null, health: () => tester.health() }]
          : []),
      ],
    });
  const metrics = building.use(
    await serveMetrics({
      ...settings.metrics,
      log,
      isReady: () => status.isReady,
      collect: async () => {
        const desks = [...(detector.part ? [detector.part] : []), ...cameras.desks];
        return mergeMetrics(meter.registry, await Promise.all(desks.map((desk) => desk.metrics())));
      },
    }),
  );
  const status = building.use(new StatusDesk({ modules, broker, library, bus, clock, log }));

  building.use(config);
  const door = new CommandDoor({
    handlers: createHandlers({
      modules,
      cameras,
      library,
      storage: storageDesk,
      config,
      toggleScenario: tester && ((name, isArmed) => tester.toggle(name, isArmed)),
      clock,
    }),
    audit: (line) => audit.add(line),
    clock,
    log,
  });

  hearRequests(broker, door);

  for (const camera of enabled(settings)) cameras.add(camera);
  building.defer(() => cameras.stop());
  status.start();
  config.serve({
    apply: (plan, now) => apply(plan, now),
    health: () => partsOf(status.summary()),
    tell: (fact) => publishConfigFact(bus, fact),
  });
  const watchdog = building.use(new Watchdog({ env, stuck: () => status.stuck(), clock, log }));
  watchdog.start();

  /** Step by step: what fails names the change that is to be taken back. */
  async function apply({ steps }: ChangePlan, now: Settings): Promise<void> {
    for (const step of steps) {
      if (step.kind === 'service') {
        if (step.service === 'detector') await detector.restart(now.detection);
        else if (step.service === 'storage') storageDesk.configure(now);
        else original.setRateLimit(now.outputs.rateLimit);
        continue;
      }
      const { cameraId, action } = step;
      const camera = now.cameras.find((each) => each.cameraId === cameraId);
      if (action === 'stop' || !camera) await cameras.remove(cameraId);
      else if (action === 'start') cameras.add(camera);
      else if (action === 'restart') await cameras.slot(cameraId).restart(camera);
      else if (camera.enabled) cameras.slot(cameraId).adjust(camera);
    }
    // Retention goes by camera, too.
    storageDesk.configure(now);
  }

  const owned = building.move();
  return {
    busPort: broker.port,
    metricsPort: metrics.port,
    settled: settling.done,
    get hasOwner() {
      return access.hasOwner;
    },
    state: () => ({
      cameras: cameras.summaries(),
      detector: detector.part?.summary() ?? 'paused',
      library: library.troubles,
    }),
    command: (request, caller) => door.submit(request, caller),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

const enabled = ({ cameras }: Settings) => cameras.filter((camera) => camera.enabled);

/** Resolves `done` once each of `names` has said something. */
function whenAllHaveSaid(names: readonly string[]): { done: Promise<void>; said(name: string): void } {
  const waiting = new Set(names);
  const { promise, resolve } = Promise.withResolvers<void>();
  return {
    done: promise,
    said(name) {
      if (waiting.delete(name) && waiting.size === 0) resolve();
    },
  };
}
