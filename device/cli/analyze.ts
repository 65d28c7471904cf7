import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { Analysis } from '../analysis.ts';
import { runCapture } from '../capture/index.ts';
import type { DetectPort } from '../contract/detect.ts';
import { CodedError } from '../contract/errors.ts';
import type { EventState, MotionFact } from '../contract/facts.ts';
import { noMeter } from '../contract/metrics.ts';
import type { CameraSettings } from '../contract/settings.ts';
import { connectDetector, createDetectServer } from '../detect/index.ts';
import { systemClock } from '../kernel/clock.ts';
import { createLog, type Log } from '../kernel/log.ts';
import { loadSettings } from '../settings/index.ts';
import { loadOptions, parse, parseBackend, parseNumber, PLACES, PLACES_HELP, type Verb } from './verb.ts';

export const verb: Verb = {
  help: `
usage: spyoncino analyze FILE… [options]

Runs files through the very pipeline that watches live cameras. The same file gives the same lines, every time.

  --config FILE   configuration whose motion, detection and zones apply
  --camera ID     …of this camera (default: the first)
  --model ID      detection model (default: as configured)
  --backend NAME  tfjs-wasm, tfjs-webgpu, tfjs-node or onnx (default: as configured)
  --fps N         pictures analysed per second of footage (default: as configured, 5)
  --json          one JSON object per line
${PLACES_HELP}

With --json each finished event is one line
  {"file","label","start_s","end_s","score","track_id","zones","best_s","box"}
(box: [x1, y1, x2, y2] as fractions of the picture), then per file
  {"file","motion":[[start_s,end_s],…]}
  {"file","frames","inferences","wall_s","realtime_factor"}
`,
  async run(argv) {
    const { values, positionals: files } = parse(
      argv,
      {
        ...PLACES,
        config: { type: 'string' },
        camera: { type: 'string' },
        model: { type: 'string' },
        backend: { type: 'string' },
        fps: { type: 'string' },
        json: { type: 'boolean' },
      },
      true,
    );
    if (files.length === 0) throw new CodedError('USAGE', 'analyze needs at least one FILE');
    const config = values.config === undefined ? null : resolve(values.config);
    const { settings } = await loadSettings({
      ...loadOptions(values),
      ...(config ? { configDir: dirname(config), configFile: basename(config), required: true } : {}),
      fallbackCameras: [{ camera_id: 'file', video_file: 'analyze' }],
    });
    const camera = pickCamera(settings.cameras, values.camera);
    const detection = {
      ...settings.detection,
      ...(values.model === undefined ? {} : { model: values.model }),
      ...(values.backend === undefined ? {} : { backend: parseBackend(values.backend) }),
    };
    const fps = values.fps === undefined ? camera.detection.fps : parseNumber('fps', values.fps, 0.1, 60);
    const log = createLog({
      name: 'analyze',
      level: process.env.SPYONCINO_SYSTEM__LOGGING__LOG_LEVEL ?? 'warn',
    });

    await using scope = new AsyncDisposableStack();
    const stop = new AbortController();
    const onSignal = (): void => stop.abort();
    process.once('SIGINT', onSignal);
    process.once('SIGTERM', onSignal);
    scope.defer(() => {
      process.off('SIGINT', onSignal);
      process.off('SIGTERM', onSignal);
    });

    const runDir = await mkdtemp(join(tmpdir(), 'spyoncino-'));
    scope.defer(() => rm(runDir, { recursive: true, force: true }));
    const common = { socket: join(runDir, 'detect.sock'), meter: noMeter, log, clock: systemClock };
    scope.use(await createDetectServer({ ...common, settings: detection, dataDir: settings.dataDir }));
    const detector = scope.use(connectDetector({ ...common, cameraId: camera.cameraId }));
    await detector.ready(stop.signal);

    const print = values.json ? printJson : printReadable;
    for (const file of files) {
      const report = await analyzeFile({ file, camera, fps, detector, log, signal: stop.signal, print });
      if (stop.signal.aborted) return 130;
      print.end(report);
    }
    return 0;
  },
};

interface Report {
  readonly file: string;
  readonly motion: readonly (readonly [startS: number, endS: number])[];
  readonly frames: number;
  readonly inferences: number;
  readonly wallS: number;
  readonly realtimeFactor: number;
}

interface Printer {
  event(file: string, event: EventState): void;
  progress(file: string, atS: number, factor: number): void;
  end(report: Report): void;
}

