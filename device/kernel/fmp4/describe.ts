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
 * The clips that ranged over a segment when its recorder stopped, as complete as they ever get: each ends with the
 * last footage. What of one lies in earlier segments counts as covered; gaps in those have been told.
 */
export function openClipsOf(note: FootageNote, coverage: readonly Coverage[]): readonly ClipReadyFact[] {
  const [first, last] = [coverage[0], coverage.at(-1)];
  if (!first || !last) return [];
  return note.openClips
    .filter(({ startUtcMs }) => startUtcMs < last.endUtcMs)
    .map(({ clipId, eventIds, startUtcMs }) => ({
      type: 'clip.ready',
      clip: {
        clipId,
        cameraId: note.cameraId,
        eventIds,
        path: null,
        startUtcMs,
        durationMs: last.endUtcMs - startUtcMs,
        sizeBytes: 0,
      },
      sha256: null,
      coverage: coverage
        .filter(({ endUtcMs }) => endUtcMs > startUtcMs)
        .map((range, i) => {
          const isCutOrJoined = i === 0 && (range.startUtcMs < startUtcMs || range === first);
          return isCutOrJoined ? { ...range, startUtcMs } : range;
        }),
      recovered: true,
    }));
}
