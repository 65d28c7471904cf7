import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { applyChange } from './apply-change.ts';
import { balenaFrom } from './balena/index.ts';
import {
  createBus,
  homeAssistantMessages,
  OriginalTopics,
  publishConfigFact,
  ResilienceTester,
} from './bus/index.ts';
import type { CameraSummary } from './camera-desk.ts';
import { Cameras } from './cameras.ts';
import type { ErrorReport } from './contract/errors.ts';
import type { Module } from './contract/modules.ts';
import type { CameraSettings, DetectionSettings, Settings } from './contract/settings.ts';
import { Access, AuditFile, CommandDoor } from './control/index.ts';
import { DetectDesk, publishDetectorState } from './detect-desk.ts';
import { askForFactoryReset } from './factory-reset.ts';
import { GpioDesk } from './gpio-desk.ts';
import { createHandlers } from './handlers.ts';
import { createMeter, mergeMetrics, serveMetrics, Watchdog } from './health/index.ts';
import type { Clock } from './kernel/clock.ts';
import type { Log } from './kernel/log.ts';
import { Slot } from './kernel/slot.ts';
import { openLibrary, type Library } from './library/index.ts';
import { bridgeModule, DETECTOR, GATEWAY, inputOf, modulesOf, partsOf, STORAGE, UPLOADS } from './modules.ts';
import { BotDesk, consumersOf, openNotify } from './notify-desk.ts';
import { BotAccess, type Notify } from './notify/index.ts';
import { authenticateBy, hearRequests } from './requests-desk.ts';
import { findOffline } from './offline.ts';
import { PictureDesk } from './picture-desk.ts';
import type { ConfigKeeper } from './settings/index.ts';
import { stagesOf, whenAllHaveSaid } from './stages.ts';
import { StatusDesk } from './status-desk.ts';
import { StorageDesk } from './storage-desk.ts';
import { openSurfaces, type Surfaces } from './surfaces.ts';
import { hostNames, Tls } from './tls/index.ts';
import { troubled } from './troubled.ts';
import { openUpdater } from './update-desk.ts';
import { UploadDesk } from './upload-desk.ts';

export interface AppOptions {
  /** Ours from now on: it is told how the agent is, and closed with it. */
  readonly config: ConfigKeeper;
  readonly version: string;
  /** For systemd's notifications. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  readonly log: Log;
  /** Certificates in here take the place of the device's own. */
  readonly certsDir: string;
  /** While nobody owns the device, for its console alone; null as soon as somebody does. */
  readonly onSetupCode: (code: string | null) => void;
  /** Modules, by id, that begin paused. */
  readonly paused?: readonly string[];
  /** Modules that child processes run in place of ours: for tests that play the camera. */
  readonly hosts?: { readonly camera: string; readonly detect: string };
}

