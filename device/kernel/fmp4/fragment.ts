import { crc32 } from 'node:zlib';
import { BoxWriter } from './boxes.ts';
import { AUDIO_TRACK_ID, VIDEO_TRACK_ID } from './init-segment.ts';

/** One sample in the time of the file. */
export interface Sample {
  readonly durationTicks: number;
  /** Composition time minus decode time; may be negative. */
  readonly offsetTicks: number;
  readonly key: boolean;
  readonly data: Uint8Array;
}

/** A run of samples of one track without a hole. */
export interface Run {
  /** Decode time of the first sample, in ticks of the track. */
  readonly startTicks: number;
  readonly samples: readonly Sample[];
}

const DEFAULT_BASE_IS_MOOF = 0x02_0000;
const DATA_OFFSET = 0x001;
const DURATIONS_AND_SIZES = 0x100 + 0x200;
const FLAGS_AND_OFFSETS = 0x400 + 0x800;
/** "depends on no other sample" / "depends on others, is no sync sample" (ISO/IEC 14496-12 §8.8.3.1) */
const KEY = 0x0200_0000;
const NON_KEY = 0x0101_0000;

const MDAT_HEADER_BYTES = 8;

/**
 * One fragment: `moof`, and `mdat` with all of `video` and then all of `audio` (ISO/IEC 14496-12 §8.8.4 ff.). A
 * track without samples is left out. Data of samples is passed on, not copied.
 */
export function fragment(sequence: number, video: Run, audio: Run): readonly Uint8Array[] {
  const data = [...video.samples, ...audio.samples].map(({ data }) => data);
  return [fragmentHeader(sequence, video, audio), ...data];
}

/** Closes a fragment: a box that players skip. */
export const SEAL = 'free';
/** Of its head; zeros may follow. */
export const SEAL_BYTES = 16;

/**
 * Holds how many fragments of the same batch stand before it, and the CRC-32 of all bytes since the last seal up
 * to here, of which `checksum` is that of what stands before it. `padding` zeros follow.
 */
export function sealBox(earlierInBatch: number, checksum: number, padding: number): Uint8Array {
  const out = new BoxWriter();
  const box = out.box(SEAL, () => out.u32(earlierInBatch).u32(0).zeros(padding)).finish();
  const checksumAt = SEAL_BYTES - 4;
  out.setU32(checksumAt, crc32(box.subarray(0, checksumAt), checksum));
  return box;
}

/** What file systems and flash write as a whole; a multiple of every sector size. */
const PAGE_BYTES = 4096;

/** From `positionBytes` to the end of its page. */
export const paddingBytes = (positionBytes: number): number =>
  (PAGE_BYTES - (positionBytes % PAGE_BYTES)) % PAGE_BYTES;

/** `moof` and the header of its `mdat`. */
function fragmentHeader(sequence: number, video: Run, audio: Run): Uint8Array {
  const out = new BoxWriter();
  const dataOffsets: { at: number; dataBytes: number }[] = [];
  out.box('moof', () => {
    out.fullBox('mfhd', 0, 0, () => out.u32(sequence));
    writeTrackRun(out, VIDEO_TRACK_ID, video, dataOffsets);
    writeTrackRun(out, AUDIO_TRACK_ID, audio, dataOffsets);
  });
  let offset = out.length + MDAT_HEADER_BYTES;
  for (const { at, dataBytes } of dataOffsets) {
    out.setU32(at, offset);
    offset += dataBytes;
  }
  out.u32(offset - out.length).text('mdat');
  return out.finish();
}

function writeTrackRun(
  out: BoxWriter,
  trackId: number,
  { startTicks, samples }: Run,
  dataOffsets: { at: number; dataBytes: number }[],
): void {
  if (samples.length === 0) return;
  const isVideo = trackId === VIDEO_TRACK_ID;
  out.box('traf', () => {
    out.fullBox('tfhd', 0, DEFAULT_BASE_IS_MOOF, () => out.u32(trackId));
    out.fullBox('tfdt', 1, 0, () => out.u64(startTicks));
    const flags = DATA_OFFSET + DURATIONS_AND_SIZES + (isVideo ? FLAGS_AND_OFFSETS : 0);
    out.fullBox('trun', 1, flags, () => {
      out.u32(samples.length);
      const at = out.length;
      let dataBytes = 0;
      out.u32(0);
      for (const { durationTicks, offsetTicks, key, data } of samples) {
        out.u32(durationTicks).u32(data.byteLength);
        if (isVideo) out.u32(key ? KEY : NON_KEY).i32(offsetTicks);
        dataBytes += data.byteLength;
      }
      dataOffsets.push({ at, dataBytes });
    });
  });
}
