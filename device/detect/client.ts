import { connect, type Socket } from 'node:net';
import type { Crop, DetectorInfo, DetectPort, DetectResult } from '../contract/detect.ts';
import { CodedError } from '../contract/errors.ts';
import type { Meter } from '../contract/metrics.ts';
import { backoff } from '../kernel/backoff.ts';
import type { Clock } from '../kernel/clock.ts';
import type { Log } from '../kernel/log.ts';
import { encodeHead, FrameReader } from './frames.ts';
import { MAX_ANSWER_HEADER_BYTES, MAX_CROPS, type ServerMessage } from './protocol.ts';

/** One that is worked on, one that waits, one that takes the latter's place. */
const MAX_UNANSWERED = 3;

export interface DetectClientOptions {
  readonly socket: string;
  readonly cameraId: string;
  readonly meter: Meter;
  readonly log: Log;
  readonly clock: Clock;
  /** Each change of `info`. */
  readonly onInfo?: (info: DetectorInfo | null) => void;
}

interface Request {
  readonly crops: readonly Crop[];
  readonly answer: PromiseWithResolvers<DetectResult | null>;
}

/** The detector as a camera host sees it: connects for ever, and says nothing while there is no detector. */
export class DetectClient implements DetectPort, AsyncDisposable {
  readonly #o: DetectClientOptions;
  readonly #stopping = new AbortController();
  #running: Promise<void> = Promise.resolve();
  #info: DetectorInfo | null = null;
  #informed = Promise.withResolvers<DetectorInfo>();
  #socket: Socket | null = null;
  readonly #sent = new Map<number, Request>();
  /** The newest request, while the link is full. */
  #held: Request | null = null;
  #lastId = 0;

  private constructor(options: DetectClientOptions) {
    this.#o = options;
  }

  /** Tries at once, and again at most 250 ms after each failure, until disposed of. */
  static connect(options: DetectClientOptions): DetectClient {
    const client = new DetectClient(options);
    client.#running = client.#run();
    return client;
  }

  get info(): DetectorInfo | null {
    return this.#info;
  }

  /** Resolves when there is a detector, at once if there is one. Rejects when aborted or disposed. */
  async ready(signal?: AbortSignal): Promise<DetectorInfo> {
    const stopped = AbortSignal.any([this.#stopping.signal, ...(signal ? [signal] : [])]);
    stopped.throwIfAborted();
    const aborted = Promise.withResolvers<never>();
    const abort = (): void => aborted.reject(stopped.reason);
    stopped.addEventListener('abort', abort, { once: true });
    try {
      return await Promise.race([this.#informed.promise, aborted.promise]);
    } finally {
      stopped.removeEventListener('abort', abort);
    }
  }

  /** The pixels are borrowed until the promise settles: they must not change meanwhile. */
  detect(crops: readonly Crop[]): Promise<DetectResult | null> {
    const problem = this.#problemWith(crops);
    if (problem) return Promise.reject(new CodedError('DETECTOR_FAILED', problem));
    const request: Request = { crops, answer: Promise.withResolvers() };
    if (this.#held) {
      this.#o.meter.count('spyoncino_drops_total', { stage: 'detect', reason: 'superseded' });
      this.#held.answer.resolve(null);
    }
    this.#held = request;
    this.#flush();
    return request.answer.promise;
  }

  /** Idempotent. Pending requests reject. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#stopping.signal.aborted)
      this.#stopping.abort(new CodedError('DETECTOR_FAILED', 'the link to the detector is closed'));
    await this.#running;
  }

  #problemWith(crops: readonly Crop[]): string | null {
    if (!this.#info) return 'there is no detector';
    if (crops.length > MAX_CROPS) return `${crops.length} crops, at most ${MAX_CROPS} fit into a request`;
    const { inputWidth, inputHeight } = this.#info;
    const fits = crops.every(
      ({ width, height, rgb }) =>
        width === inputWidth && height === inputHeight && rgb.byteLength === width * height * 3,
    );
    return fits ? null : `crops are not ${inputWidth}×${inputHeight}, as the model takes them`;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      for (const delayMs of backoff({ firstMs: 50, maxMs: 250 })) {
        const connected = await this.#runOnce();
        await this.#o.clock.sleep(delayMs, signal).catch(() => {});
        if (connected || signal.aborted) break;
      }
    }
  }

  /** One connection, from its beginning to its end; true when there was a detector at the other side. */
  async #runOnce(): Promise<boolean> {
    const { socket: path, cameraId, log } = this.#o;
    const socket = connect(path);
    const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
    const stop = (): void => void socket.destroy();
    this.#stopping.signal.addEventListener('abort', stop, { once: true });
    if (this.#stopping.signal.aborted) stop();
    const reader = new FrameReader({ headerBytes: MAX_ANSWER_HEADER_BYTES, parts: 0, partBytes: () => null });
    let served = false;
    this.#socket = socket;
    socket.on('error', (error) => log.debug({ err: error }, 'link to the detector failed'));
    socket.on('drain', () => this.#flush());
    socket.on('data', (chunk) => {
      try {
        for (const { header } of reader.push(chunk)) this.#receive(header as unknown as ServerMessage);
        served ||= this.#info !== null;
      } catch (error) {
        socket.destroy(error as Error);
      }
    });
    socket.write(encodeHead({ type: 'hello', cameraId }));
    await closed;
    this.#stopping.signal.removeEventListener('abort', stop);
    this.#disconnected();
    return served;
  }

  #receive(message: ServerMessage): void {
    if (message.type === 'info') {
      this.#setInfo(message.info);
      return;
    }
    const request = this.#sent.get(message.id);
    this.#sent.delete(message.id);
    if (message.type === 'result') request?.answer.resolve(message.result);
    else request?.answer.reject(CodedError.of(message.reason));
    this.#flush();
  }

  #flush(): void {
    const request = this.#held;
    const socket = this.#socket;
    if (!request || !socket || socket.writableNeedDrain || this.#sent.size >= MAX_UNANSWERED) return;
    this.#held = null;
    const id = ++this.#lastId;
    this.#sent.set(id, request);
    const parts = request.crops.map(({ rgb }) => rgb);
    socket.cork();
    socket.write(encodeHead({ type: 'detect', id }, parts));
    for (const part of parts) socket.write(part);
    socket.uncork();
  }

  #disconnected(): void {
    this.#socket = null;
    const lost = [...this.#sent.values(), ...(this.#held ? [this.#held] : [])];
    this.#sent.clear();
    this.#held = null;
    this.#setInfo(null);
    for (const { answer } of lost)
      answer.reject(new CodedError('DETECTOR_FAILED', 'the link to the detector broke'));
  }

  #setInfo(info: DetectorInfo | null): void {
    if (info === this.#info) return;
    this.#info = info;
    if (info) this.#informed.resolve(info);
    else this.#informed = Promise.withResolvers();
    this.#o.onInfo?.(info);
  }
}

export const connectDetector = (options: DetectClientOptions): DetectClient => DetectClient.connect(options);
