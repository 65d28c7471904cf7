import type { Coverage } from '../../contract/facts.ts';

/** One picture, as coverage sees it. Times in ms; `startUtcMs` is when it is shown. */
export interface CoveredSample {
  readonly generation: number;
  readonly decodeUtcMs: number;
  readonly startUtcMs: number;
  /** As announced; what really passed until the next one tells. */
  readonly durationMs: number;
}

/** A jump beyond this many usual intervals is a gap. */
const GAP_FACTOR = 1.5;
/** The slowest stream that still counts as continuous: one picture a second. */
const SLOWEST_INTERVAL_MS = 1000;

/**
 * Stretches of footage without gaps. Pictures come in decode order, in which time only grows; with B-frames
 * the shown times do not. A camera may slow down in the dark without announcing it, so the usual interval is
 * the announced one or the last one seen, whichever is longer.
 */
export class CoverageTracker {
  #ranges: Coverage[] = [];
  #last: { generation: number; decodeUtcMs: number; usualMs: number } | null = null;

  add(sample: CoveredSample): void {
    const last = this.#last;
    const intervalMs = last ? sample.decodeUtcMs - last.decodeUtcMs : 0;
    const range = this.#ranges.at(-1);
    const isOnTime = intervalMs <= GAP_FACTOR * (last?.usualMs ?? 0);
    const endUtcMs = sample.startUtcMs + sample.durationMs;
    if (
      range &&
      last?.generation === sample.generation &&
      (isOnTime || sample.startUtcMs <= range.endUtcMs)
    ) {
      this.#ranges[this.#ranges.length - 1] = {
        startUtcMs: this.#afterPrevious(Math.min(range.startUtcMs, sample.startUtcMs), -2),
        endUtcMs: Math.max(range.endUtcMs, endUtcMs),
      };
    } else {
      const startUtcMs = this.#afterPrevious(sample.startUtcMs, -1);
      this.#ranges.push({ startUtcMs, endUtcMs: Math.max(startUtcMs, endUtcMs) });
    }
    this.#last = {
      generation: sample.generation,
      decodeUtcMs: sample.decodeUtcMs,
      usualMs: Math.max(sample.durationMs, Math.min(intervalMs, SLOWEST_INTERVAL_MS)),
    };
  }

  /** In whole milliseconds, oldest first. */
  get ranges(): readonly Coverage[] {
    return this.#ranges.map(({ startUtcMs, endUtcMs }) => ({
      startUtcMs: Math.round(startUtcMs),
      endUtcMs: Math.round(endUtcMs),
    }));
  }

  /** Announced durations may reach into a later generation; the truth is that it began. */
  #afterPrevious(startUtcMs: number, previous: number): number {
    return Math.max(startUtcMs, this.#ranges.at(previous)?.endUtcMs ?? -Infinity);
  }

  /** Stretches that ended before are of no interest any more. */
  forgetBefore(utcMs: number): void {
    this.#ranges = this.#ranges.filter(
      ({ endUtcMs }, i) => endUtcMs >= utcMs || i === this.#ranges.length - 1,
    );
  }

  fork(): CoverageTracker {
    const copy = new CoverageTracker();
    copy.#ranges = [...this.#ranges];
    copy.#last = this.#last;
    return copy;
  }
}
