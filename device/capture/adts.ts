/**
 * AAC as MPEG transport streams carry it: a header of 7 or 9 bytes before each frame (ADTS, ISO/IEC 14496-3
 * §1.A.2), where MP4 has one AudioSpecificConfig for all.
 */

const RATES = [96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350];
const AAC_LC = 2;

/**
 * AudioSpecificConfig (§1.6.2.1) of a stream that has none. `profile` is the object type less one, as in ADTS; of
 * what lies beyond (HE-AAC, or unknown) the core is LC at half the rate, and decoders find the rest by themselves.
 * null: cannot be written that way.
 */
export function audioSpecificConfig(
  profile: number,
  sampleRate: number,
  channels: number,
): Uint8Array | null {
  const isPlain = profile >= 0 && profile <= 3;
  const isExtended = profile === 4 || profile === 28;
  const objectType = isPlain ? profile + 1 : AAC_LC;
  const rate = RATES.indexOf(isExtended ? sampleRate / 2 : sampleRate);
  const layout = channels === 8 ? 7 : channels;
  if (rate < 0 || layout < 1 || layout > 7) return null;
  return Uint8Array.of((objectType << 3) | (rate >> 1), ((rate & 1) << 7) | (layout << 3));
}

/** The frame without its header; as it is when it has none. */
export function withoutAdts(frame: Uint8Array): Uint8Array {
  const [b0 = 0, b1 = 0, , b3 = 0, b4 = 0, b5 = 0] = frame;
  // A raw frame never begins like that: it would be one that ends at once.
  const hasHeader = b0 === 0xff && (b1 & 0xf6) === 0xf0;
  const length = ((b3 & 3) << 11) | (b4 << 3) | (b5 >> 5);
  if (!hasHeader || length !== frame.byteLength) return frame;
  const isProtected = (b1 & 1) === 0;
  return frame.subarray(isProtected ? 9 : 7);
}
