import { BitReader } from './bit-reader.ts';

/** Profiles whose sets say more about samples. */
const HIGH = new Set([100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135]);
const MAX_REORDER = 16;
const EXTENDED_SAR = 255;

/**
 * How many positions later than decoded a picture is shown at most (`max_num_reorder_frames`, ITU-T H.264 §E.2.1);
 * 0 where the set does not say, as cameras that do not say have no B-frames. `sps`: NAL unit without emulation
 * prevention. Throws RangeError when it makes no sense. (FFmpeg knows it only after the first picture.)
 */
export function h264ReorderDepth(sps: Uint8Array): number {
  const reader = new BitReader(sps);
  reader.bits(8); // NAL unit header
  const profile = reader.bits(8);
  reader.bits(16); // constraints, level_idc
  reader.ue(); // seq_parameter_set_id
  if (HIGH.has(profile)) skipSampleFormat(reader);
  reader.ue(); // log2_max_frame_num_minus4
  const orderCountType = reader.ue();
  // Output order is decoding order (§8.2.1.3).
  if (orderCountType === 2) return 0;
  if (orderCountType === 0) reader.ue(); // log2_max_pic_order_cnt_lsb_minus4
  else skipOrderCounts(reader);
  reader.ue(); // max_num_ref_frames
  reader.bits(1); // gaps_in_frame_num_value_allowed_flag
  reader.ue(); // pic_width_in_mbs_minus1
  reader.ue(); // pic_height_in_map_units_minus1
  if (!reader.flag()) reader.bits(1); // mb_adaptive_frame_field_flag
  reader.bits(1); // direct_8x8_inference_flag
  if (reader.flag()) for (let side = 0; side < 4; side++) reader.ue(); // frame cropping
  return reader.flag() ? reorderOfVui(reader) : 0;
}

/** §7.3.2.1.1: what stands in sets of the high profiles only. */
function skipSampleFormat(reader: BitReader): void {
  const chromaFormat = reader.ue();
  if (chromaFormat === 3) reader.bits(1); // separate_colour_plane_flag
  reader.ue(); // bit_depth_luma_minus8
  reader.ue(); // bit_depth_chroma_minus8
  reader.bits(1); // qpprime_y_zero_transform_bypass_flag
  if (!reader.flag()) return;
  const lists = chromaFormat === 3 ? 12 : 8;
  for (let list = 0; list < lists; list++) if (reader.flag()) skipScalingList(reader, list < 6 ? 16 : 64);
}

/** §7.3.2.1.1.1 */
function skipScalingList(reader: BitReader, size: number): void {
  let [last, next] = [8, 8];
  for (let n = 0; n < size; n++) {
    if (next !== 0) next = (last + reader.se() + 256) % 256;
    last = next === 0 ? last : next;
  }
}

/** pic_order_cnt_type 1 */
function skipOrderCounts(reader: BitReader): void {
  reader.bits(1); // delta_pic_order_always_zero_flag
  reader.se(); // offset_for_non_ref_pic
  reader.se(); // offset_for_top_to_bottom_field
  for (let count = reader.ue(); count > 0; count--) reader.se();
}

/** vui_parameters(), §E.1.1 */
function reorderOfVui(reader: BitReader): number {
  if (reader.flag() && reader.bits(8) === EXTENDED_SAR) reader.bits(32);
  if (reader.flag()) reader.bits(1); // overscan_appropriate_flag
  if (reader.flag()) {
    reader.bits(4); // video_format, video_full_range_flag
    if (reader.flag()) reader.bits(24); // colour description
  }
  if (reader.flag()) {
    reader.ue(); // chroma_sample_loc_type_top_field
    reader.ue(); // chroma_sample_loc_type_bottom_field
  }
  if (reader.flag()) reader.bits(65); // timing
  const nalHrd = reader.flag();
  if (nalHrd) skipHrd(reader);
  const vclHrd = reader.flag();
  if (vclHrd) skipHrd(reader);
  if (nalHrd || vclHrd) reader.bits(1); // low_delay_hrd_flag
  reader.bits(1); // pic_struct_present_flag
  if (!reader.flag()) return 0;
  reader.bits(1); // motion_vectors_over_pic_boundaries_flag
  for (let skipped = 0; skipped < 4; skipped++) reader.ue();
  return Math.min(MAX_REORDER, reader.ue());
}

/** hrd_parameters(), §E.1.2 */
function skipHrd(reader: BitReader): void {
  const count = reader.ue() + 1;
  reader.bits(8); // bit_rate_scale, cpb_size_scale
  for (let n = 0; n < count; n++) {
    reader.ue(); // bit_rate_value_minus1
    reader.ue(); // cpb_size_value_minus1
    reader.bits(1); // cbr_flag
  }
  reader.bits(20); // lengths of delays and of the time offset
}
