import type { AudioTrack, VideoTrack } from '../../contract/media.ts';
import { BoxWriter } from './boxes.ts';
import { writeMovieHeader, writeTrack, type Movie, type MovieTrack } from './movie.ts';
import { writeAudioEntry, writeVideoEntry } from './sample-entry.ts';

export const VIDEO_TRACK_ID = 1;
export const AUDIO_TRACK_ID = 2;

const MOVIE_TIMESCALE = 1000;
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

/** A track as the beginning of a file describes it. */
export interface TrackHead {
  readonly timescale: number;
  /** 0 for sound. */
  readonly width: number;
  readonly height: number;
  readonly sampleEntry: (out: BoxWriter) => void;
}

/**
 * `ftyp` + `moov` of a fragmented file (ISO/IEC 14496-12 §8.8): no samples, no duration, so it never has to
 * be written again.
 */
export function initSegment({ video, audio, ...init }: InitSegment): Uint8Array {
  const { timescale, width, height } = video;
  return fragmentedHead({
    ...init,
    video: { timescale, width, height, sampleEntry: (out) => writeVideoEntry(out, video) },
    audio: audio && {
      ...{ timescale: audio.timescale, width: 0, height: 0 },
      sampleEntry: (out) => writeAudioEntry(out, audio),
    },
  });
}

export interface FragmentedHead extends Omit<InitSegment, 'video' | 'audio'> {
  readonly video: TrackHead;
  readonly audio?: TrackHead | undefined;
}

/** The same from sample entries that are there already. */
export function fragmentedHead(head: FragmentedHead): Uint8Array {
  const { video, audio, leadTicks } = head;
  const out = new BoxWriter();
  const movie: Movie = {
    startUtcMs: head.startUtcMs,
    timescale: MOVIE_TIMESCALE,
    durationTicks: 0,
    nextTrackId: AUDIO_TRACK_ID + 1,
  };
  const track = (id: number, { sampleEntry, ...shape }: TrackHead): MovieTrack => ({
    id,
    ...shape,
    handler: id === VIDEO_TRACK_ID ? 'vide' : 'soun',
    durationTicks: 0,
    edits: id === VIDEO_TRACK_ID && leadTicks > 0 ? [{ durationTicks: 0, mediaTicks: leadTicks }] : [],
    sampleEntry: () => sampleEntry(out),
    sampleTables() {
      for (const empty of ['stts', 'stsc', 'stco']) out.fullBox(empty, 0, 0, () => out.u32(0));
      out.fullBox('stsz', 0, 0, () => out.u32(0).u32(0));
    },
  });
  // iso6: movie-fragment-relative addressing, 64-bit decode times, signed composition offsets
  out.box('ftyp', () => out.text('iso6').u32(1).text('iso6').text('mp41'));
  out.box('moov', () => {
    writeMovieHeader(out, movie);
    writeTrack(out, track(VIDEO_TRACK_ID, video), movie);
    if (audio) writeTrack(out, track(AUDIO_TRACK_ID, audio), movie);
    out.box('mvex', () => {
      writeTrackExtends(out, VIDEO_TRACK_ID, head.frameTicks, NON_KEY_SAMPLE);
      if (audio) writeTrackExtends(out, AUDIO_TRACK_ID, 0, 0);
    });
  });
  return out.finish();
}

function writeTrackExtends(out: BoxWriter, trackId: number, durationTicks: number, flags: number): void {
  out.fullBox('trex', 0, 0, () => out.u32(trackId).u32(1).u32(durationTicks).u32(0).u32(flags));
}
