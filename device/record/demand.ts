/** Who wants footage, and until when: events, by their ids, and whatever else keeps the recorder going. */
export class Demand {
  /** Where each ended, post-roll included; null while it goes on. */
  readonly #ends = new Map<string, number | null>();

  open(id: string): void {
    this.#ends.set(id, null);
  }

  /** Unknown ids are not ours to close. */
  close(id: string, endUtcMs: number): void {
    if (this.#ends.get(id) === null) this.#ends.set(id, endUtcMs);
  }

  closeAll(endUtcMs: number): void {
    for (const id of this.#ends.keys()) this.close(id, endUtcMs);
  }

  /** Null while anything goes on. */
  get endUtcMs(): number | null {
    let end = -Infinity;
    for (const ended of this.#ends.values()) {
      if (ended === null) return null;
      end = Math.max(end, ended);
    }
    return end;
  }

  /** Lets go of those that ended before `startUtcMs`, where a file or a clip begins, but never of all. */
  forgetBefore(startUtcMs: number): readonly string[] {
    if ((this.endUtcMs ?? Infinity) <= startUtcMs) return [];
    const over = this.ids.filter((id) => (this.#ends.get(id) ?? Infinity) <= startUtcMs);
    for (const id of over) this.#ends.delete(id);
    return over;
  }

  get ids(): readonly string[] {
    return [...this.#ends.keys()];
  }
}
