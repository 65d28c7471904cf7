/** Packets of RTP (RFC 3550 §5.1). */

export interface RtpPacket {
  readonly payloadType: number;
  readonly marker: boolean;
  /** 16 bits. */
  readonly sequence: number;
  /** 32 bits, in ticks of the track. */
  readonly timestamp: number;
  readonly ssrc: number;
  readonly payload: Buffer;
}

/** Shares the memory of `bytes`. null: no RTP. */
export function parseRtp(bytes: Buffer): RtpPacket | null {
  if (bytes.length < 12 || bytes[0]! >> 6 !== 2) return null;
  let start = 12 + 4 * (bytes[0]! & 0x0f);
  if ((bytes[0]! & 0x10) !== 0) {
    if (start + 4 > bytes.length) return null;
    start += 4 + 4 * bytes.readUInt16BE(start + 2);
  }
  const padding = (bytes[0]! & 0x20) !== 0 ? bytes[bytes.length - 1]! : 0;
  const end = bytes.length - padding;
  if (start > end) return null;
  return {
    payloadType: bytes[1]! & 0x7f,
    marker: (bytes[1]! & 0x80) !== 0,
    sequence: bytes.readUInt16BE(2),
    timestamp: bytes.readUInt32BE(4),
    ssrc: bytes.readUInt32BE(8),
    payload: bytes.subarray(start, end),
  };
}

/** Makes a counter of `bits` that wraps one that does not: each value is taken to be near the one before. */
export class Unwrapper {
  readonly #size: number;
  #last: number | null = null;

  constructor(bits: 16 | 32) {
    this.#size = 2 ** bits;
  }

  unwrap(value: number): number {
    return (this.#last = this.near(value));
  }

  /** As `unwrap`, but it is not remembered. */
  near(value: number): number {
    if (this.#last === null) return value;
    const size = this.#size;
    const ahead = (((value - this.#last) % size) + size) % size;
    return this.#last + (ahead < size / 2 ? ahead : ahead - size);
  }
}