export interface App extends AsyncDisposable {
  readonly busPort: number;
  readonly metricsPort: number;
  readonly apiPort: number;
  readonly gatewayPort: number;
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

/**
 * Joins the rooms into one running agent. Sinks are built first and sources last, so that taking down in
 * reverse order drains in the direction the data flows.
 */
export async function startApp(options: AppOptions): Promise<App> {
  const { config, version, env, clock, log, paused = [], hosts, certsDir, onSetupCode } = options;
  await using building = new AsyncDisposableStack();
  const { settings } = config.current;
  const { dataDir, logLevel } = settings;
  const stateDir = join(dataDir, 'state');
  await mkdir(dataDir, { recursive: true });

  const meter = building.use(createMeter({ process: 'agent' }));
  const audit = building.use(new AuditFile(stateDir, log));
  const access = await Access.open({ stateDir, clock, onSetupCode });
  const tls = building.use(await Tls.open({ stateDir, certsDir, names: hostNames, clock, log }));
  let storage: StorageDesk | null = null;
  let surfaces: Surfaces | null = null;
  let telling: Notify | null = null;
  let bot: BotDesk | null = null;
  const library = building.use(
    await openLibrary({
      dataDir,
      settings: settings.storage,
      logLevel,
      clock,
      log,
      meter,
      onTroubles: () => storage?.hurry(),
      onCommitted: () => telling?.wake(),
    }),
  );
  const broker = building.use(
    await createBus({
      nodeId: settings.nodeId,
      ...settings.bus,
      authenticate: authenticateBy(access),
      certificates: tls.of('mqtt'),
      clientCa: tls.authority,
      state: {
        read: (name) => library.ask('readState', { name }),
        write: (change) => library.ask('writeState', change),
      },
      version,
      meter,
      log,
      clock,
    }),
  );
  building.use(access.watch((name) => broker.disconnect(name)));
  const tester = settings.resilience.enabled
    ? building.use(
        new ResilienceTester({ bus: broker, scenarios: settings.resilience.scenarios, clock, log }),
      )
    : null;
  const bus = tester ?? broker;
  const staged = stagesOf(building, bus);

  staged('analytics', () => library.drain());
  const libraryOf = (module: string): Library => (tester ? troubled(library, module, tester) : library);

  const gpio = new GpioDesk({ settings: settings.gpio, bus, env, meter, clock, log });
  await gpio.start();
  // Whoever may switch an output on has stopped before.
  building.defer(() => gpio.stop());
  const notify = await openNotify({
    config,
    gpio,
    library,
    bus,
    tester,
    env,
    stateDir,
    onConsumers: () => tellConsumers(),
    meter,
    clock,
    log,
  });
  telling = notify;
  staged('outputs', () => notify.stop());
  const uploads = new UploadDesk({
    settings: settings.remote,
    isStandby: env['SPYONCINO_STANDBY'] === '1',
    dataDir,
    library: libraryOf(UPLOADS),
    bus,
    meter,
    clock,
    log,
  });
  // All who take from the outbox, at once: what waits for anybody else would be forgotten. So nobody is named
  // before notifications know whom they tell.
  const tellConsumers = (): void =>
    library.registerConsumers({ ...consumersOf(notify), ...uploads.consumers });
  await notify.start();
  uploads.start();
  building.defer(() => uploads.stop());
  building.use(broker.tap(({ topic }) => uploads.heard(topic)));

  const runDir = await mkdtemp(join(tmpdir(), 'spyoncino-'));
  building.defer(() => rm(runDir, { recursive: true, force: true }));
  const detectSocket = join(runDir, 'detect.sock');
  const startsPaused = (camera: CameraSettings): boolean => paused.includes(inputOf(camera));
  const settling = whenAllHaveSaid([
    ...(paused.includes(DETECTOR) ? [] : ['detector']),
    ...enabled(settings).flatMap((camera) => (startsPaused(camera) ? [] : camera.cameraId)),
  ]);

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
        trouble: () => tester?.troubleOf(DETECTOR) ?? null,
      }),
    paused.includes(DETECTOR),
  );
  detector.start();
  staged('process', () => detector.stop());

  const { rateLimit } = settings.outputs;
  const original = new OriginalTopics({ bus, dataDir, rateLimit, meter, clock });
  const pictures = settings.bus.homeAssistant?.pictures
    ? new PictureDesk({ bus: broker, dataDir, library, log })
    : null;
  building.defer(() => pictures?.stop());
  let lastRun = 0;
  const cameras = new Cameras({
    work: tester,
    entry: hosts?.camera,
    dataDir,
    logLevel,
    detectSocket,
    offline: await findOffline(log),
    nextRun: () => (lastRun = Math.max(lastRun + 1, clock.utcMs())).toString(36),
    bus,
    original,
    library: libraryOf('modules.analytics.db_logger'),
    meter,
    clock,
    log,
    onStill: (still) => pictures?.take(still),
    onGap: (gap) => storage?.lost(gap),
    onPreview: (preview) => notify.previewed(preview),
    onState: (cameraId, state) => {
      if (state === 'running' || state === 'down') settling.said(cameraId);
    },
    startsPaused,
  });

  storage = new StorageDesk({
    settings,
    library: libraryOf(STORAGE),
    bus,
    meter,
    clock,
    log,
    onMediaChange: () => {
      for (const desk of cameras.desks) desk.restart();
    },
  });
  if (paused.includes(STORAGE)) storage.setPaused(true);
  storage.start();
  const storageDesk = storage;
  staged('storage', () => storageDesk.stop());

  const modules = (): readonly Module[] =>
    modulesOf({
      cameras,
      detector,
      storage: storageDesk,
      library,
      others: [
        uploads.module(),
        ...(surfaces?.modules ?? []),
        ...notify.modules,
        ...gpio.modules,
        ...(balena ? [balena.module] : []),
        ...(bot ? [bot.module] : []),
        ...bridgeModule(broker),
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

  const recording = (): string | null =>
    cameras.desks.find((desk) => desk.hasOpenEvent)?.state.camera_id ?? null;
  const balena = balenaFrom({ env, version, recording, health: () => status.summary().status, clock, log });
  building.defer(() => balena?.stop());
  const updater = await openUpdater({
    ...{ stateDir, env, bus, clock, log },
    defaultSource: () => config.current.settings.updates.source,
    recording,
  });
  building.defer(() => updater.stop());

  building.use(config);
  const botAccess = await BotAccess.open(stateDir, settings.outputs.notify.bot, clock, log);
  const door = new CommandDoor({
    handlers: createHandlers({
      modules,
      cameras,
      library,
      storage: storageDesk,
      notify,
      botAccess,
      status,
      uploads,
      gpio,
      updater,
      config,
      factoryReset: () => askForFactoryReset(env),
      toggleScenario:
        tester &&
        ((name, isArmed) => {
          tester.toggle(name, isArmed);
          detector.part?.tellTrouble();
        }),
      clock,
    }),
    audit: (line) => audit.add(line),
    clock,
    log,
  });

  hearRequests(broker, door);
  gpio.serve(door);
  const open = building.use(
    await openSurfaces({
      settings,
      tls,
      access,
      audit: (line) => audit.add(line),
      door,
      library: libraryOf('modules.dashboard.control_api'),
      cameras,
      status,
      config,
      tap: (listener) =>
        broker.tap(tester ? (message) => tester.pass(GATEWAY, () => listener(message)) : listener),
      meter,
      clock,
      log,
    }),
  );
  surfaces = open;
  const chat = new BotDesk({ config, env, access: botAccess, door, clock, log });
  bot = chat;
  building.defer(() => chat.stop());

  for (const camera of enabled(settings)) cameras.add(camera);
  staged('inputs', () => cameras.stop());
  chat.start();
  status.start();
  balena?.start();
  await updater.start();
  const changeable = {
    ...{ broker, cameras, chat, detector, gpio, notify, original, uploads, tellConsumers },
    storage: storageDesk,
  };
  config.serve({
    async apply(plan, now) {
      await applyChange(changeable, plan, now);
      // It is told of cameras, too.
      announce(now);
    },
    health: () => partsOf(status.summary()),
    tell: (fact) => publishConfigFact(bus, fact),
  });
  announce(settings);
  pictures?.begin(cameras.ids);
  const watchdog = building.use(new Watchdog({ env, stuck: () => status.stuck(), clock, log }));
  watchdog.start();

  function announce({ bus: { homeAssistant }, cameras, nodeId }: Settings): void {
    if (!homeAssistant) return;
    const names = Object.keys(status.summary().modules);
    broker.announce(homeAssistantMessages({ nodeId, version, ...homeAssistant, cameras, modules: names }));
  }

  const owned = building.move();
  return {
    busPort: broker.port,
    metricsPort: metrics.port,
    apiPort: open.apiPort,
    gatewayPort: open.gatewayPort,
    settled: settling.done,
    state: () => ({
      cameras: cameras.summaries(),
      detector: detector.part?.summary() ?? 'paused',
      library: library.troubles,
    }),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

const enabled = ({ cameras }: Settings) => cameras.filter((camera) => camera.enabled);
