import type { Findings } from './examine.ts';

/** What device/design/design.md promises (§6.1). */
export const LOST_AT_MOST_MS = 1000;
/** A machine that is busy elsewhere writes late, and a few rounds lose more then; but none so much. */
const GROSS_LOSS_MS = 3000;
const STEPS_MS = [0, 250, 500, 750, 900, 1000, Infinity];

/** What many rounds found, for people. */
export class Summary {
  #rounds = 0;
  #recovered = 0;
  readonly #lostMs: number[] = [];
  /** Whatever was not as promised. */
  readonly broken: string[] = [];

  add({ lostMs, broken, recovered }: Findings, name: string): void {
    this.#rounds++;
    this.#recovered += recovered;
    this.#lostMs.push(...lostMs);
    const tooMuch = lostMs.filter((ms) => ms > GROSS_LOSS_MS).map((ms) => `${Math.round(ms)} ms are lost`);
    this.broken.push(...[...broken, ...tooMuch].map((what) => `${name}: ${what}`));
  }

  get rounds(): number {
    return this.#rounds;
  }

  /** The part of all cameras and rounds that lost no more than promised. */
  get keptPromise(): number {
    return this.#lostMs.filter((ms) => ms <= LOST_AT_MOST_MS).length / Math.max(1, this.#lostMs.length);
  }

  get worstMs(): number {
    return Math.max(0, ...this.#lostMs);
  }

  get recovered(): number {
    return this.#recovered;
  }

  toString(): string {
    const counts = STEPS_MS.map((upTo, i) => {
      const count = this.#lostMs.filter((ms) => ms <= upTo && ms > (STEPS_MS[i - 1] ?? -1)).length;
      return `${upTo === Infinity ? 'more' : `≤ ${upTo} ms`}: ${count}`;
    });
    return [
      `${this.#rounds} rounds, ${this.#recovered} files completed after their writer had died`,
      `footage lost, per camera and round: ${counts.join(', ')}; worst ${Math.round(this.worstMs)} ms`,
      ...this.broken,
    ].join('\n');
  }
}
