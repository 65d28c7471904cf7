/** Sound out of packets of RTP: AAC (RFC 3640, AAC-hbr), Opus (RFC 7587), G.711 (RFC 3551). */

/** What a player plays at once. */
export interface SoundPiece {
  readonly data: Buffer;
  readonly timestamp: number;
  /** Ticks. */
  readonly duration: number;
}

/** Pieces own their bytes; `payload` stays the caller's. */
export type SoundReader = (payload: Buffer, timestamp: number, marker: boolean, gap: boolean) => SoundPiece[];

const MAX_AAC_BYTES = 8192;

/** Sizes in bits, as `a=fmtp` gives them. */
export interface AacFormat {
  readonly sizeLength: number;
  readonly indexLength: number;
  readonly indexDeltaLength: number;
  /** Ticks of one frame. */
  readonly frameTicks: number;
}

export function aacReader({ sizeLength, indexLength, indexDeltaLength, frameTicks }: AacFormat): SoundReader {
  /** A frame that comes in several packets. */
  let pieces: Buffer[] = [];
  let wanted = 0;
  const reset = (): void => {
    pieces = [];
    wanted = 0;
  };
  return (payload, timestamp, marker, gap) => {
    if (gap) reset();
    if (payload.length < 2) return [];
    const headerBits = payload.readUInt16BE(0);
    let at = 2 + Math.ceil(headerBits / 8);
    const sizes: number[] = [];
    for (let bit = 0; ;) {
      const own = sizeLength + (sizes.length === 0 ? indexLength : indexDeltaLength);
      if (bit + own > headerBits || at > payload.length) break;
      sizes.push(bitsAt(payload, 16 + bit, sizeLength));
      bit += own;
    }
    if (sizes.length === 1 && at + sizes[0]! > payload.length) {
      if (wanted !== sizes[0]!) reset();
      wanted = sizes[0]!;
      pieces.push(Buffer.from(payload.subarray(at)));
      const data = Buffer.concat(pieces);
      if (data.length < wanted && !marker) return [];
      const isWhole = data.length === wanted && wanted <= MAX_AAC_BYTES;
      reset();
      return isWhole ? [{ data, timestamp, duration: frameTicks }] : [];
    }
    reset();
    const out: SoundPiece[] = [];
    for (const size of sizes) {
      if (at + size > payload.length) break;
      if (size > 0) {
        const data = Buffer.from(payload.subarray(at, at + size));
        out.push({ data, timestamp: timestamp + out.length * frameTicks, duration: frameTicks });
      }
      at += size;
    }
    return out;
  };
}

function bitsAt(bytes: Buffer, bit: number, count: number): number {
  let value = 0;
  for (let n = bit; n < bit + count; n++) value = value * 2 + (((bytes[n >> 3] ?? 0) >> (7 - (n & 7))) & 1);
  return value;
}

/** G.711: one byte a sample and channel. */
export const pcmReader =
  (channels: number): SoundReader =>
  (payload, timestamp) => {
    const duration = Math.floor(payload.length / channels);
    return duration > 0 ? [{ data: Buffer.from(payload), timestamp, duration }] : [];
  };

/** One packet of Opus in one of RTP; the clock always counts 48,000 a second. */
export const opusReader = (): SoundReader => (payload, timestamp) =>
  payload.length > 0 ? [{ data: Buffer.from(payload), timestamp, duration: opusTicks(payload) }] : [];

/** How long a packet lasts (RFC 6716 §3.1). */
function opusTicks(packet: Buffer): number {
  const config = packet[0]! >> 3;
  const frame =
    config < 12
      ? [480, 960, 1920, 2880][config & 3]!
      : config < 16
        ? [480, 960][config & 1]!
        : [120, 240, 480, 960][config & 3]!;
  const code = packet[0]! & 3;
  return frame * (code === 0 ? 1 : code < 3 ? 2 : Math.max(1, (packet[1] ?? 1) & 0x3f));
}
