import { AUDIO_TRACK_ID, VIDEO_TRACK_ID, type TrackHead } from './init-segment.ts';
import { bodies, find, NON_SYNC, u64, type ReadBytes } from './scan.ts';

/** Reads the samples of footage files, to put them into another file. */

const HEADER_BYTES = 8;

/** A track as a file has it; `entry` is what stands in its `stsd`. */
export interface StoredTrack extends TrackHead {
  readonly entry: Buffer;
}

export interface StoredTracks {
  readonly video: StoredTrack;
  readonly audio: StoredTrack | null;
}

/** A sample of a fragment, in the time of its file. */
export interface StoredSample {
  readonly decodeTicks: number;
  readonly durationTicks: number;
  /** Composition time minus decode time. */
  readonly offsetTicks: number;
  readonly key: boolean;
  /** From the beginning of the fragment. */
  readonly atBytes: number;
  readonly sizeBytes: number;
}

export interface StoredSamples {
  readonly video: readonly StoredSample[];
  readonly audio: readonly StoredSample[];
}

/** From the `moov` of a footage file, which follows its `ftyp`; null when it has no pictures. */
export async function readTracks(read: ReadBytes): Promise<StoredTracks | null> {
  const at = (await read(0, 4)).readUInt32BE(0);
  const sizeBytes = (await read(at, 4)).readUInt32BE(0);
  const moov = await read(at + HEADER_BYTES, sizeBytes - HEADER_BYTES);
  const tracks = new Map<number, StoredTrack>();
  for (const trak of bodies(moov, 'trak')) {
    const header = find(trak, 'tkhd');
    const media = find(trak, 'mdia', 'mdhd');
    const description = find(trak, 'mdia', 'minf', 'stbl', 'stsd');
    if (!header || !media || !description) return null;
    // `stsd` begins with version, flags and the number of entries.
    const entry = description.subarray(8);
    tracks.set(header.readUInt32BE(20), {
      timescale: media.readUInt32BE(20),
      width: header.readUInt16BE(header.byteLength - 8),
      height: header.readUInt16BE(header.byteLength - 4),
      entry,
      sampleEntry: (out) => out.bytes(entry),
    });
  }
  const video = tracks.get(VIDEO_TRACK_ID);
  return video ? { video, audio: tracks.get(AUDIO_TRACK_ID) ?? null } : null;
}

/** Whether footage of both can go into one file. */
export const sameTracks = (a: StoredTracks, b: StoredTracks): boolean =>
  sameTrack(a.video, b.video) && sameTrack(a.audio, b.audio);

const sameTrack = (a: StoredTrack | null, b: StoredTrack | null): boolean =>
  a === b || (a !== null && b !== null && a.timescale === b.timescale && a.entry.equals(b.entry));

/** `fragment` is a whole one, or at least its `moof`. */
export function readSamples(fragment: Buffer): StoredSamples {
  const moof = fragment.subarray(HEADER_BYTES, fragment.readUInt32BE(0));
  const samples = new Map<number, readonly StoredSample[]>();
  for (const traf of bodies(moof, 'traf')) {
    const [header, decodeTime, run] = [find(traf, 'tfhd'), find(traf, 'tfdt'), find(traf, 'trun')];
    if (!header || !decodeTime || !run) continue;
    const trackId = header.readUInt32BE(4);
    samples.set(trackId, readRun(run, u64(decodeTime, 4), trackId === VIDEO_TRACK_ID));
  }
  return { video: samples.get(VIDEO_TRACK_ID) ?? [], audio: samples.get(AUDIO_TRACK_ID) ?? [] };
}

/** Fields as fragment.ts writes them: duration and size, and of pictures flags and composition offset. */
function readRun(run: Buffer, startTicks: number, isVideo: boolean): readonly StoredSample[] {
  const entryBytes = isVideo ? 16 : 8;
  let decodeTicks = startTicks;
  let atBytes = run.readInt32BE(8);
  return Array.from({ length: run.readUInt32BE(4) }, (_, i): StoredSample => {
    const entry = 12 + i * entryBytes;
    const [durationTicks, sizeBytes] = [run.readUInt32BE(entry), run.readUInt32BE(entry + 4)];
    const sample = {
      ...{ decodeTicks, durationTicks, atBytes, sizeBytes },
      key: !isVideo || (run.readUInt32BE(entry + 8) & NON_SYNC) === 0,
      offsetTicks: isVideo ? run.readInt32BE(entry + 12) : 0,
    };
    decodeTicks += durationTicks;
    atBytes += sizeBytes;
    return sample;
  });
}
