import type { Packet } from 'node-av/lib';
import type { Clock } from '../kernel/clock.ts';

/** Older than this and pictures are only decoded, which is the smaller part of the work. */
const LATE_MS = 300;
/** Older than this, or more than this, and all that waits is given up to the next key frame. */
const MAX_WAIT_MS = 2000;
const MAX_BYTES = 16_000_000;
/** Work that takes this long hangs: then even sound, which is small and quick, is not kept for it. */
const HANGING_MS = 10_000;
/** Losses that go on for longer than this are not a hiccup. */
const HICCUP_MS = 3000;
/** So long after the last loss all is well again. */
const CALM_MS = 30_000;

export interface BacklogOptions {
  readonly clock: Clock;
  /** Packets in order, one at a time; `arrivedUtcMs`: when it was pushed. After a rejection there is no more work. */
  work(packet: Packet, track: Track, arrivedUtcMs: number): Promise<void>;
  onFailure(error: unknown): void;
  /** `pictures` were given up. */
  onLoss(pictures: number): void;
  /** Whether pictures are lost again and again, each time this changes. */
  onStrain(strained: boolean): void;
}

type Track = 'video' | 'audio';

interface Waiting {
  readonly packet: Packet;
  readonly track: Track;
  readonly sinceMs: number;
  readonly arrivedUtcMs: number;
}

/**
 * Packets between a camera, which does not wait, and work that may be slower than the camera. The newest
 * footage counts: what is too late is given up, so neither memory nor delay grows.
 */
export class Backlog {
  readonly #o: BacklogOptions;
  #waiting: Waiting[] = [];
  #bytes = 0;
  #working: Promise<void> | null = null;
  #failed = false;
  /** After a loss nothing can be decoded before the next key frame. */
  #skipping = false;
  #losses: { readonly sinceMs: number; lastMs: number } | null = null;
  #strained = false;

  constructor(options: BacklogOptions) {
    this.#o = options;
  }

  /** `packet` stays the caller's. */
  push(packet: Packet, track: Track): void {
    if (this.#failed) return;
    const nowMs = this.#o.clock.monotonicMs();
    this.#calmDown(nowMs);
    if (track === 'video') {
      if (this.#waitedMs(nowMs) > MAX_WAIT_MS || this.#bytes > MAX_BYTES) this.#giveUp();
      if (packet.isKeyframe) this.#skipping = false;
      if (this.#skipping) {
        this.lose(1);
        return;
      }
    } else if (nowMs - (this.#waiting[0]?.sinceMs ?? nowMs) > HANGING_MS) return;
    const kept = packet.clone();
    if (!kept) throw new Error('no memory for a packet');
    this.#waiting.push({ packet: kept, track, sinceMs: nowMs, arrivedUtcMs: this.#o.clock.utcMs() });
    this.#bytes += kept.size;
    this.#working ??= this.#work();
  }

  /** Whether the work is behind: then a decoded picture is better left alone. */
  get late(): boolean {
    return this.#waitedMs(this.#o.clock.monotonicMs()) > LATE_MS;
  }

  lose(pictures: number): void {
    this.#o.onLoss(pictures);
    const nowMs = this.#o.clock.monotonicMs();
    this.#losses ??= { sinceMs: nowMs, lastMs: nowMs };
    this.#losses.lastMs = nowMs;
    if (nowMs - this.#losses.sinceMs > HICCUP_MS) this.#setStrained(true);
  }

  /** What waits is worked off, then `last`; resolves when nothing runs any more. */
  async finish(last: () => Promise<void>): Promise<void> {
    await this.#working;
    if (!this.#failed) await this.#attempt(last);
    this.#failed = true;
  }

  #waitedMs(nowMs: number): number {
    const oldest = this.#waiting.find(({ track }) => track === 'video');
    return oldest ? nowMs - oldest.sinceMs : 0;
  }

  /** Sound is not video's fault: it stays. */
  #giveUp(): void {
    const lost = this.#waiting.filter(({ track }) => track === 'video');
    this.#waiting = this.#waiting.filter(({ track }) => track === 'audio');
    for (const { packet } of lost) this.#release(packet);
    this.#skipping = true;
    this.lose(lost.length);
  }

  #calmDown(nowMs: number): void {
    if (!this.#losses || nowMs - this.#losses.lastMs < CALM_MS) return;
    this.#losses = null;
    this.#setStrained(false);
  }

  #setStrained(strained: boolean): void {
    if (strained === this.#strained) return;
    this.#strained = strained;
    this.#o.onStrain(strained);
  }

  async #work(): Promise<void> {
    for (let next; (next = this.#waiting.shift());) {
      const { packet, track, arrivedUtcMs } = next;
      if (!this.#failed) await this.#attempt(() => this.#o.work(packet, track, arrivedUtcMs));
      this.#release(packet);
    }
    this.#working = null;
  }

  async #attempt(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.#failed = true;
      this.#o.onFailure(error);
    }
  }

  #release(packet: Packet): void {
    this.#bytes -= packet.size;
    packet.free();
  }
}
