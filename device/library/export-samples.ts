import { open, type FileHandle } from 'node:fs/promises';
import { CodedError } from '../contract/errors.ts';
import { readerOf } from '../kernel/fmp4/describe.ts';
import { SEAL_BYTES } from '../kernel/fmp4/fragment.ts';
import { isSealed } from '../kernel/fmp4/scan.ts';
import { readSamples, type StoredSample, type StoredSamples } from '../kernel/fmp4/stored.ts';
import type { Piece } from './export-plan.ts';
import type { Surveyed } from './export-survey.ts';

/** Pieces of the same tracks, to become one file. Its time: the first picture is decoded at 0. */
export interface Cut {
  readonly pieces: readonly Piece<Surveyed>[];
  /** When the first key frame is shown, and in ticks of the file. */
  readonly originUtcMs: number;
  readonly leadTicks: number;
  /** No sound from before: unlike pictures, nothing is made from it. */
  readonly soundFromUtcMs: number;
}

/** In ticks of its track in the new file; sound counts from when the first picture is shown. */
export interface CutSample {
  readonly decodeTicks: number;
  readonly shownTicks: number;
  readonly durationTicks: number;
  readonly key: boolean;
  readonly sizeBytes: number;
  /** Empty unless asked for. */
  readonly data: Uint8Array;
}

export interface CutSamples {
  readonly video: readonly CutSample[];
  readonly audio: readonly CutSample[];
  /** False when the bytes they were read from are not those that were written. */
  readonly isWhole: boolean;
}

export interface ReadOptions {
  readonly withData: boolean;
  readonly signal?: AbortSignal | undefined;
  /** Every picture that was looked at, also the one right behind the range. */
  readonly onPicture?: (sample: CutSample, piece: Piece<Surveyed>) => void;
  /** The bytes of this fragment are not those that were written. */
  readonly onDamage?: (piece: Piece<Surveyed>, fragment: number) => void;
}

/** How much later than its picture sound may stand in a file. */
const AUDIO_SLACK_S = 2;
const NOTHING = new Uint8Array(0);

export function beginCut(pieces: readonly Piece<Surveyed>[], fromUtcMs: number): Cut {
  const [{ source, key }] = pieces as [Piece<Surveyed>];
  const originUtcMs = source.keysUtcMs[key]!;
  return {
    ...{ pieces, originUtcMs },
    leadTicks: source.timing.leadTicks,
    soundFromUtcMs: Math.max(originUtcMs, fromUtcMs),
  };
}

export const shownUtcMs = ({ originUtcMs, leadTicks, pieces }: Cut, shownTicks: number): number =>
  originUtcMs + ((shownTicks - leadTicks) / pieces[0]!.source.tracks.video.timescale) * 1000;

/**
 * The samples of a cut, a fragment at a time: what is needed to show the range, from the key frame on, up to the
 * last picture, in the order of decoding, that is shown in it. The same every time, as footage does not change.
 */
export async function* samplesOf(cut: Cut, options: ReadOptions): AsyncGenerator<CutSamples> {
  const clock = { decodedTicks: -1, heardTicks: -Infinity };
  for (const [i, piece] of cut.pieces.entries()) {
    const isLast = i === cut.pieces.length - 1;
    yield* samplesOfPiece(cut, piece, { ...options, isLast, clock });
  }
}

interface PieceOptions extends ReadOptions {
  readonly isLast: boolean;
  /** Where the new file has got to, in ticks of its tracks. */
  readonly clock: { decodedTicks: number; heardTicks: number };
}

