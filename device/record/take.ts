import type { Cursor } from './cut.ts';
import type { Gop } from './ring.ts';

/**
 * One stretch of footage for events that overlap: from the pre-roll of the first to the post-roll of the
 * last.
 */
export class Take {
  /** Where each event ended, post-roll included; null while it goes on. */
  readonly #events = new Map<string, number | null>();
  cursor: Cursor;
  /** Its end is being written: no event can join any more. */
  sealed = false;

  constructor(firstGop: number) {
    const start = { gop: firstGop, index: 0 };
    this.cursor = { video: start, audio: start };
  }

  open(eventId: string): void {
    this.#events.set(eventId, null);
  }

  /** Unknown events are not ours to close. */
  close(eventId: string, endUtcMs: number): void {
    if (this.#events.get(eventId) === null) this.#events.set(eventId, endUtcMs);
  }

  /** Null while an event goes on. */
  get endUtcMs(): number | null {
    let end = -Infinity;
    for (const ended of this.#events.values()) {
      if (ended === null) return null;
      end = Math.max(end, ended);
    }
    return end;
  }

  /** Lets go of events that ended before `startUtcMs`, where a clip of this take begins. */
  forgetBefore(startUtcMs: number): void {
    if (this.endUtcMs !== null) return;
    for (const [id, end] of this.#events) if (end !== null && end <= startUtcMs) this.#events.delete(id);
  }

  get eventIds(): readonly string[] {
    return [...this.#events.keys()];
  }

  /** Index of the first picture of `gop` that it has yet to write; Infinity when there is none. */
  neededFrom(gop: Gop): number {
    const { video } = this.cursor;
    const end = this.endUtcMs;
    if (gop.no < video.gop || (end !== null && gop.video[0]!.utcMs >= end)) return Infinity;
    return gop.no === video.gop ? video.index : 0;
  }
}
