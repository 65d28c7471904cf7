import type { RtpPacket } from './rtp.ts';

/** A packet, with its number unwrapped. */
export interface Numbered {
  readonly packet: RtpPacket;
  readonly sequence: number;
}

/** So many packets that came after a missing one are held back for it, and for so long. */
const MAX_HELD = 64;
const MAX_HELD_MS = 200;
/** A number further off than this is a new start of the source's counting. */
const MAX_AHEAD = 1000;

/** Puts packets of a datagram transport in order again. What comes too late, or twice, is dropped. */
export class Reorder {
  #next: number | null = null;
  readonly #held = new Map<number, { readonly item: Numbered; readonly sinceMs: number }>();

  /** Packets that are now in order; a gap between them is final. Held ones own their bytes. */
  push(item: Numbered, nowMs: number): Numbered[] {
    const { sequence } = item;
    if (this.#next === null || Math.abs(sequence - this.#next) > MAX_AHEAD) {
      this.#held.clear();
      this.#next = sequence;
    }
    if (sequence < this.#next || this.#held.has(sequence)) return [];
    if (sequence === this.#next) return this.#release(item);
    const payload = Buffer.from(item.packet.payload);
    this.#held.set(sequence, { item: { sequence, packet: { ...item.packet, payload } }, sinceMs: nowMs });
    let oldestMs = Infinity;
    for (const { sinceMs } of this.#held.values()) oldestMs = Math.min(oldestMs, sinceMs);
    if (this.#held.size < MAX_HELD && nowMs - oldestMs < MAX_HELD_MS) return [];
    this.#next = Math.min(...this.#held.keys());
    return this.#release(this.#take(this.#next)!);
  }

  #release(first: Numbered): Numbered[] {
    const ready = [first];
    this.#next = first.sequence + 1;
    for (let item; (item = this.#take(this.#next)); this.#next++) ready.push(item);
    return ready;
  }

  #take(sequence: number): Numbered | null {
    const held = this.#held.get(sequence);
    this.#held.delete(sequence);
    return held?.item ?? null;
  }
}
