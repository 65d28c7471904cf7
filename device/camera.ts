import { open } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Analysis } from './analysis.ts';
import { decodeAt, runCapture } from './capture/index.ts';
import type { DetectPort } from './contract/detect.ts';
import type { EventFact, Fact, MotionFact, StillFact } from './contract/facts.ts';
import type { Meter } from './contract/metrics.ts';
import type { CameraSettings } from './contract/settings.ts';
import type { Clock } from './kernel/clock.ts';
import { makeDirectoryDurable, renameDurable } from './kernel/durable-file.ts';
import type { Log } from './kernel/log.ts';
import { TaskSet } from './kernel/tasks.ts';
import { createRecorder, expectMedia, recoverFootage, type Recorder } from './record/index.ts';
import { MainPictures } from './sharper.ts';
import type { BestShot } from './track/index.ts';

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

  // Of a camera that has been stopped no more pictures come to wait for.
  const wait = (ms: number): Promise<boolean> =>
    clock.sleep(ms, signal).then(
      () => true,
      () => false,
    );
  const stills = new StillTaker({ recorder, cameraId, dataDir, mediaId, tasks, wait }, (fact) => {
    emit(fact);
    analysis.setStill(fact.eventId, fact.path);
  });
  using sharper = new MainPictures({ recorder, meter, clock, log });
  const analysis: Analysis = new Analysis({
    camera: settings,
    run,
    detector,
    lockstep: false,
    sharper,
    emit: (fact) => {
      record(recorder, fact);
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
      privacyMasks: settings.privacyMasks,
      sink: {
        stream(info) {
          if (info.role !== 'main') return;
          recorder.stream(info);
          sharper.stream(info.video);
        },
        packet: (role, packet) => role === 'main' && recorder.packet(packet),
        frame: (frame, role) => analysis.frame(frame, role),
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

interface StillTakerOptions {
  readonly recorder: Recorder;
  readonly cameraId: string;
  readonly dataDir: string;
  readonly mediaId: string;
  readonly tasks: TaskSet;
  /** false: there is nothing to wait for any more. */
  readonly wait: (ms: number) => Promise<boolean>;
}

/** The recorded stream may come later than the analysed one, above all where it is encoded first. */
const STILL_TRIES = 8;
const STILL_RETRY_MS = 250;

/**
 * Makes a still of an event's best moment from the recorded stream, which is sharper than the analysed one.
 * One at a time; of the shots of one event that wait only the newest counts.
 */
class StillTaker {
  readonly #waiting = new Map<string, BestShot>();
  #busy = false;
  readonly #o: StillTakerOptions;
  readonly #onStill: (fact: StillFact) => void;

  constructor(options: StillTakerOptions, onStill: (fact: StillFact) => void) {
    this.#o = options;
    this.#onStill = onStill;
  }

  take(shot: BestShot): void {
    this.#waiting.set(shot.eventId, shot);
    if (this.#busy) return;
    this.#busy = true;
    this.#o.tasks.run('stills', async () => {
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
    const gop = await this.#gopAt(utcMs);
    if (!gop) return;
    const frame = await decodeAt(gop.video, gop.packets, utcMs);
    if (!frame) return;
    let jpeg: Uint8Array;
    try {
      jpeg = await frame.jpeg();
    } finally {
      frame.release();
    }
    const { cameraId, dataDir } = this.#o;
    const day = new Date(utcMs).toISOString().slice(0, 10);
    const path = join('media', 'stills', cameraId, day, `${eventId}.jpg`);
    await expectMedia(this.#o);
    await replaceFile(join(dataDir, path), jpeg);
    this.#onStill({ type: 'still', cameraId, eventId, path, utcMs, sizeBytes: jpeg.byteLength });
  }

  async #gopAt(utcMs: number): Promise<ReturnType<Recorder['gopAt']>> {
    for (let left = STILL_TRIES; ; left--) {
      const gop = this.#o.recorder.gopAt(utcMs);
      if (gop || left === 0 || !(await this.#o.wait(STILL_RETRY_MS))) return gop;
    }
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
