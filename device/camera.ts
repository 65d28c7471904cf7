import { Analysis } from './analysis.ts';
import { runCapture } from './capture/index.ts';
import type { DetectPort } from './contract/detect.ts';
import type { EventFact, Fact, MotionFact } from './contract/facts.ts';
import type { Meter } from './contract/metrics.ts';
import type { CameraSettings } from './contract/settings.ts';
import type { Clock } from './kernel/clock.ts';
import type { Log } from './kernel/log.ts';
import { makePicture } from './kernel/pictures.ts';
import { TaskSet } from './kernel/tasks.ts';
import { createRecorder, recoverFootage, type Recorder } from './record/index.ts';
import { MainPictures } from './sharper.ts';
import { Previews } from './previews.ts';
import { Stills, type Snapshot } from './stills.ts';
import { TestEvents } from './test-events.ts';

export interface CameraChainOptions {
  readonly settings: CameraSettings;
  readonly dataDir: string;
  /** Identity that the media directory must show before a file is created in it. */
  readonly mediaId: string;
  readonly run: string;
  readonly detector: DetectPort;
  readonly emit: (fact: Fact) => void;
  readonly meter: Meter;
  readonly clock: Clock;
  readonly log: Log;
  /** From now on it can be asked. */
  readonly onReady?: (chain: CameraChain) => void;
}

/** What can be asked of a camera's chain beside its work. */
export interface CameraChain {
  /** A picture of now. @throws CodedError CAMERA_NOT_RUNNING, and what the disk says */
  snapshot(): Promise<Snapshot>;
  /** Begins an event that nobody saw, with its clip; returns its id. */
  testEvent(label: string, durationMs: number): string;
}

/**
 * One camera, live: capture → motion → detect → track → record, wired. Facts come out of `emit`.
 * Runs until `signal` aborts, then drains in the order the data flows: what was received is on disk before
 * the promise resolves.
 */
export async function runCamera(options: CameraChainOptions, signal: AbortSignal): Promise<void> {
  const { settings, dataDir, mediaId, run, detector, emit, meter, clock, log } = options;
  const { cameraId } = settings;
  const tasks = new TaskSet((name, error) => log.error({ err: error, task: name }, 'background work failed'));
  // Beside the recorder, which must not wait for it.
  tasks.run('recover footage', () =>
    recoverFootage({ cameraId, dataDir, mediaId, run, emit, clock, log }, signal),
  );
  const recorder = createRecorder({
    cameraId,
    dataDir,
    mediaId,
    run,
    settings: settings.recording,
    emit,
    meter,
    clock,
    log,
  });

  const stills = new Stills({
    recorder,
    cameraId,
    dataDir,
    mediaId,
    tasks,
    clock,
    signal,
    onStill(fact) {
      emit(fact);
      analysis.setStill(fact.eventId, fact.path);
    },
    onLost: (eventId) => analysis.loseShot(eventId),
  });
  using sharper = new MainPictures({ recorder, meter, clock, log });
  const previews = settings.previews
    ? new Previews({ cameraId, dataDir, make: makePicture, tasks, meter, signal, onPreview: emit })
    : null;
  const tell = (fact: EventFact | MotionFact): void => {
    record(recorder, fact);
    if (fact.type === 'event') previews?.event(fact);
    emit(fact);
  };
  const analysis: Analysis = new Analysis({
    camera: settings,
    run,
    detector,
    lockstep: false,
    sharper,
    emit: tell,
    onBest: (shot) => stills.take(shot),
    meter,
    clock,
    log,
  });

  const tests = new TestEvents({ cameraId, run, emit: tell, tasks, clock, signal });
  options.onReady?.({
    snapshot: () => stills.now(),
    testEvent: (label, durationMs) => tests.begin(label, durationMs),
  });
  await runCapture(
    {
      cameraId,
      source: settings.source,
      analysisFps: settings.detection.fps,
      packets: true,
      privacyMasks: settings.privacyMasks,
      sink: {
        stream(info) {
          if (info.role !== 'main') return;
          recorder.stream(info);
          sharper.stream(info.video);
        },
        packet: (role, packet) => role === 'main' && recorder.packet(packet),
        frame(frame, role) {
          previews?.frame(frame);
          return analysis.frame(frame, role);
        },
        state: emit,
      },
      meter,
      clock,
      log,
    },
    signal,
  );
  await analysis.close();
  await tasks.settle();
  await recorder.close();
}

function record(recorder: Recorder, fact: EventFact | MotionFact): void {
  if (fact.type === 'motion') {
    recorder.motion(fact.phase, fact.utcMs);
    return;
  }
  const { eventId, startUtcMs, endUtcMs, lastSeenUtcMs } = fact.event;
  if (fact.phase === 'new') recorder.openEvent(eventId, startUtcMs);
  else if (fact.phase === 'end') recorder.closeEvent(eventId, endUtcMs ?? lastSeenUtcMs);
}
