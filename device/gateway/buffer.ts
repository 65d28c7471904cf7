/** A message of the bus, as it goes to every client. */
export interface Entry {
  /** Counts up by one, from 1 at each start. */
  readonly no: number;
  readonly topic: string;
  /** `{"topic":…,"payload":…}` */
  readonly bytes: Buffer;
}

/** The newest messages, bounded by number and bytes, for who comes later. */
export class ReplayBuffer {
  readonly #maxCount: number;
  readonly #maxBytes: number;
  #entries: Entry[] = [];
  #bytes = 0;
  #last = 0;

  constructor(maxCount: number, maxBytes: number) {
    this.#maxCount = maxCount;
    this.#maxBytes = maxBytes;
  }

  get size(): number {
    return this.#entries.length;
  }

  get lastNo(): number {
    return this.#last;
  }

  add(topic: string, bytes: Buffer): void {
    this.#entries.push({ no: ++this.#last, topic, bytes });
    this.#bytes += bytes.length;
    while (this.#entries.length > this.#maxCount || this.#bytes > this.#maxBytes) {
      this.#bytes -= this.#entries.shift()?.bytes.length ?? 0;
    }
  }

  /** The last `count` of those after `afterNo` that fit, oldest first. */
  last(count: number, fits: (topic: string) => boolean, afterNo = 0): readonly Entry[] {
    if (count <= 0) return [];
    return this.#entries.filter(({ no, topic }) => no > afterNo && fits(topic)).slice(-count);
  }
}