async function* samplesOfPiece(
  cut: Cut,
  piece: Piece<Surveyed>,
  options: PieceOptions,
): AsyncGenerator<CutSamples> {
  const { source, key, untilUtcMs } = piece;
  const { timing, tracks } = source;
  const { clock, isLast, signal, onPicture } = options;
  const ticksSince = (utcMs: number, timescale: number): number =>
    Math.round(((utcMs - cut.originUtcMs) / 1000) * timescale);
  const shift = ticksSince(source.leadUtcMs, timing.timescale) + cut.leadTicks - timing.leadTicks;
  const untilTicks = ticksSince(untilUtcMs, timing.timescale) + cut.leadTicks;
  // Two files may tell the time of the same picture with different rounding.
  const stopTicks = isLast ? untilTicks : untilTicks - timing.frameTicks / 2;
  const audioScale = tracks.audio?.timescale ?? 0;
  const audioShift = ticksSince(source.leadUtcMs, audioScale);
  const audioFromTicks = ticksSince(cut.soundFromUtcMs, audioScale);
  const audioUntilTicks = ticksSince(untilUtcMs, audioScale);

  const isHeard = ({ decodeTicks, durationTicks }: StoredSample): boolean => {
    const startTicks = decodeTicks + audioShift;
    if (startTicks >= audioUntilTicks) return false;
    if (startTicks + durationTicks <= audioFromTicks) return false;
    return startTicks >= clock.heardTicks - durationTicks / 2;
  };

  await using handle = await openAgain(source.source.path);
  let isSeen = false;
  /** Shown behind the range; needed only when one that is decoded later is shown in it. */
  let held: CutSample[] = [];
  for (let no = source.keyFragments[key]!; no < source.fragments.length; no++) {
    signal?.throwIfAborted();
    const fragment = await readFragment(handle, source, no, options);
    if (!fragment) {
      options.onDamage?.(piece, no);
      continue;
    }
    if (!fragment.isWhole && !isSeen) options.onDamage?.(piece, no);
    const dataOf = ({ atBytes, sizeBytes }: StoredSample): Uint8Array =>
      options.withData ? fragment.bytes.subarray(atBytes, atBytes + sizeBytes) : NOTHING;
    const { samples } = fragment;
    const firstTicks = (samples.video[0]?.decodeTicks ?? -Infinity) + shift;
    if (isSeen && (!tracks.audio || firstTicks >= untilTicks + AUDIO_SLACK_S * timing.timescale)) return;
    const video: CutSample[] = [];
    for (const sample of samples.video) {
      if (isSeen) break;
      const dueTicks = sample.decodeTicks + shift;
      const shownTicks = dueTicks + sample.offsetTicks;
      const { durationTicks, key, sizeBytes } = sample;
      const picture = {
        decodeTicks: dueTicks,
        shownTicks,
        durationTicks,
        key,
        sizeBytes,
        data: dataOf(sample),
      };
      onPicture?.(picture, piece);
      isSeen = dueTicks >= stopTicks || (!isLast && shownTicks >= stopTicks);
      if (isSeen) break;
      held.push(picture);
      if (shownTicks >= stopTicks) continue;
      for (const picture of held) {
        // Decoding never goes back, even when the clocks of two files disagree.
        clock.decodedTicks = Math.max(picture.decodeTicks, clock.decodedTicks + 1);
        video.push({ ...picture, decodeTicks: clock.decodedTicks });
      }
      held = [];
    }
    const audio = samples.audio.filter(isHeard).map((sample): CutSample => {
      const decodeTicks = Math.max(sample.decodeTicks + audioShift, clock.heardTicks);
      const { durationTicks, sizeBytes } = sample;
      clock.heardTicks = decodeTicks + durationTicks;
      return {
        decodeTicks,
        shownTicks: decodeTicks,
        durationTicks,
        key: true,
        sizeBytes,
        data: dataOf(sample),
      };
    });
    if (video.length > 0 || audio.length > 0) yield { video, audio, isWhole: fragment.isWhole };
  }
}

async function openAgain(path: string): Promise<FileHandle> {
  try {
    return await open(path);
  } catch (error) {
    throw new CodedError('FOOTAGE_NOT_FOUND', 'a file was deleted while it was read; try again', {
      cause: error,
    });
  }
}

interface Fragment {
  /** From its `moof` on. */
  readonly bytes: Buffer;
  readonly samples: StoredSamples;
  /** Always true where only the header was read. */
  readonly isWhole: boolean;
}

/** Null when its header makes no sense. */
async function readFragment(
  handle: FileHandle,
  { fragments }: Surveyed,
  no: number,
  { withData }: ReadOptions,
): Promise<Fragment | null> {
  const read = readerOf(handle);
  const { startBytes, moofBytes, sealBytes } = fragments[no]!;
  if (!withData) {
    const bytes = await read(moofBytes, (await read(moofBytes, 4)).readUInt32BE(0));
    const samples = samplesWithin(bytes, sealBytes - moofBytes);
    return samples && { bytes, samples, isWhole: true };
  }
  const sealed = await read(startBytes, sealBytes + SEAL_BYTES - startBytes);
  const bytes = sealed.subarray(moofBytes - startBytes);
  const samples = samplesWithin(bytes, sealBytes - moofBytes);
  return samples && { bytes, samples, isWhole: isSealed(sealed) };
}

function samplesWithin(bytes: Buffer, fragmentBytes: number): StoredSamples | null {
  try {
    const samples = readSamples(bytes);
    const isInside = ({ atBytes, sizeBytes }: StoredSample): boolean =>
      atBytes >= 0 && atBytes + sizeBytes <= fragmentBytes;
    return samples.video.every(isInside) && samples.audio.every(isInside) ? samples : null;
  } catch (error) {
    if (error instanceof RangeError) return null;
    throw error;
  }
}
