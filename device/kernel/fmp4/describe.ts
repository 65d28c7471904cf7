import type { FileHandle } from 'node:fs/promises';
import type { ClipReadyFact, Coverage } from '../../contract/facts.ts';
import { CoverageTracker } from './coverage.ts';
import type { FootageNote } from './note.ts';
import type { ReadBytes, ScannedFile } from './scan.ts';

/** Rejects where the file ends before `sizeBytes` are read. */
export const readerOf =
  (handle: FileHandle): ReadBytes =>
  async (positionBytes, sizeBytes) => {
    const buffer = Buffer.allocUnsafe(sizeBytes);
    for (let filled = 0; filled < sizeBytes;) {
      const { bytesRead } = await handle.read(buffer, filled, sizeBytes - filled, positionBytes + filled);
      if (bytesRead === 0) throw new Error('the file ended while it was read');
      filled += bytesRead;
    }
    return buffer;
  };

/** From the first picture shown to the end of the last. */
export function durationMsOf({ fragments, video }: ScannedFile): number {
  const shown = fragments.flatMap(({ pictures }) => pictures.map(({ shownTicks }) => shownTicks));
  const endTicks =
    shown.reduce((latest, ticks) => Math.max(latest, ticks), video.leadTicks) + video.frameTicks;
  return Math.round(((endTicks - video.leadTicks) / video.timescale) * 1000);
}

/** Holes in the file are as long as the gaps were, so its own time tells the wall clock. */
export function coverageOf({ fragments, video }: ScannedFile, startUtcMs: number): readonly Coverage[] {
  const { frameTicks, leadTicks, timescale } = video;
  const utcMs = (ticks: number): number => startUtcMs + ((ticks - leadTicks) / timescale) * 1000;
  const tracker = new CoverageTracker();
  for (const { decodeTicks, shownTicks } of fragments.flatMap(({ pictures }) => pictures)) {
    tracker.add({
      generation: 0,
      decodeUtcMs: utcMs(decodeTicks),
      startUtcMs: utcMs(shownTicks),
      durationMs: (frameTicks / timescale) * 1000,
    });
  }
  return tracker.ranges;
}

/**
 * The clips over a segment, told for a writer that cannot any more: one that went on ends with the footage. What of
 * one lies in earlier segments counts as covered; gaps in those have been told.
 */
export function clipsOver(note: FootageNote, coverage: readonly Coverage[]): readonly ClipReadyFact[] {
  const [first, last] = [coverage[0], coverage.at(-1)];
  if (!first || !last) return [];
  return note.clips
    .map((clip) => ({ ...clip, endUtcMs: clip.endUtcMs ?? last.endUtcMs }))
    .filter(({ startUtcMs, endUtcMs }) => startUtcMs < endUtcMs)
    .map(({ clipId, eventIds, startUtcMs, endUtcMs }) => ({
      type: 'clip.ready',
      clip: {
        ...{ clipId, cameraId: note.cameraId, eventIds, path: null, sizeBytes: 0 },
        ...{ startUtcMs, durationMs: endUtcMs - startUtcMs },
      },
      sha256: null,
      coverage: coverage
        .map((range) => ({
          startUtcMs: range === first ? startUtcMs : Math.max(range.startUtcMs, startUtcMs),
          endUtcMs: Math.min(range.endUtcMs, endUtcMs),
        }))
        .filter((range) => range.startUtcMs < range.endUtcMs),
      recovered: true,
    }));
}
