/** What an outbox needs of a websocket. */
export interface Wire {
  readonly bufferedAmount: number;
  send(data: Buffer, options: { binary: boolean }, done: (error?: Error) => void): void;
}

interface Waiting {
  readonly bytes: Buffer;
  /** Of the bus: given up when the client is too slow. */
  readonly isEvent: boolean;
}

/** Handed to the socket ahead of what it has sent; more would be out of reach when something must be given up. */
const AHEAD_BYTES = 64 * 1024;

/**
 * What waits for one client, bounded by bytes. What comes on top pushes out the oldest messages of the bus, which
 * the client is told with the next it takes. Sending never waits and never throws.
 */
export class Outbox {
  readonly #wire: Wire;
  readonly #maxBytes: number;
  readonly #nowMs: () => number;
  readonly #onDrop: () => void;
  #queue: Waiting[] = [];
  #bytes = 0;
  #dropped = 0;
  #inFlight = 0;
  #movedMs: number;

  constructor(
    wire: Wire,
    { maxBytes, nowMs, onDrop }: { maxBytes: number; nowMs: () => number; onDrop: () => void },
  ) {
    this.#wire = wire;
    this.#maxBytes = maxBytes;
    this.#nowMs = nowMs;
    this.#onDrop = onDrop;
    this.#movedMs = nowMs();
  }

  /** How long the client has taken nothing of what waits; 0 while nothing waits. */
  get stuckMs(): number {
    return this.#inFlight === 0 ? 0 : this.#nowMs() - this.#movedMs;
  }

  /** false when even answers to what the client asked find no place. */
  add(bytes: Buffer, isEvent: boolean): boolean {
    this.#queue.push({ bytes, isEvent });
    this.#bytes += bytes.length;
    this.#pump();
    while (this.#bytes > this.#maxBytes) {
      const oldest = this.#queue.findIndex((waiting) => waiting.isEvent);
      if (oldest === -1) return false;
      const [given] = this.#queue.splice(oldest, 1);
      this.#bytes -= given?.bytes.length ?? 0;
      this.#dropped++;
      this.#onDrop();
    }
    return true;
  }

  #pump(): void {
    while (this.#queue.length > 0 && this.#wire.bufferedAmount < AHEAD_BYTES) {
      if (this.#dropped > 0) {
        this.#send(Buffer.from(JSON.stringify({ type: 'dropped', count: this.#dropped })));
        this.#dropped = 0;
      }
      const { bytes } = this.#queue.shift()!;
      this.#bytes -= bytes.length;
      this.#send(bytes);
    }
  }

  #send(bytes: Buffer): void {
    if (this.#inFlight++ === 0) this.#movedMs = this.#nowMs();
    this.#wire.send(bytes, { binary: false }, () => {
      this.#inFlight--;
      this.#movedMs = this.#nowMs();
      this.#pump();
    });
  }
}
