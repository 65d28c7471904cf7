import { CodedError } from '../contract/errors.ts';
import type { GapFact } from '../contract/facts.ts';
import type { MediaPacket } from '../contract/media.ts';
import type { Meter } from '../contract/metrics.ts';

interface LossesOptions {
  readonly cameraId: string;
  readonly meter: Meter;
  emit(fact: GapFact): void;
}

interface Stretch {
  readonly startUtcMs: number;
  readonly endUtcMs: number;
  readonly reason: CodedError;
}

/** A gap that goes on is told in pieces of this length, so that people hear of it while it lasts. */
const MAX_STRETCH_MS = 10_000;
/** Losses further apart than this many pictures are two. */
const APART_FACTOR = 1.5;

/** Footage that was wanted and had to be given up: counted at once, told as one gap per stretch and reason. */
export class Losses {
  /** Why the disk refuses what is written; null while it takes it, however slowly. */
  refusal: CodedError | null = null;
  readonly #options: LossesOptions;
  #stretch: Stretch | null = null;

  constructor(options: LossesOptions) {
    this.#options = options;
  }

  /** `packets` are of one stretch, and of video. */
  add(packets: readonly MediaPacket[], timescale: number): void {
    const [first] = packets;
    if (!first) return;
    const isRefused = this.refusal !== null;
    const dropped = { stage: 'record', reason: isRefused ? 'disk_failed' : 'disk_slow' };
    this.#options.meter.count('spyoncino_drops_total', dropped, packets.length);
    const durationMs = (first.duration / timescale) * 1000;
    let [startUtcMs, endUtcMs] = [Infinity, -Infinity];
    for (const { utcMs, duration } of packets) {
      startUtcMs = Math.min(startUtcMs, utcMs);
      endUtcMs = Math.max(endUtcMs, utcMs + (duration / timescale) * 1000);
    }
    this.#extend(
      { startUtcMs, endUtcMs, reason: this.refusal ?? new CodedError('DISK_TOO_SLOW') },
      APART_FACTOR * durationMs,
    );
  }

  /** The stretch is over. */
  tell(): void {
    if (!this.#stretch) return;
    const { cameraId, meter } = this.#options;
    const { reason } = this.#stretch;
    const startUtcMs = Math.round(this.#stretch.startUtcMs);
    const endUtcMs = Math.round(this.#stretch.endUtcMs);
    this.#stretch = null;
    meter.count('spyoncino_gap_seconds_total', { reason: reason.code }, (endUtcMs - startUtcMs) / 1000);
    this.#options.emit({ type: 'gap', cameraId, startUtcMs, endUtcMs, reason: reason.report() });
  }

  #extend(lost: Stretch, toleranceMs: number): void {
    const known = this.#stretch;
    const isOne =
      known !== null &&
      known.reason.code === lost.reason.code &&
      lost.startUtcMs - known.endUtcMs <= toleranceMs &&
      known.startUtcMs - lost.endUtcMs <= toleranceMs;
    if (!isOne) this.tell();
    this.#stretch = isOne
      ? {
          startUtcMs: Math.min(known.startUtcMs, lost.startUtcMs),
          endUtcMs: Math.max(known.endUtcMs, lost.endUtcMs),
          reason: known.reason,
        }
      : lost;
    if (this.#stretch.endUtcMs - this.#stretch.startUtcMs >= MAX_STRETCH_MS) this.tell();
  }
}
