import { BoxWriter } from './boxes.ts';
import { VIDEO_TRACK_ID } from './init-segment.ts';

/** A fragment that begins with a key frame. */
export interface AccessPoint {
  /** Presentation time of the key frame in the media timeline. */
  readonly timeTicks: number;
  /** Where its `moof` begins in the file. */
  readonly moofBytes: number;
}

/** `mfra`: lets a player seek without reading every fragment header (ISO/IEC 14496-12 §8.8.9 ff.). */
export function randomAccessBox(points: readonly AccessPoint[]): Uint8Array {
  const out = new BoxWriter();
  out.box('mfra', () => {
    // Numbers of traf, trun and sample take one byte each and are all 1: the key frame comes first.
    out.fullBox('tfra', 1, 0, () => {
      out.u32(VIDEO_TRACK_ID).u32(0).u32(points.length);
      for (const { timeTicks, moofBytes } of points) out.u64(timeTicks).u64(moofBytes).u8(1).u8(1).u8(1);
    });
    // `mfro` ends the file and repeats the length of `mfra`, so that readers find it from the end.
    out.fullBox('mfro', 0, 0, () => out.u32(out.length + 4));
  });
  return out.finish();
}
