import { open, type FileHandle } from 'node:fs/promises';
import type { Coverage, FootageKind } from '../contract/facts.ts';
import { readerOf } from '../kernel/fmp4/describe.ts';
import { scanFile, untorn, type ScannedFile, type ScannedFragment } from '../kernel/fmp4/scan.ts';
import { readTracks, type StoredTracks } from '../kernel/fmp4/stored.ts';
import type { Span } from './export-plan.ts';

/** A footage file to cut from; the chain's word on it, once it is closed. */
export interface FootageSource {
  readonly id: string;
  readonly kind: FootageKind;
  /** Absolute. */
  readonly path: string;
  readonly link: { readonly position: number; readonly hash: string; readonly sha256: string } | null;
}

export interface SurveyedFragment
  extends Coverage, Pick<ScannedFragment, 'startBytes' | 'moofBytes' | 'sealBytes'> {}

/** What has to be known of a file to cut from it. */
export interface Surveyed extends Span {
  readonly source: FootageSource;
  readonly tracks: StoredTracks;
  /** When what stands at `timing.leadTicks` is shown. */
  readonly leadUtcMs: number;
  readonly timing: ScannedFile['video'];
  readonly fragments: readonly SurveyedFragment[];
  /** Number of the fragment that each key frame begins. */
  readonly keyFragments: readonly number[];
}

/** A file that grew a moment ago may be closed by now. */
async function openEither(path: string): Promise<{ handle: FileHandle; path: string } | null> {
  const names = path.endsWith(PART_SUFFIX) ? [path, `${path.slice(0, -PART_SUFFIX.length)}.mp4`] : [path];
  for (const name of names) {
    try {
      return { handle: await open(name), path: name };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  }
  return null;
}

const PART_SUFFIX = '.part.mp4';

/** Null when the file is gone or holds no picture. Of a file that grows: its whole, sealed fragments. */
export async function survey(source: FootageSource): Promise<Surveyed | null> {
  const opened = await openEither(source.path);
  if (!opened) return null;
  await using handle = opened.handle;
  const read = readerOf(handle);
  const scanned = await scanFile(read, (await handle.stat()).size);
  const note = scanned?.notes.at(-1)?.note;
  if (!scanned || !note) return null;
  const fragments = source.link ? scanned.fragments : await untorn(read, scanned.fragments);
  const tracks = await readTracks(read);
  if (!tracks || fragments.length === 0) return null;
  const { timescale, leadTicks, frameTicks } = scanned.video;
  const utcMs = (ticks: number): number => note.startUtcMs + ((ticks - leadTicks) / timescale) * 1000;
  const keysUtcMs: number[] = [];
  const keyFragments: number[] = [];
  let endUtcMs = note.startUtcMs;
  const surveyed = fragments.map(({ startBytes, moofBytes, sealBytes, pictures }, i): SurveyedFragment => {
    const shown = pictures.map(({ shownTicks }) => shownTicks);
    if (pictures[0]?.key) {
      keysUtcMs.push(utcMs(shown[0]!));
      keyFragments.push(i);
    }
    // One of sound only plays where the last one with pictures ended.
    const startUtcMs = shown.length > 0 ? utcMs(Math.min(...shown)) : endUtcMs;
    endUtcMs = Math.max(endUtcMs, ...shown.map((ticks) => utcMs(ticks + frameTicks)));
    return { startBytes, moofBytes, sealBytes, startUtcMs, endUtcMs };
  });
  return {
    source: { ...source, path: opened.path },
    tracks,
    timing: scanned.video,
    fragments: surveyed,
    leadUtcMs: note.startUtcMs,
    startUtcMs: Math.min(...surveyed.map(({ startUtcMs }) => startUtcMs)),
    endUtcMs,
    keysUtcMs,
    keyFragments,
  };
}
