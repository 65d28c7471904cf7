/**
 * Picks at most `fps` pictures per second of media time: the first at or after each slot of 1/fps seconds.
 * It knows no clock, so the same footage always gives the same pictures.
 */
export class Sampler {
  readonly #fps: number;
  #lastSlot = -1;

  constructor(fps: number) {
    this.#fps = fps;
  }

  take(mediaMs: number): boolean {
    // 1/1000 of a slot forgives the rounding of timestamps to ticks.
    const slot = Math.floor((mediaMs * this.#fps) / 1000 + 0.001);
    if (slot <= this.#lastSlot) return false;
    this.#lastSlot = slot;
    return true;
  }
}
