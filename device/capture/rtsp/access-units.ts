import { isKeySlice, type NalCodec } from '../nal.ts';
import type { RtpPacket } from './rtp.ts';

/** One picture of H.264 or HEVC as Annex B, with 4-byte start codes. */
export interface AccessUnit {
  readonly data: Buffer;
  readonly timestamp: number;
  readonly key: boolean;
}

export interface AccessUnitListener {
  unit(unit: AccessUnit): void;
  /** A picture was given up, because something of it is missing or it is too long. */
  lost(): void;
}

/** More is no picture of a camera. */
export const MAX_UNIT_BYTES = 8 * 1024 * 1024;
const FIRST_ROOM_BYTES = 65_536;
const START_CODE_BYTES = 4;

/** What the payload formats say of a NAL unit header. */
interface Format {
  readonly headerBytes: number;
  readonly aggregate: number;
  readonly fragment: number;
  readonly type: (header: number) => number;
  readonly isSlice: (type: number) => boolean;
}

const FORMATS: Record<NalCodec, Format> = {
  /** RFC 6184: STAP-A, FU-A. */
  h264: {
    headerBytes: 1,
    aggregate: 24,
    fragment: 28,
    type: (header) => header & 0x1f,
    isSlice: (type) => type >= 1 && type <= 5,
  },
  /** RFC 7798: AP, FU. */
  hevc: {
    headerBytes: 2,
    aggregate: 48,
    fragment: 49,
    type: (header) => (header >> 1) & 0x3f,
    isSlice: (type) => type < 32,
  },
};

/**
 * Puts NAL units together from packets of RTP, and pictures from NAL units. A picture ends with the marker, or
 * where the timestamp changes. One of which something is missing is dropped; those after it refer to it, but are
 * passed on, as a decoder makes the best of them until the next key frame.
 */
export class AccessUnits {
  readonly #codec: NalCodec;
  readonly #format: Format;
  readonly #donBytes: 0 | 2;
  readonly #listener: AccessUnitListener;
  /** The picture in the making: `#bytes[0, #length)`. */
  #bytes = Buffer.allocUnsafeSlow(FIRST_ROOM_BYTES);
  #length = 0;
  #timestamp: number | null = null;
  #hasSlice = false;
  #key = false;
  #damaged = false;
  /** A fragmented NAL unit has begun and not ended. */
  #fragmented = false;

  /** `don`: aggregates and fragments of HEVC carry decoding order numbers (RFC 7798 §4.4). */
  constructor(codec: NalCodec, listener: AccessUnitListener, don = false) {
    this.#codec = codec;
    this.#format = FORMATS[codec];
    this.#donBytes = don ? 2 : 0;
    this.#listener = listener;
  }

  /** In order; `timestamp` unwrapped; `gap`: packets before this one are missing. */
  push({ payload, marker }: RtpPacket, timestamp: number, gap: boolean): void {
    if (gap && this.#length > 0) this.#damaged = true;
    // Parameter sets that came alone belong to the picture after them, whatever their time.
    if (timestamp !== this.#timestamp && this.#hasContent) this.#end();
    this.#timestamp = timestamp;
    if (gap && this.#length === 0 && !this.#opensPicture(payload)) this.#damaged = true;
    this.#take(payload);
    if (marker) this.#end();
  }

  get #hasContent(): boolean {
    return this.#hasSlice || this.#damaged || this.#fragmented;
  }

  #take(payload: Buffer): void {
    const { headerBytes, aggregate, fragment, type } = this.#format;
    if (payload.length < headerBytes) return;
    const kind = type(payload[0]!);
    if (kind === aggregate) this.#takeAggregate(payload);
    else if (kind === fragment) this.#takeFragment(payload);
    else if (kind < aggregate) this.#takeNal(payload, headerBytes, headerBytes + this.#donBytes);
    // Other structures belong to modes that were not asked for.
    else this.#damaged ||= this.#codec === 'h264' && kind < 30;
  }

  #takeNal(bytes: Buffer, headerEnd: number, bodyStart: number): void {
    this.#begin(bytes.subarray(0, headerEnd));
    this.#append(bytes, bodyStart);
  }

