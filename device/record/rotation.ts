import { crc32 } from 'node:zlib';

/** When a file that begins at `startUtcMs` is long enough: it ends at the first key frame from then on. */
export type Rotation = (startUtcMs: number) => number;

export const clipRotation =
  (maxClipMs: number): Rotation =>
  (startUtcMs) =>
    startUtcMs + maxClipMs;

/**
 * Segments end on a grid of the wall clock, each camera's a little beside the others', so that the disk need
 * not close and open all files at once. The first file after a start is half a segment long at least, one
 * and a half at most.
 */
export function segmentRotation(segmentMs: number, cameraId: string): Rotation {
  const offsetMs = crc32(cameraId) % segmentMs;
  return (startUtcMs) =>
    offsetMs + Math.ceil((startUtcMs + segmentMs / 2 - offsetMs) / segmentMs) * segmentMs;
}
