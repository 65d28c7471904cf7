import type { PixelRect, Size } from './contract/geometry.ts';
import type { Crop, DetectPort, DetectorInfo, DetectResult } from './contract/detect.ts';
import type { EventFact, MotionFact } from './contract/facts.ts';
import type { PixelFrame, StreamRole } from './contract/media.ts';
import type { Meter } from './contract/metrics.ts';
import type { CameraSettings } from './contract/settings.ts';
import type { Clock } from './kernel/clock.ts';
import type { Log } from './kernel/log.ts';
import { createMotionDetector, type MotionDetector, type MotionResult } from './motion/index.ts';
import {
  createTracker,
  detailWanted,
  planRegions,
  type BestShot,
  type RegionRequest,
  type Tracker,
} from './track/index.ts';

/** More squares in one picture cost more time than they find objects; what is cut has its turn next. */
const MAX_REGIONS = 3;
/** The whole picture is looked at this often even when nothing moves: for what stood there from the start. */
const FULL_LOOK_EVERY_MS = 10_000;
/** A picture that is not at least so much wider shows nothing new. */
const SHARPER_GAIN = 1.25;

/** The same scene at the same moments with more pixels: the recorded stream, where another one is analysed. */
export interface SharperPictures {
  /** null while there are none. */
  readonly size: Size | null;
  /**
   * The picture at `utcMs`; null when it is not to be had, or costs more than can be spared just now. What is
   * `urgent` may use up what is spared. One call at a time; the caller releases the picture.
   */
  at(utcMs: number, urgent: boolean): Promise<PixelFrame | null>;
}

export interface AnalysisOptions {
  readonly camera: CameraSettings;
  /** Unique per run of the chain; part of event ids. */
  readonly run: string;
  readonly detector: DetectPort;
  /**
   * true: every picture waits for its detection, so the outcome depends on the footage alone (files).
   * false: pictures that come while the detector is busy get motion detection only (live).
   */
  readonly lockstep: boolean;
  /** Crops come from here where small things deserve it. Leave out where outcomes must not depend on time. */
  readonly sharper?: SharperPictures;
  readonly emit: (fact: EventFact | MotionFact) => void;
  readonly onBest?: (shot: BestShot) => void;
  readonly meter: Meter;
  readonly clock: Clock;
  readonly log: Log;
}

/** The moment a picture belongs to. `timeMs` runs on over reconnects; within one connection it is stream time. */
interface Moment {
  readonly timeMs: number;
  readonly utcMs: number;
  readonly arrivedUtcMs: number;
}

/** Squares of one picture, cut out for the model. */
interface Look {
  readonly picture: Size;
  readonly modelInput: Size;
  readonly regions: readonly PixelRect[];
  readonly crops: readonly Crop[];
  readonly startedMs: number;
}

/** Motion → regions → detection → tracks → events, for one camera. */
export class Analysis {
  readonly #o: AnalysisOptions;
  readonly #tracker: Tracker;
  #motion: MotionDetector | null = null;
  #picture: Size = { width: 0, height: 0 };
  #connection = '';
  #timeOffsetMs = 0;
  #last: Moment | null = null;
  #moving = false;
  #motionScore = 0;
  #lastFullLookMs = -Infinity;
  #inFlight: Promise<void> | null = null;

  constructor(options: AnalysisOptions) {
    this.#o = options;
    const { cameraId, detection, zones } = options.camera;
    this.#tracker = createTracker({ cameraId, run: options.run, detection, zones });
  }

  /** Takes over the loan of `frame`. In lockstep the promise resolves when the picture is fully digested. */
  frame(frame: PixelFrame, role: StreamRole): void | Promise<void> {
    using loan = new DisposableStack();
    loan.adopt(frame, (lent) => lent.release());
    const moment = this.#momentOf(frame, role);
    const motion = this.#detectMotion(frame, moment);
    this.#o.meter.count('spyoncino_frames_total');
    const { info } = this.#o.detector;
    if (!info || !this.#o.camera.detection.enabled) return;
    if (this.#inFlight) {
      this.#o.meter.count('spyoncino_drops_total', { stage: 'detect', reason: 'busy' });
      return;
    }
    const request = this.#regionRequest(moment, motion, info);
    const regions = planRegions(request);
    if (regions.length === 0) {
      this.#publish(this.#tracker.tick({ mediaMs: moment.timeMs, utcMs: moment.utcMs }));
      return;
    }
    const inHand = loan.move();
    this.#inFlight = this.#cut(frame, request, regions, moment)
      .finally(() => inHand.dispose())
      .then((look) => this.#examine(look, moment, motion))
      .finally(() => {
        this.#inFlight = null;
      });
    return this.#o.lockstep ? this.#inFlight : undefined;
  }

  /** A still of an event has been written. */
  setStill(eventId: string, path: string): void {
    const fact = this.#tracker.setStill(eventId, path);
    if (fact) this.#publish([fact]);
  }

  /** No still can be made of an event's best moment, as of one before the recorded stream began. */
  loseShot(eventId: string): void {
    this.#tracker.loseShot(eventId);
  }

  /** No more pictures: ends motion and events where the pictures ended. */
  async close(): Promise<void> {
    await this.#inFlight;
    const last = this.#last;
    if (!last) return;
    this.#setMoving(false, last);
    this.#publish(this.#tracker.interrupt(last.utcMs));
  }

  #momentOf(frame: PixelFrame, role: StreamRole): Moment {
    const arrivedUtcMs = this.#o.clock.utcMs();
    const connection = `${role} ${frame.generation}`;
    if (connection !== this.#connection) {
      this.#connection = connection;
      const gapMs = this.#last ? Math.max(1, frame.utcMs - this.#last.utcMs) : 0;
      this.#timeOffsetMs = this.#last ? this.#last.timeMs + gapMs - frame.mediaMs : 0;
    }
    this.#last = { timeMs: frame.mediaMs + this.#timeOffsetMs, utcMs: frame.utcMs, arrivedUtcMs };
    return this.#last;
  }

  #detectMotion(frame: PixelFrame, moment: Moment): MotionResult {
    if (!this.#motion || frame.width !== this.#picture.width || frame.height !== this.#picture.height) {
      this.#picture = { width: frame.width, height: frame.height };
      this.#motion = createMotionDetector(this.#o.camera.motion, this.#picture);
    }
    const startedMs = this.#o.clock.monotonicMs();
    const { width, height } = this.#motion.size;
    const motion = this.#motion.update(frame.luma(width, height), moment.timeMs);
    this.#o.meter.observe('spyoncino_motion_ms', this.#o.clock.monotonicMs() - startedMs);
    this.#motionScore = motion.moving ? Math.max(this.#motionScore, motion.score) : this.#motionScore;
    this.#setMoving(motion.moving, moment);
    return motion;
  }