async function analyzeFile(o: {
  file: string;
  camera: CameraSettings;
  fps: number;
  detector: DetectPort;
  log: Log;
  signal: AbortSignal;
  print: Printer;
}): Promise<Report> {
  const { file, camera, fps, log, print, signal } = o;
  const startedMs = systemClock.monotonicMs();
  let inferences = 0;
  let frames = 0;
  let lastMediaMs = 0;
  const motion: MotionFact[] = [];
  const analysis = new Analysis({
    camera,
    run: 'analyze',
    detector: {
      info: o.detector.info,
      detect: (crops) => {
        inferences += crops.length;
        return o.detector.detect(crops);
      },
    },
    lockstep: true,
    emit: (fact) => {
      if (fact.type === 'motion') motion.push(fact);
      else if (fact.phase === 'end') print.event(file, fact.event);
    },
    meter: noMeter,
    clock: systemClock,
    log,
  });
  const factor = (): number => lastMediaMs / Math.max(1, systemClock.monotonicMs() - startedMs);
  await runCapture(
    {
      cameraId: camera.cameraId,
      source: { kind: 'file', path: resolve(file), loop: false, paced: false },
      analysisFps: fps,
      packets: false,
      privacyMasks: camera.privacyMasks,
      sink: {
        stream: () => {},
        packet: () => {},
        frame: async (frame) => {
          frames += 1;
          lastMediaMs = frame.mediaMs;
          await analysis.frame(frame, 'main');
          print.progress(file, lastMediaMs / 1000, factor());
        },
        state: () => {},
      },
      meter: noMeter,
      clock: systemClock,
      log,
    },
    signal,
  );
  await analysis.close();
  return {
    file,
    motion: intervals(motion),
    frames,
    inferences,
    wallS: round3((systemClock.monotonicMs() - startedMs) / 1000),
    realtimeFactor: round3(factor()),
  };
}

/** Motion starts and ends alternate: the analysis closes what is open. */
function intervals(facts: readonly MotionFact[]): [number, number][] {
  const pairs: [number, number][] = [];
  for (let i = 0; i + 1 < facts.length; i += 2) {
    pairs.push([round3(facts[i]!.mediaMs / 1000), round3(facts[i + 1]!.mediaMs / 1000)]);
  }
  return pairs;
}

function pickCamera(cameras: readonly CameraSettings[], id: string | undefined): CameraSettings {
  const camera = id === undefined ? cameras[0] : cameras.find(({ cameraId }) => cameraId === id);
  if (!camera) throw new CodedError('USAGE', `the configuration has no camera "${id}"`);
  return camera;
}

const round3 = (value: number): number => Math.round(value * 1000) / 1000;

const printJson: Printer = {
  event(file, event) {
    printLine({
      file,
      label: event.label,
      start_s: round3(event.startMediaMs / 1000),
      end_s: round3(event.lastSeenMediaMs / 1000),
      score: round3(event.score),
      track_id: event.trackId,
      zones: event.enteredZones,
      best_s: round3(event.best.mediaMs / 1000),
      box: event.best.box.map(round3),
    });
  },
  progress: showProgress,
  end({ file, motion, frames, inferences, wallS, realtimeFactor }) {
    clearProgress();
    printLine({ file, motion });
    printLine({ file, frames, inferences, wall_s: wallS, realtime_factor: realtimeFactor });
  },
};

const printReadable: Printer = {
  event(file, event) {
    clearProgress();
    const [start, end] = [event.startMediaMs, event.lastSeenMediaMs].map((ms) =>
      (ms / 1000).toFixed(1).padStart(7),
    );
    const zones = event.enteredZones.length > 0 ? `  in ${event.enteredZones.join(', ')}` : '';
    process.stdout.write(
      `${start} –${end} s  ${event.label.padEnd(10)} ${(event.score * 100).toFixed(0).padStart(3)} %  #${event.trackId}${zones}  ${basename(file)}\n`,
    );
  },
  progress: showProgress,
  end({ file, motion, frames, inferences, wallS, realtimeFactor }) {
    clearProgress();
    const movingS = motion.reduce((sum, [start, end]) => sum + end - start, 0);
    process.stdout.write(
      `${basename(file)}: motion for ${movingS.toFixed(1)} s; ${frames} pictures, ${inferences} inferences in ${wallS.toFixed(1)} s (${realtimeFactor.toFixed(2)} × real time)\n`,
    );
  },
};

const printLine = (value: object): boolean => process.stdout.write(`${JSON.stringify(value)}\n`);

let shownAtMs = 0;

/** On a terminal only: one line, rewritten a few times a second. */
function showProgress(file: string, atS: number, factor: number): void {
  if (!process.stderr.isTTY) return;
  const nowMs = systemClock.monotonicMs();
  if (nowMs - shownAtMs < 200) return;
  shownAtMs = nowMs;
  process.stderr.write(`\r\u001b[K${basename(file)}  ${atS.toFixed(1)} s  ${factor.toFixed(2)} × real time`);
}

function clearProgress(): void {
  if (process.stderr.isTTY) process.stderr.write('\r\u001b[K');
}
