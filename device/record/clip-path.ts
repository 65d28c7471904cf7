/** `20261123T101530.123Z`: sorts by time, and needs no escaping anywhere. */
const compactUtc = (utcMs: number): string => new Date(utcMs).toISOString().replaceAll(/[-:]/g, '');

/** Unique as long as `run` is among the processes that serve a camera, and `n` within the run. */
export const clipIdOf = (startUtcMs: number, run: string, n: number): string =>
  `${compactUtc(startUtcMs)}-${run}-${n}`;

interface ClipName {
  readonly cameraId: string;
  readonly clipId: string;
}

export const PART_SUFFIX = '.part.mp4';

/** Folder of all clips of a camera, relative to the data directory. */
export const cameraFolder = (cameraId: string): string => `media/clips/${cameraId}`;

/** The file while it grows, relative to the data directory. */
export const partPath = (clip: ClipName): string => `${dayFolder(clip)}/${clip.clipId}${PART_SUFFIX}`;

/** The file when it is complete, relative to the data directory. */
export const readyPath = (clip: ClipName): string => `${dayFolder(clip)}/${clip.clipId}.mp4`;

/** By UTC day, read from the id, so that a clip's place follows from its name. */
function dayFolder({ cameraId, clipId }: ClipName): string {
  const day = `${clipId.slice(0, 4)}-${clipId.slice(4, 6)}-${clipId.slice(6, 8)}`;
  return `${cameraFolder(cameraId)}/${day}`;
}
