import { open } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Analysis } from './analysis.ts';
import { decodeAt, runCapture } from './capture/index.ts';
import type { DetectPort } from './contract/detect.ts';
import type { EventFact, Fact, MotionFact } from './contract/facts.ts';
import type { Meter } from './contract/metrics.ts';
import type { CameraSettings } from './contract/settings.ts';
import type { Clock } from './kernel/clock.ts';
import { makeDirectoryDurable, renameDurable } from './kernel/durable-file.ts';
import type { Log } from './kernel/log.ts';
import { TaskSet } from './kernel/tasks.ts';
import { createRecorder, recoverClips, type Recorder } from './record/index.ts';
import type { BestShot } from './track/index.ts';

export interface CameraChainOptions {
  readonly settings: CameraSettings;
  readonly dataDir: string;
  readonly run: string;
  readonly detector: DetectPort;
  readonly emit: (fact: Fact) => void;
  readonly meter: Meter;
  readonly clock: Clock;
  readonly log: Log;
}

/**
 * One camera, live: capture → motion → detect → track → record, wired. Facts come out of `emit`.
 * Runs until `signal` aborts, then drains in the order the data flows: what was received is on disk before
 * the promise resolves.
 */
export async function runCamera(options: CameraChainOptions, signal: AbortSignal): Promise<void> {
  const { settings, dataDir, run, detector, emit, meter, clock, log } = options;
  const { cameraId } = settings;
  const tasks = new TaskSet((name, error) => log.error({ err: error, task: name }, 'background work failed'));
  // First, so that a clip that has just begun is not taken for one whose writer died.
  tasks.run('recover clips', () => recoverClips({ cameraId, dataDir, emit, log }));
  await tasks.settle();
  const recorder = createRecorder({
    cameraId,
    dataDir,
    run,
    settings: settings.recording,
    emit,
    meter,
    clock,
    log,
  });

  const stills = new StillTaker(recorder, dataDir, cameraId, tasks, (eventId, path) =>
    analysis.setStill(eventId, path),
  );
  const analysis: Analysis = new Analysis({
    camera: settings,
    run,
    detector,
    lockstep: false,
    emit: (fact) => {
      recordEvent(recorder, fact);
      emit(fact);
    },
    onBest: (shot) => stills.take(shot),
    meter,
    clock,
    log,
  });

  await runCapture(
    {
      cameraId,
      source: settings.source,
      analysisFps: settings.detection.fps,
      packets: true,
      sink: {
        stream: (info) => info.role === 'main' && recorder.stream(info),
        packet: (role, packet) => role === 'main' && recorder.packet(packet),
        frame: (frame) => analysis.frame(frame),
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

function recordEvent(recorder: Recorder, fact: EventFact | MotionFact): void {
  if (fact.type !== 'event') return;
  const { eventId, startUtcMs, endUtcMs, lastSeenUtcMs } = fact.event;
  if (fact.phase === 'new') recorder.openEvent(eventId, startUtcMs);
  else if (fact.phase === 'end') recorder.closeEvent(eventId, endUtcMs ?? lastSeenUtcMs);
}

/**
 * Makes a still of an event's best moment from the recorded stream, which is sharper than the analysed one.
 * One at a time; of the shots of one event that wait only the newest counts.
 */
class StillTaker {
  readonly #waiting = new Map<string, BestShot>();
  #busy = false;
  readonly #recorder: Recorder;
  readonly #dataDir: string;
  readonly #cameraId: string;
  readonly #tasks: TaskSet;
  readonly #onStill: (eventId: string, path: string) => void;

  constructor(
    recorder: Recorder,
    dataDir: string,
    cameraId: string,
    tasks: TaskSet,
    onStill: (eventId: string, path: string) => void,
  ) {
    this.#recorder = recorder;
    this.#dataDir = dataDir;
    this.#cameraId = cameraId;
    this.#tasks = tasks;
    this.#onStill = onStill;
  }

  take(shot: BestShot): void {
    this.#waiting.set(shot.eventId, shot);
    if (this.#busy) return;
    this.#busy = true;
    this.#tasks.run('stills', async () => {
      try {
        for (const [eventId, next] of this.#waiting) {
          this.#waiting.delete(eventId);
          await this.#make(next);
        }
      } finally {
        this.#busy = false;
      }
    });
  }

  async #make({ eventId, utcMs }: BestShot): Promise<void> {
    const gop = this.#recorder.gopAt(utcMs);
    if (!gop) return;
    const frame = await decodeAt(gop.video, gop.packets, utcMs);
    if (!frame) return;
    let jpeg: Uint8Array;
    try {
      jpeg = await frame.jpeg();
    } finally {
      frame.release();
    }
    const day = new Date(utcMs).toISOString().slice(0, 10);
    const path = join('media', 'stills', this.#cameraId, day, `${eventId}.jpg`);
    await replaceFile(join(this.#dataDir, path), jpeg);
    this.#onStill(eventId, path);
  }
}

/** After a power cut the file holds either the old bytes or the new ones. */
async function replaceFile(path: string, bytes: Uint8Array): Promise<void> {
  await makeDirectoryDurable(dirname(path));
  const temporary = `${path}.tmp`;
  {
    await using file = await open(temporary, 'w');
    await file.writeFile(bytes);
    await file.datasync();
  }
  await renameDurable(temporary, path);
}
