/** Where MQTT packets end (3.1.1 §2.2), found from their fixed headers alone, before anything is parsed. */
export class PacketBorders {
  #state: 'type' | 'length' | 'body' = 'type';
  #length = 0;
  #shift = 0;
  /** Bytes of the present packet that are still to come. */
  #left = 0;

  get isBetweenPackets(): boolean {
    return this.#state === 'type';
  }

  /**
   * Goes on from `at` to the end of the present packet, or of `chunk` where the packet is longer, and returns
   * where that is. Throws PacketRefused as soon as a header says that a packet is longer than `maxBytes`.
   */
  advance(chunk: Uint8Array, at: number, maxBytes: number): number {
    for (let next = at; next < chunk.length;) {
      switch (this.#state) {
        case 'type':
          [this.#state, this.#length, this.#shift] = ['length', 0, 0];
          next += 1;
          break;
        case 'length': {
          const byte = chunk[next++] ?? 0;
          this.#length += (byte & 0x7f) * 2 ** this.#shift;
          this.#shift += 7;
          if (this.#length > maxBytes || this.#shift > 28) throw new PacketRefused(maxBytes);
          if (byte < 0x80) {
            [this.#state, this.#left] = ['body', this.#length];
            if (this.#end()) return next;
          }
          break;
        }
        case 'body': {
          const taken = Math.min(this.#left, chunk.length - next);
          this.#left -= taken;
          next += taken;
          if (this.#end()) return next;
        }
      }
    }
    return chunk.length;
  }

  #end(): boolean {
    if (this.#left > 0) return false;
    this.#state = 'type';
    return true;
  }
}

export class PacketRefused extends Error {
  override readonly name = 'PacketRefused';

  constructor(maxBytes: number) {
    super(`a packet is longer than ${maxBytes} bytes, or is none`);
  }
}
