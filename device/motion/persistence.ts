/** A frame this strong starts motion alone; a weaker one must be followed by another soon. */
const STRONG = 0.6;
const SECOND_WITHIN_MS = 1_000;
/** Motion ends after so long without any. */
const HOLD_MS = 1_500;

/** Turns per-frame strength into "motion goes on": one flickering frame starts nothing, a pause ends nothing. */
export class Persistence {
  #lastMotionMs = -Infinity;
  #moving = false;

  reset(): void {
    this.#lastMotionMs = -Infinity;
    this.#moving = false;
  }

  update(score: number, mediaMs: number): boolean {
    const sinceMs = mediaMs - this.#lastMotionMs;
    if (score > 0) {
      this.#moving ||= score >= STRONG || sinceMs <= SECOND_WITHIN_MS;
      this.#lastMotionMs = mediaMs;
    } else if (sinceMs >= HOLD_MS) {
      this.#moving = false;
    }
    return this.#moving;
  }
}