  #setMoving(moving: boolean, moment: Moment): void {
    if (moving === this.#moving) return;
    this.#moving = moving;
    this.#o.emit({
      type: 'motion',
      phase: moving ? 'start' : 'end',
      cameraId: this.#o.camera.cameraId,
      utcMs: moment.utcMs,
      mediaMs: moment.timeMs,
      score: this.#motionScore,
    });
    if (!moving) this.#motionScore = 0;
  }

  #regionRequest({ timeMs }: Moment, motion: MotionResult, info: DetectorInfo): RegionRequest {
    const full = timeMs - this.#lastFullLookMs >= FULL_LOOK_EVERY_MS;
    if (full) this.#lastFullLookMs = timeMs;
    return {
      picture: this.#picture,
      modelInput: { width: info.inputWidth, height: info.inputHeight },
      motion: motion.boxes,
      tracks: this.#tracker.hints(timeMs),
      maxRegions: MAX_REGIONS,
      full,
    };
  }

  /** Crops from `frame`, where `regions` of it are wanted, or from a picture with more pixels. */
  async #cut(
    frame: PixelFrame,
    request: RegionRequest,
    regions: readonly PixelRect[],
    { utcMs }: Moment,
  ): Promise<Look> {
    const sharper = await this.#sharperThan(frame, detailWanted(request, regions), utcMs);
    const startedMs = this.#o.clock.monotonicMs();
    try {
      const { width, height } = sharper ?? frame;
      const { modelInput } = request;
      const picture = { width, height };
      const planned = sharper ? planRegions({ ...request, picture }) : regions;
      const crops = planned.map((region): Crop => {
        const rgb = (sharper ?? frame).crop(region, modelInput.width, modelInput.height);
        return { ...modelInput, rgb };
      });
      return { picture, modelInput, regions: planned, crops, startedMs };
    } finally {
      sharper?.release();
    }
  }

  async #sharperThan(
    { width }: PixelFrame,
    wanted: ReturnType<typeof detailWanted>,
    utcMs: number,
  ): Promise<PixelFrame | null> {
    const { sharper } = this.#o;
    if (wanted === 'none' || !sharper?.size || sharper.size.width < SHARPER_GAIN * width) return null;
    return await sharper.at(utcMs, wanted === 'urgent');
  }

  async #examine(look: Look, moment: Moment, motion: MotionResult): Promise<void> {
    const { clock, detector, lockstep, log, meter } = this.#o;
    let result: DetectResult | null;
    try {
      result = await detector.detect(look.crops);
    } catch (error) {
      if (lockstep) throw error;
      log.debug({ err: error }, 'a picture was not examined');
      meter.count('spyoncino_drops_total', { stage: 'detect', reason: 'failed' });
      return;
    }
    if (!result) return;
    const answeredMs = clock.monotonicMs();
    meter.observe(
      'spyoncino_detect_overhead_ms',
      Math.max(0, answeredMs - look.startedMs - result.queueMs - result.inferenceMs),
    );
    const facts = this.#tracker.update({
      mediaMs: moment.timeMs,
      utcMs: moment.utcMs,
      arrivedUtcMs: moment.arrivedUtcMs,
      picture: look.picture,
      modelInput: look.modelInput,
      regions: look.regions,
      detections: result.detections,
      motion: motion.boxes,
    });
    meter.observe('spyoncino_track_ms', clock.monotonicMs() - answeredMs);
    this.#publish(facts);
    for (const shot of this.#tracker.takeBest()) this.#o.onBest?.(shot);
  }

  #publish(facts: readonly EventFact[]): void {
    for (const fact of facts) {
      this.#o.meter.count('spyoncino_events_total', { phase: fact.phase, label: fact.event.label });
      this.#o.emit(fact);
    }
  }
}
