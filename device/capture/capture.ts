import { backoff } from '../kernel/backoff.ts';
import type { CameraFact, CameraPhase } from '../contract/facts.ts';
import { CodedError, type ErrorReport } from '../contract/errors.ts';
import type { StreamInfo, StreamRole } from '../contract/media.ts';
import { Connection } from './connection.ts';
import { routeFfmpegLog } from './ffmpeg-log.ts';
import type { CaptureOptions } from './sink.ts';
import { sourcesOf, type Source } from './sources.ts';
import { WallAnchor } from './wall-anchor.ts';

const FIRST_RETRY_MS = 500;
const MAX_RETRY_MS = 30_000;

/**
 * Serves all streams of a camera until `signal` aborts; a file that does not loop also ends by itself.
 * A live source never throws: it reports why it is down and tries again. An unpaced file, which somebody waits
 * for, throws CodedError instead.
 */
export async function runCapture(options: CaptureOptions, signal: AbortSignal): Promise<void> {
  using _routing = routeFfmpegLog(options.log, options.clock);
  const sources = sourcesOf(options.source);
  const outlook = new Outlook(sources);
  const runners = sources.map((source) => new SourceRunner(options, source, outlook));
  outlook.onChange = () => runners.forEach((runner) => runner.sayAgain());
  await Promise.all(runners.map((runner) => runner.run(signal)));
}

/** Which stream's pictures are analysed: those of the sub stream where there is one, of main while it is down. */
class Outlook {
  #analysed: StreamRole;
  onChange = (): void => {};

  constructor(sources: readonly Source[]) {
    this.#analysed = sources.some(({ role }) => role === 'sub') ? 'sub' : 'main';
  }

  get analysed(): StreamRole {
    return this.#analysed;
  }

  /** While the sub stream connects, what was analysed before goes on. */
  note(role: StreamRole, phase: CameraPhase): void {
    if (role !== 'sub' || (phase !== 'running' && phase !== 'down')) return;
    const analysed = phase === 'running' ? 'sub' : 'main';
    if (analysed === this.#analysed) return;
    this.#analysed = analysed;
    this.onChange();
  }
}

/** One stream of a camera: connects, and connects again. */
class SourceRunner {
  readonly #o: CaptureOptions;
  readonly #source: Source;
  readonly #outlook: Outlook;
  #generation = 0;
  #anchor: WallAnchor | null = null;
  #stream: StreamInfo | null = null;
  #said: CameraFact | null = null;

  constructor(options: CaptureOptions, source: Source, outlook: Outlook) {
    this.#o = options;
    this.#source = source;
    this.#outlook = outlook;
  }

  /** The state is the same, but whether this stream is analysed has changed. */
  sayAgain(): void {
    if (!this.#said || this.#said.analysed === this.#isAnalysed) return;
    this.#said = { ...this.#said, analysed: this.#isAnalysed };
    this.#o.sink.state(this.#said);
  }

  get #isAnalysed(): boolean {
    return this.#outlook.analysed === this.#source.role;
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, log, meter, random } = this.#o;
    const { role, kind, loop } = this.#source;
    const retries = () =>
      backoff({ firstMs: FIRST_RETRY_MS, maxMs: MAX_RETRY_MS, ...(random ? { random } : {}) });
    let delays = retries();
    while (!signal.aborted) {
      this.#say('connecting');
      const fault = await this.#connect(signal);
      if (signal.aborted) break;
      if (kind === 'file' && !loop && (fault === null || fault.code === 'CAMERA_ENDED')) break;
      const reason = fault ?? new CodedError('CAMERA_ENDED');
      if (kind === 'file' && !this.#source.paced) throw reason;
      // A connection that gave pictures ends the outage before it: the next one has its own patience.
      if (this.#stream) delays = retries();
      const retryInMs = Math.round(delays.next().value);
      meter.set('spyoncino_camera_up', 0, { role });
      meter.count('spyoncino_reconnects_total', { role, code: reason.code });
      log.warn({ role, code: reason.code, retryInMs }, reason.message);
      this.#say('down', reason.report(), retryInMs);
      await clock.sleep(retryInMs, signal).catch(() => {});
    }
    meter.set('spyoncino_camera_up', 0, { role });
    this.#say('stopped');
  }

  /** null: the source came to its end by itself. */
  async #connect(signal: AbortSignal): Promise<CodedError | null> {
    this.#stream = null;
    const { log } = this.#o;
    const { role } = this.#source;
    const connection = new Connection({
      ...this.#o,
      source: this.#source,
      isAnalysed: () => this.#isAnalysed,
      nextGeneration: () => {
        this.#anchor = new WallAnchor({ slews: this.#source.live, after: this.#anchor });
        return { number: ++this.#generation, anchor: this.#anchor };
      },
      onStream: (info) => {
        this.#stream = info;
        this.#o.meter.set('spyoncino_camera_up', 1, { role: info.role });
        this.#say('running');
      },
      onStrain: (reason) => {
        if (reason) log.warn({ role, code: reason.code }, reason.message);
        this.#say('running', reason?.report());
      },
    });
    return await connection.run(signal);
  }

  #say(phase: CameraPhase, reason: ErrorReport | null = null, retryInMs: number | null = null): void {
    const video = phase === 'running' ? this.#stream?.video : undefined;
    this.#outlook.note(this.#source.role, phase);
    this.#said = {
      type: 'camera',
      cameraId: this.#o.cameraId,
      phase,
      role: this.#source.role,
      analysed: this.#isAnalysed,
      generation: this.#generation,
      sinceUtcMs: this.#o.clock.utcMs(),
      reason,
      retryInMs,
      stream: video
        ? {
            role: this.#source.role,
            codec: video.codec,
            width: video.width,
            height: video.height,
            fps: video.fps ?? null,
            audio: this.#stream?.audio?.codec ?? null,
            encoder: this.#stream?.encoder ?? null,
          }
        : null,
    };
    this.#o.sink.state(this.#said);
  }
}
