import type { BoxWriter } from './boxes.ts';

/** Seconds from 1904-01-01, where MP4 counts from, to 1970-01-01. */
const MP4_EPOCH_SECONDS = 2_082_844_800;
const UNDETERMINED_LANGUAGE = 0x55c4;
const NORMAL_RATE = 0x0001_0000;
/** `media_time` of an edit that shows nothing. */
const EMPTY = 2 ** 32 - 1;

/** One entry of an edit list (ISO/IEC 14496-12 §8.6.6). */
export interface Edit {
  /** In ticks of the movie; 0 in a fragmented file: to the end of the last fragment. */
  readonly durationTicks: number;
  /** In ticks of the track; null shows nothing for as long. */
  readonly mediaTicks: number | null;
}

export interface MovieTrack {
  readonly id: number;
  readonly handler: 'vide' | 'soun';
  readonly timescale: number;
  readonly width: number;
  readonly height: number;
  readonly edits: readonly Edit[];
  /** In ticks of the track; 0 in a fragmented file. */
  readonly durationTicks: number;
  /** The one entry of `stsd`. */
  sampleEntry(): void;
  /** What stands beside `stsd`. */
  sampleTables(): void;
}

export interface Movie {
  readonly startUtcMs: number;
  readonly timescale: number;
  /** 0 in a fragmented file. */
  readonly durationTicks: number;
  readonly nextTrackId: number;
}

export const creationSeconds = (startUtcMs: number): number =>
  Math.floor(startUtcMs / 1000) + MP4_EPOCH_SECONDS;

/** `mvhd` (§8.2.2) */
export function writeMovieHeader(out: BoxWriter, movie: Movie): void {
  const createdSeconds = creationSeconds(movie.startUtcMs);
  out.fullBox('mvhd', 1, 0, () => {
    out.u64(createdSeconds).u64(createdSeconds).u32(movie.timescale).u64(movie.durationTicks);
    out.u32(NORMAL_RATE).u16(0x0100).zeros(10);
    writeUnityMatrix(out);
    out.zeros(24).u32(movie.nextTrackId);
  });
}

/** `trak` (§8.3) */
export function writeTrack(out: BoxWriter, track: MovieTrack, movie: Movie): void {
  const { handler, edits, timescale } = track;
  const createdSeconds = creationSeconds(movie.startUtcMs);
  out.box('trak', () => {
    // enabled, in the movie, in its preview
    out.fullBox('tkhd', 1, 7, () => {
      out.u64(createdSeconds).u64(createdSeconds).u32(track.id).zeros(4);
      out.u64(edits.reduce((sum, { durationTicks }) => sum + durationTicks, 0));
      out
        .zeros(8)
        .u16(0)
        .u16(0)
        .u16(handler === 'soun' ? 0x0100 : 0)
        .u16(0);
      writeUnityMatrix(out);
      out.u16(track.width).u16(0).u16(track.height).u16(0);
    });
    if (edits.length > 0) {
      out.box('edts', () =>
        out.fullBox('elst', 1, 0, () => {
          out.u32(edits.length);
          for (const { durationTicks, mediaTicks } of edits) {
            out.u64(durationTicks);
            if (mediaTicks === null) out.u32(EMPTY).u32(EMPTY);
            else out.u64(mediaTicks);
            out.u32(NORMAL_RATE);
          }
        }),
      );
    }
    out.box('mdia', () => {
      out.fullBox('mdhd', 1, 0, () => {
        out.u64(createdSeconds).u64(createdSeconds).u32(timescale).u64(track.durationTicks);
        out.u16(UNDETERMINED_LANGUAGE).u16(0);
      });
      out.fullBox('hdlr', 0, 0, () => out.zeros(4).text(handler).zeros(13));
      out.box('minf', () => {
        if (handler === 'vide') out.fullBox('vmhd', 0, 1, () => out.zeros(8));
        else out.fullBox('smhd', 0, 0, () => out.zeros(4));
        out.box('dinf', () => out.fullBox('dref', 0, 0, () => out.u32(1).fullBox('url ', 0, 1, () => {})));
        out.box('stbl', () => {
          out.fullBox('stsd', 0, 0, () => {
            out.u32(1);
            track.sampleEntry();
          });
          track.sampleTables();
        });
      });
    });
  });
}

function writeUnityMatrix(out: BoxWriter): void {
  out.u32(0x0001_0000).zeros(12).u32(0x0001_0000).zeros(12).u32(0x4000_0000);
}
