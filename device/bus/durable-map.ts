import type { StateStore } from '../contract/state-store.ts';
import type { Clock } from '../kernel/clock.ts';
import type { Log } from '../kernel/log.ts';

export interface DurableMapOptions {
  readonly name: string;
  /** null: it is a map in memory, nothing else. */
  readonly store: StateStore | null;
  /** What changed within this time is written together. It is also what a power cut may cost. */
  readonly gatherMs: number;
  readonly clock: Clock;
  readonly log: Log;
}

/** After a write that failed; the disk may be full or gone for a while. */
const RETRY_MS = 30_000;
/** Of one write; the event loop has other things to do. */
const MAX_CHARACTERS = 1 << 18;

/**
 * A map of JSON values whose entries outlive the process.
 *
 * Invariants: the map in memory is the truth, and bounded by its owner. Changes become durable in the order they
 * were made, some at a time; what comes and goes within `gatherMs` is never written. Where the store cannot be
 * used, the map works on in memory, and is written whole when it can again.
 */
export class DurableMap<V> implements AsyncDisposable {
  readonly #o: DurableMapOptions;
  readonly #entries = new Map<string, V>();
  /** Keys that the store has an entry of. */
  readonly #stored = new Set<string>();
  readonly #changed = new Set<string>();
  readonly #closing = new AbortController();
  /** What the store has of earlier is not known, and does not count. */
  #isForeign = false;
  #writing: Promise<void> | null = null;

  private constructor(options: DurableMapOptions) {
    this.#o = options;
  }

  static async open<V>(options: DurableMapOptions): Promise<DurableMap<V>> {
    const map = new DurableMap<V>(options);
    await map.#read();
    return map;
  }

  get(key: string): V | undefined {
    return this.#entries.get(key);
  }

  entries(): MapIterator<[string, V]> {
    return this.#entries.entries();
  }

  set(key: string, value: V): void {
    this.#entries.set(key, value);
    this.#change(key);
  }

  delete(key: string): void {
    if (this.#entries.delete(key)) this.#change(key);
  }

  /** Writes what has changed. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort();
    await this.#writing;
  }

  async #read(): Promise<void> {
    const { log, name, store } = this.#o;
    try {
      for (const [key, json] of (await store?.read(name)) ?? []) {
        this.#entries.set(key, JSON.parse(json) as V);
        this.#stored.add(key);
      }
    } catch (error) {
      this.#isForeign = true;
      log.warn({ err: error, name }, 'the bus cannot read what it kept, and begins with nothing');
    }
  }

  #change(key: string): void {
    if (!this.#o.store) return;
    this.#changed.add(key);
    this.#writing ??= this.#writeUntilDone(this.#o.store);
  }

  async #writeUntilDone(store: StateStore): Promise<void> {
    const { clock, gatherMs, log, name } = this.#o;
    const { signal } = this.#closing;
    while (this.#changed.size > 0) {
      await clock.sleep(gatherMs, signal).catch(() => {});
      try {
        for (let left = this.#changed.size; left > 0;) left -= await this.#writeSome(store);
      } catch (error) {
        log.warn({ err: error, name }, 'what the bus keeps could not be written');
        if (signal.aborted) break;
        await clock.sleep(RETRY_MS, signal).catch(() => {});
      }
    }
    this.#writing = null;
  }

  /** Takes the oldest changes, and says how many. */
  async #writeSome(store: StateStore): Promise<number> {
    const entries: [string, string | null][] = [];
    let [taken, characters] = [0, 0];
    for (const key of this.#changed) {
      this.#changed.delete(key);
      taken += 1;
      const value = this.#entries.get(key);
      if (value === undefined && !this.#stored.has(key)) continue;
      const json = value === undefined ? null : JSON.stringify(value);
      entries.push([key, json]);
      characters += json?.length ?? 0;
      if (characters > MAX_CHARACTERS) break;
    }
    if (entries.length === 0) return taken;
    try {
      await store.write({ name: this.#o.name, entries, isAll: this.#isForeign });
    } catch (error) {
      for (const [key] of entries) this.#changed.add(key);
      throw error;
    }
    this.#isForeign = false;
    for (const [key, json] of entries) {
      if (json === null) this.#stored.delete(key);
      else this.#stored.add(key);
    }
    return taken;
  }
}
