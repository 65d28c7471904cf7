import type { AudioTrack, VideoTrack } from '../../contract/media.ts';
import { BoxWriter } from './boxes.ts';
import { writeAudioEntry, writeVideoEntry } from './sample-entry.ts';

export const VIDEO_TRACK_ID = 1;
export const AUDIO_TRACK_ID = 2;

const MOVIE_TIMESCALE = 1000;
/** Seconds from 1904-01-01, where MP4 counts from, to 1970-01-01. */
const MP4_EPOCH_SECONDS = 2_082_844_800;
const UNDETERMINED_LANGUAGE = 0x55c4;
const NON_KEY_SAMPLE = 0x0101_0000;

export interface InitSegment {
  readonly video: VideoTrack;
  readonly audio?: AudioTrack | undefined;
  readonly startUtcMs: number;
  /** Ticks between decoding and showing the first picture: what the edit list skips. */
  readonly leadTicks: number;
  /** Usual duration of a picture, in ticks. */
  readonly frameTicks: number;
}

/**
 * `ftyp` + `moov` of a fragmented file (ISO/IEC 14496-12 §8.8): no samples, no duration, so it never has to
 * be written again.
 */
export function initSegment(init: InitSegment): Uint8Array {
  const { video, audio } = init;
  const out = new BoxWriter();
  const createdSeconds = Math.floor(init.startUtcMs / 1000) + MP4_EPOCH_SECONDS;
  // iso6: movie-fragment-relative addressing, 64-bit decode times, signed composition offsets
  out.box('ftyp', () => out.text('iso6').u32(1).text('iso6').text('mp41'));
  out.box('moov', () => {
    out.fullBox('mvhd', 1, 0, () => {
      out.u64(createdSeconds).u64(createdSeconds).u32(MOVIE_TIMESCALE).u64(0);
      out.u32(0x0001_0000).u16(0x0100).zeros(10);
      writeUnityMatrix(out);
      out.zeros(24).u32(AUDIO_TRACK_ID + 1);
    });
    writeTrack(out, {
      id: VIDEO_TRACK_ID,
      createdSeconds,
      timescale: video.timescale,
      width: video.width,
      height: video.height,
      handler: 'vide',
      leadTicks: init.leadTicks,
      mediaHeader: () => out.fullBox('vmhd', 0, 1, () => out.zeros(8)),
      sampleEntry: () => writeVideoEntry(out, video),
    });
    if (audio) {
      writeTrack(out, {
        id: AUDIO_TRACK_ID,
        createdSeconds,
        timescale: audio.timescale,
        width: 0,
        height: 0,
        handler: 'soun',
        leadTicks: 0,
        mediaHeader: () => out.fullBox('smhd', 0, 0, () => out.zeros(4)),
        sampleEntry: () => writeAudioEntry(out, audio),
      });
    }
    out.box('mvex', () => {
      writeTrackExtends(out, VIDEO_TRACK_ID, init.frameTicks, NON_KEY_SAMPLE);
      if (audio) writeTrackExtends(out, AUDIO_TRACK_ID, 0, 0);
    });
  });
  return out.finish();
}

interface TrackBoxes {
  readonly id: number;
  readonly createdSeconds: number;
  readonly timescale: number;
  readonly width: number;
  readonly height: number;
  readonly handler: 'vide' | 'soun';
  readonly leadTicks: number;
  mediaHeader(): void;
  sampleEntry(): void;
}

function writeTrack(out: BoxWriter, track: TrackBoxes): void {
  const { createdSeconds, handler, leadTicks } = track;
  out.box('trak', () => {
    // enabled, in the movie, in its preview
    out.fullBox('tkhd', 1, 7, () => {
      out.u64(createdSeconds).u64(createdSeconds).u32(track.id).zeros(4).u64(0);
      out
        .zeros(8)
        .u16(0)
        .u16(0)
        .u16(handler === 'soun' ? 0x0100 : 0)
        .u16(0);
      writeUnityMatrix(out);
      out.u16(track.width).u16(0).u16(track.height).u16(0);
    });
    if (leadTicks > 0) {
      // Duration 0: the edit reaches to the end of the last fragment (§8.6.6).
      out.box('edts', () =>
        out.fullBox('elst', 1, 0, () => out.u32(1).u64(0).u64(leadTicks).u32(0x0001_0000)),
      );
    }
    out.box('mdia', () => {
      out.fullBox('mdhd', 1, 0, () =>
        out
          .u64(createdSeconds)
          .u64(createdSeconds)
          .u32(track.timescale)
          .u64(0)
          .u16(UNDETERMINED_LANGUAGE)
          .u16(0),
      );
      out.fullBox('hdlr', 0, 0, () => out.zeros(4).text(handler).zeros(13));
      out.box('minf', () => {
        track.mediaHeader();
        out.box('dinf', () => out.fullBox('dref', 0, 0, () => out.u32(1).fullBox('url ', 0, 1, () => {})));
        out.box('stbl', () => {
          out.fullBox('stsd', 0, 0, () => {
            out.u32(1);
            track.sampleEntry();
          });
          for (const empty of ['stts', 'stsc', 'stco']) out.fullBox(empty, 0, 0, () => out.u32(0));
          out.fullBox('stsz', 0, 0, () => out.u32(0).u32(0));
        });
      });
    });
  });
}

function writeTrackExtends(out: BoxWriter, trackId: number, durationTicks: number, flags: number): void {
  out.fullBox('trex', 0, 0, () => out.u32(trackId).u32(1).u32(durationTicks).u32(0).u32(flags));
}

function writeUnityMatrix(out: BoxWriter): void {
  out.u32(0x0001_0000).zeros(12).u32(0x0001_0000).zeros(12).u32(0x4000_0000);
}
