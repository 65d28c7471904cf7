/** What a camera does: pictures of H.264 and HEVC into packets of RTP (RFC 6184, RFC 7798). */
import type { NalCodec } from '../../../../device/capture/nal.ts';
import type { RtpPacket } from '../../../../device/capture/rtsp/rtp.ts';

export const SSRC = 0x11223344;

/** How one NAL unit travels. */
export type Way = 'single' | 'fragments' | 'aggregate';

/** A slice, or another NAL unit, of `type`; `first` is the first byte of its body. */
export function nal(codec: NalCodec, type: number, body: Uint8Array, first = 0x80): Buffer {
  const header = codec === 'h264' ? Buffer.of(0x60 | type) : Buffer.of(type << 1, 1);
  return Buffer.concat([header, Buffer.of(first), body]);
}

/** Payloads of one picture; neighbours that travel as `aggregate` share one. */
export function payloadsOf(
  codec: NalCodec,
  nals: readonly (readonly [nal: Buffer, way: Way])[],
  fragmentBytes: number,
): Buffer[] {
  const payloads: Buffer[] = [];
  let together: Buffer[] = [];
  const flush = (): void => {
    if (together.length > 0) payloads.push(aggregate(codec, together));
    together = [];
  };
  for (const [unit, way] of nals) {
    if (way === 'aggregate') {
      together.push(unit);
      continue;
    }
    flush();
    if (way === 'single') payloads.push(unit);
    else payloads.push(...fragments(codec, unit, fragmentBytes));
  }
  flush();
  return payloads;
}

function aggregate(codec: NalCodec, nals: readonly Buffer[]): Buffer {
  const header = codec === 'h264' ? Buffer.of(0x78) : Buffer.of(48 << 1, 1);
  return Buffer.concat([
    header,
    ...nals.flatMap((unit) => {
      const size = Buffer.alloc(2);
      size.writeUInt16BE(unit.length);
      return [size, unit];
    }),
  ]);
}

function fragments(codec: NalCodec, unit: Buffer, bytes: number): Buffer[] {
  const headerBytes = codec === 'h264' ? 1 : 2;
  const type = codec === 'h264' ? unit[0]! & 0x1f : (unit[0]! >> 1) & 0x3f;
  const indicator =
    codec === 'h264' ? Buffer.of((unit[0]! & 0xe0) | 28) : Buffer.of((unit[0]! & 0x81) | (49 << 1), unit[1]!);
  const payloads: Buffer[] = [];
  for (let at = headerBytes; at < unit.length; at += bytes) {
    const start = at === headerBytes ? 0x80 : 0;
    const end = at + bytes >= unit.length ? 0x40 : 0;
    payloads.push(Buffer.concat([indicator, Buffer.of(start | end | type), unit.subarray(at, at + bytes)]));
  }
  return payloads;
}

export function packetOf(payload: Buffer, fields: Partial<RtpPacket> = {}): RtpPacket {
  return { payloadType: 96, marker: false, sequence: 0, timestamp: 0, ssrc: SSRC, payload, ...fields };
}

/** On the wire. */
export function bytesOf({ payloadType, marker, sequence, timestamp, ssrc, payload }: RtpPacket): Buffer {
  const head = Buffer.alloc(12);
  head.writeUInt8(0x80, 0);
  head.writeUInt8((marker ? 0x80 : 0) | payloadType, 1);
  head.writeUInt16BE(sequence & 0xffff, 2);
  head.writeUInt32BE(timestamp >>> 0, 4);
  head.writeUInt32BE(ssrc, 8);
  return Buffer.concat([head, payload]);
}
