import { CodedError } from '../contract/errors.ts';
import type { GapFact } from '../contract/facts.ts';
import type { MediaPacket } from '../contract/media.ts';
import type { Meter } from '../contract/metrics.ts';

interface LossesOptions {
  readonly cameraId: string;
  readonly meter: Meter;
  emit(fact: GapFact): void;
}

/** Footage that was wanted and had to be given up: counted at once, told as one gap per stretch. */
export class Losses {
  /** Whether the disk refuses to write, rather than being slow. */
  isDiskFailing = false;
  readonly #options: LossesOptions;
  #stretch: { startUtcMs: number; endUtcMs: number } | null = null;

  constructor(options: LossesOptions) {
    this.#options = options;
  }

  /** `packets` are of one stretch and of video; so is what was added since the last `tell`. */
  add(packets: readonly MediaPacket[], timescale: number): void {
    if (packets.length === 0) return;
    const reason = this.isDiskFailing ? 'disk_failed' : 'disk_slow';
    this.#options.meter.count('spyoncino_drops_total', { stage: 'record', reason }, packets.length);
    let { startUtcMs, endUtcMs } = this.#stretch ?? { startUtcMs: Infinity, endUtcMs: -Infinity };
    for (const { utcMs, duration } of packets) {
      startUtcMs = Math.min(startUtcMs, utcMs);
      endUtcMs = Math.max(endUtcMs, utcMs + (duration / timescale) * 1000);
    }
    this.#stretch = { startUtcMs, endUtcMs };
  }

  /** The stretch is over. */
  tell(): void {
    if (!this.#stretch) return;
    const { cameraId } = this.#options;
    const startUtcMs = Math.round(this.#stretch.startUtcMs);
    const endUtcMs = Math.round(this.#stretch.endUtcMs);
    this.#stretch = null;
    const reason = new CodedError(this.isDiskFailing ? 'DISK_WRITE_FAILED' : 'DISK_TOO_SLOW').report();
    this.#options.emit({ type: 'gap', cameraId, startUtcMs, endUtcMs, reason });
  }
}
