/** NAL units of H.264 (ITU-T H.264 §7.3.1, Annex B) and HEVC (ITU-T H.265 §7.3.1, Annex B). */

export type NalCodec = 'h264' | 'hevc';

/** A NAL unit without start code or length: `bytes.subarray(start, end)`. */
export interface Nal {
  readonly start: number;
  readonly end: number;
}

const START_CODE = Buffer.from([0, 0, 1]);

/** NAL units of an Annex B byte stream, in order; empty ones are left out. */
export function splitAnnexB(bytes: Buffer): Nal[] {
  const nals: Nal[] = [];
  let start = bytes.indexOf(START_CODE);
  while (start >= 0) {
    start += 3;
    const next = bytes.indexOf(START_CODE, start);
    let end = next < 0 ? bytes.length : next;
    // trailing_zero_8bits and the fourth byte of the next start code; a NAL unit itself never ends in zero.
    while (end > start && bytes[end - 1] === 0) end--;
    if (end > start) nals.push({ start, end });
    start = next;
  }
  return nals;
}

/** NAL units of an MP4 sample whose lengths have `lengthBytes` bytes; stops at the first that does not fit. */
export function splitLengthPrefixed(bytes: Buffer, lengthBytes: number): Nal[] {
  const nals: Nal[] = [];
  for (let at = 0; at + lengthBytes <= bytes.length;) {
    const start = at + lengthBytes;
    const end = start + bytes.readUIntBE(at, lengthBytes);
    if (end > bytes.length) break;
    if (end > start) nals.push({ start, end });
    at = end;
  }
  return nals;
}

/** The sample with 4-byte lengths. Written in place where every NAL unit has four bytes of room before it. */
export function toLengthPrefixed(bytes: Buffer, nals: readonly Nal[]): Buffer {
  if (fitsInPlace(bytes, nals)) {
    for (const { start, end } of nals) bytes.writeUInt32BE(end - start, start - 4);
    return bytes;
  }
  const size = nals.reduce((sum, { start, end }) => sum + 4 + end - start, 0);
  // Slow: not a slice of the shared pool, which a kept packet would hold as a whole.
  const out = Buffer.allocUnsafeSlow(size);
  let at = 0;
  for (const { start, end } of nals) {
    at = out.writeUInt32BE(end - start, at);
    at += bytes.copy(out, at, start, end);
  }
  return out;
}

/** True when lengths can replace 4-byte start codes byte for byte and nothing lies between the NAL units. */
function fitsInPlace(bytes: Buffer, nals: readonly Nal[]): boolean {
  let at = 0;
  for (const { start, end } of nals) {
    if (start !== at + 4) return false;
    at = end;
  }
  return at === bytes.length;
}

export const nalType = (codec: NalCodec, header: number): number =>
  codec === 'h264' ? header & 0x1f : (header >> 1) & 0x3f;

const SPS = { h264: 7, hevc: 33 } as const;
const PARAMETER_SETS = { h264: new Set([7, 8]), hevc: new Set([32, 33, 34]) } as const;

export const isSps = (codec: NalCodec, type: number): boolean => type === SPS[codec];
export const isParameterSet = (codec: NalCodec, type: number): boolean => PARAMETER_SETS[codec].has(type);

/** IDR of H.264; any IRAP picture of HEVC (BLA, IDR, CRA): decoding may begin here. */
export const isKeySlice = (codec: NalCodec, type: number): boolean =>
  codec === 'h264' ? type === 5 : type >= 16 && type <= 21;

/** Parameter sets as one Annex B byte stream: the form in which they are compared and given to FFmpeg. */
export function joinAnnexB(nals: readonly Uint8Array[]): Buffer {
  return Buffer.concat(nals.flatMap((nal) => [Buffer.from([0, 0, 0, 1]), nal]));
}
