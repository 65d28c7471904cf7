import type { Clock } from '../kernel/clock.ts';

/** One write; small, so that the pace is even and a connection that is slow is not taken for a dead one. */
const CHUNK_BYTES = 16_384;

/** Bandwidth that all uploads share. */
export class Pace {
  readonly #bytesPerSecond: number;
  readonly #clock: Clock;
  /** When what was allowed so far is through. */
  #freeAtMs = 0;

  constructor(bytesPerSecond: number, clock: Clock) {
    this.#bytesPerSecond = bytesPerSecond;
    this.#clock = clock;
  }

  /** `bytes` piece by piece, each when it is its turn. */
  async *chunks(bytes: Buffer, signal: AbortSignal): AsyncGenerator<Buffer> {
    for (let at = 0; at < bytes.byteLength; at += CHUNK_BYTES) {
      const chunk = bytes.subarray(at, at + CHUNK_BYTES);
      await this.#turn(chunk.byteLength, signal);
      yield chunk;
    }
  }

  async #turn(sizeBytes: number, signal: AbortSignal): Promise<void> {
    const now = this.#clock.monotonicMs();
    const startMs = Math.max(now, this.#freeAtMs);
    this.#freeAtMs = startMs + (sizeBytes / this.#bytesPerSecond) * 1000;
    if (startMs > now) await this.#clock.sleep(startMs - now, signal);
  }
}
