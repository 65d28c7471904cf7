import type { DetectResult, Detection } from '../contract/detect.ts';
import type { CropResult } from './model-worker.ts';
import type { Job } from './schedule.ts';

interface Interval {
  readonly fromMs: number;
  readonly toMs: number;
}

/** One request of one camera on its way through the workers. Answered exactly once; later answers are ignored. */
export class DetectJob implements Job {
  readonly lane: string;
  readonly crops: readonly Uint8Array<ArrayBuffer>[];
  readonly #promise = Promise.withResolvers<DetectResult | null>();
  readonly #arrivedMs: number;
  readonly #detections: (readonly Detection[])[] = [];
  readonly #worked: Interval[] = [];
  readonly #inferred: Interval[] = [];

  constructor(lane: string, crops: readonly Uint8Array<ArrayBuffer>[], nowMs: number) {
    this.lane = lane;
    this.crops = crops;
    this.#arrivedMs = nowMs;
  }

  get units(): number {
    return this.crops.length;
  }

  get answer(): Promise<DetectResult | null> {
    return this.#promise.promise;
  }

  /** Takes in one crop's result, worked on from `fromMs` to `nowMs`; answers with the whole when it was the last. */
  put(unit: number, { detections, runMs }: CropResult, fromMs: number, nowMs: number): DetectResult | null {
    this.#detections[unit] = detections;
    this.#worked.push({ fromMs, toMs: nowMs });
    this.#inferred.push({ fromMs: Math.max(fromMs, nowMs - runMs), toMs: nowMs });
    if (this.#worked.length < this.units) return null;
    const result: DetectResult = {
      detections: this.#detections,
      inferenceMs: coveredMs(this.#inferred),
      queueMs: Math.max(0, nowMs - this.#arrivedMs - coveredMs(this.#worked)),
    };
    this.#promise.resolve(result);
    return result;
  }

  supersede(): void {
    this.#promise.resolve(null);
  }

  fail(error: Error): void {
    this.#promise.reject(error);
  }
}

/** Length of the union: crops of one request are worked on side by side. */
export function coveredMs(intervals: readonly Interval[]): number {
  let total = 0;
  let end = -Infinity;
  for (const { fromMs, toMs } of intervals.toSorted((a, b) => a.fromMs - b.fromMs)) {
    total += Math.max(0, toMs - Math.max(fromMs, end));
    end = Math.max(end, toMs);
  }
  return total;
}
