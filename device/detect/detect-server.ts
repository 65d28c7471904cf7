import { availableParallelism } from 'node:os';
import type { DetectorInfo } from '../contract/detect.ts';
import type { Meter } from '../contract/metrics.ts';
import type { Trouble } from '../contract/modules.ts';
import type { DetectionSettings } from '../contract/settings.ts';
import type { Clock } from '../kernel/clock.ts';
import type { Log } from '../kernel/log.ts';
import { ONE_WORKER_BACKENDS } from './backends/index.ts';
import { choose, type Choice } from './choose.ts';
import { Detector } from './detector.ts';
import { rememberedDigests } from './digests.ts';
import { Mischief } from './mischief.ts';
import { measure, threadsPerWorker } from './measure.ts';
import { ModelWorker } from './model-worker.ts';
import { SocketServer } from './socket-server.ts';
import { Waits } from './waits.ts';

export interface DetectServerOptions {
  readonly settings: DetectionSettings;
  readonly dataDir: string;
  /** Unix socket to listen on, mode 0600. */
  readonly socket: string;
  readonly meter: Meter;
  readonly log: Log;
  readonly clock: Clock;
}

export interface DetectServer extends AsyncDisposable {
  readonly info: DetectorInfo;
  /** The longest that a camera which wanted a look has waited for one since this was asked last, ms. */
  takeLongestWaitMs(): number;
  /** Around every look from now on. */
  setTrouble(trouble: Trouble | null): void;
}

/**
 * Chooses and loads a model, starts its workers and serves cameras. Resolves when the first worker has
 * answered once; the others follow. @throws CodedError MODEL_* | BACKEND_UNAVAILABLE | DETECTOR_FAILED
 */
export async function createDetectServer(options: DetectServerOptions): Promise<DetectServer> {
  const { settings, dataDir, socket, meter, log, clock } = options;
  await using building = new AsyncDisposableStack();
  const listener = building.use(await SocketServer.listen(socket, log));
  const digests = await rememberedDigests(dataDir);
  const choice = await choose({
    settings,
    dataDir,
    digests,
    log,
    measure: (model, backend) => measure(model, backend, { clock }),
  });
  const { manifest, files, labels } = choice.model;
  const workers = workerCount(settings, choice);
  const start = { backend: choice.backend, manifest, files, labels, threads: threadsPerWorker(workers) };
  const detector = building.use(
    await Detector.create({
      workers,
      createWorker: (signal) => ModelWorker.create({ start, clock, signal }),
      meter,
      log,
      clock,
    }),
  );
  const info: DetectorInfo = {
    modelId: manifest.id,
    backend: choice.backend,
    inputWidth: manifest.input.width,
    inputHeight: manifest.input.height,
    labels,
  };
  const ending = new AbortController();
  building.defer(() => ending.abort());
  const waits = new Waits();
  const mischief = new Mischief({ meter, clock, signal: ending.signal });
  listener.serve({
    info,
    async detect(lane, crops) {
      waits.asked(lane, clock.monotonicMs());
      let isAnswered = true;
      try {
        const result = await mischief.around(() => detector.detect(lane, crops));
        isAnswered = result !== null;
        return result;
      } finally {
        waits.settled(lane, clock.monotonicMs(), isAnswered);
      }
    },
    leave(lane) {
      waits.left(lane);
      detector.leave(lane);
    },
  });
  log.info({ model: info.modelId, backend: info.backend, workers }, 'detector ready');
  const owned = building.move();
  return {
    info,
    takeLongestWaitMs: () => waits.takeLongest(clock.monotonicMs()),
    setTrouble: (trouble) => mischief.set(trouble),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

function workerCount({ workers }: DetectionSettings, { backend }: Choice): number {
  if (ONE_WORKER_BACKENDS.has(backend)) return 1;
  // One core stays free for capture and recording, which must not be late.
  return workers > 0 ? workers : Math.max(1, availableParallelism() - 1);
}
