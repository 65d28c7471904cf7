import type { Size } from '../contract/geometry.ts';
import { BitReader } from './bit-reader.ts';

/**
 * Picture size of an HEVC sequence parameter set (ITU-T H.265 §7.3.2.2), without the conformance window.
 * `sps`: NAL unit without emulation prevention bytes. Throws RangeError when it makes no sense.
 * (FFmpeg reads it only together with a VPS, and `parseExtradata` not even then.)
 */
export function hevcPictureSize(sps: Uint8Array): Size {
  const reader = new BitReader(sps);
  reader.bits(16); // NAL unit header
  reader.bits(4); // sps_video_parameter_set_id
  const maxSubLayersMinus1 = reader.bits(3);
  reader.bits(1); // sps_temporal_id_nesting_flag
  skipProfileTierLevel(reader, maxSubLayersMinus1);
  reader.ue(); // sps_seq_parameter_set_id
  const chromaFormat = reader.ue();
  if (chromaFormat === 3) reader.bits(1); // separate_colour_plane_flag
  let width = reader.ue();
  let height = reader.ue();
  if (reader.bits(1) === 1) {
    // Table 6-1: SubWidthC, SubHeightC.
    const unitX = chromaFormat === 1 || chromaFormat === 2 ? 2 : 1;
    const unitY = chromaFormat === 1 ? 2 : 1;
    width -= unitX * (reader.ue() + reader.ue());
    height -= unitY * (reader.ue() + reader.ue());
  }
  return { width, height };
}

/** profile_tier_level(1, maxSubLayersMinus1), §7.3.3. */
function skipProfileTierLevel(reader: BitReader, maxSubLayersMinus1: number): void {
  reader.bits(88); // general profile
  reader.bits(8); // general_level_idc
  const present = Array.from({ length: maxSubLayersMinus1 }, () => [reader.bits(1), reader.bits(1)] as const);
  if (maxSubLayersMinus1 > 0) reader.bits(2 * (8 - maxSubLayersMinus1));
  for (const [profile, level] of present) {
    if (profile) reader.bits(88);
    if (level) reader.bits(8);
  }
}