  #takeAggregate(payload: Buffer): void {
    const { headerBytes } = this.#format;
    let at = headerBytes + this.#donBytes;
    while (at + 2 <= payload.length) {
      const start = at + 2;
      const end = start + payload.readUInt16BE(at);
      if (end > payload.length) {
        this.#damaged = true;
        return;
      }
      if (end - start >= headerBytes) this.#takeNal(payload.subarray(start, end), headerBytes, headerBytes);
      // The units after the first have a difference of one byte (DOND) before their size.
      at = end + (this.#donBytes > 0 ? 1 : 0);
    }
  }

  #takeFragment(payload: Buffer): void {
    const { headerBytes } = this.#format;
    const fu = payload[headerBytes];
    if (fu === undefined) return;
    const [isStart, isEnd] = [(fu & 0x80) !== 0, (fu & 0x40) !== 0];
    if (isStart) this.#begin(this.#headerOfFragment(payload, fu));
    else if (!this.#fragmented) this.#damaged = true;
    this.#fragmented = !isEnd;
    this.#append(payload, headerBytes + 1 + (isStart ? this.#donBytes : 0));
  }

  #headerOfFragment(payload: Buffer, fu: number): Buffer {
    return this.#codec === 'h264'
      ? Buffer.of((payload[0]! & 0xe0) | (fu & 0x1f))
      : Buffer.of((payload[0]! & 0x81) | ((fu & 0x3f) << 1), payload[1]!);
  }

  /** A picture that begins with this payload lacks nothing at its start. */
  #opensPicture(payload: Buffer): boolean {
    const { headerBytes, aggregate, fragment, type, isSlice } = this.#format;
    let [kind, body] = [type(payload[0] ?? 0), headerBytes];
    if (kind === aggregate) {
      const nal = headerBytes + this.#donBytes + 2;
      [kind, body] = [type(payload[nal] ?? 0), nal + headerBytes];
    } else if (kind === fragment) {
      const fu = payload[headerBytes] ?? 0;
      if ((fu & 0x80) === 0) return false;
      [kind, body] = [this.#codec === 'h264' ? fu & 0x1f : fu & 0x3f, headerBytes + 1 + this.#donBytes];
    } else body += this.#donBytes;
    // first_mb_in_slice = 0, first_slice_segment_in_pic_flag = 1: either way the first bit is set.
    return isSlice(kind) ? (payload[body] ?? 0) >= 0x80 : true;
  }

  #begin(header: Buffer): void {
    if (this.#fragmented) this.#damaged = true;
    this.#fragmented = false;
    const type = this.#format.type(header[0]!);
    this.#hasSlice ||= this.#format.isSlice(type);
    this.#key ||= isKeySlice(this.#codec, type);
    if (!this.#makeRoom(START_CODE_BYTES + header.length)) return;
    this.#length = this.#bytes.writeUInt32BE(1, this.#length);
    this.#length += header.copy(this.#bytes, this.#length);
  }

  #append(bytes: Buffer, start: number): void {
    if (start < bytes.length && this.#makeRoom(bytes.length - start))
      this.#length += bytes.copy(this.#bytes, this.#length, start);
  }

  #makeRoom(byteCount: number): boolean {
    const needed = this.#length + byteCount;
    if (needed > MAX_UNIT_BYTES) {
      this.#damaged = true;
      return false;
    }
    if (needed > this.#bytes.length) {
      const larger = Buffer.allocUnsafeSlow(
        Math.min(MAX_UNIT_BYTES, Math.max(needed, 2 * this.#bytes.length)),
      );
      this.#bytes.copy(larger, 0, 0, this.#length);
      this.#bytes = larger;
    }
    return true;
  }

  #end(): void {
    if (this.#damaged || this.#fragmented) this.#listener.lost();
    else if (this.#hasSlice) {
      // Slow: not a slice of the shared pool, which a kept picture would hold as a whole.
      const data = Buffer.allocUnsafeSlow(this.#length);
      this.#bytes.copy(data, 0, 0, this.#length);
      this.#listener.unit({ data, timestamp: this.#timestamp!, key: this.#key });
    } else return;
    this.#length = 0;
    this.#hasSlice = this.#key = this.#damaged = this.#fragmented = false;
  }
}
