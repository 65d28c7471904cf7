import { readMp4 } from '../unit/record/mp4.ts';

export interface Film {
  /** When each picture was shown, by the file's note and its own time. */
  readonly picturesUtcMs: readonly number[];
  /** Data of all pictures and of all sound. */
  readonly samples: readonly Buffer[];
}

/** Reads a footage file without the code that writes and recovers them; throws where it is not whole. */
export function filmOf(bytes: Buffer): Film {
  const { notes, tracks } = readMp4(bytes);
  const { start_ts } = notes.at(-1) as { start_ts: number };
  const { mediaTime, samples, timescale } = tracks.find(({ handler }) => handler === 'vide')!;
  return {
    picturesUtcMs: samples.map(({ pts }) => start_ts + ((pts - mediaTime) / timescale) * 1000),
    samples: tracks.flatMap(({ samples }) => samples.map(({ data }) => data)),
  };
}
