import type { FootageKind } from '../contract/facts.ts';

/** `20261123T101530.123Z`: sorts by time, and needs no escaping anywhere. */
const compactUtc = (utcMs: number): string => new Date(utcMs).toISOString().replaceAll(/[-:]/g, '');

/** Unique as long as `run` is among the processes that serve a camera, and `n` within the run. */
export const footageIdOf = (startUtcMs: number, run: string, n: number): string =>
  `${compactUtc(startUtcMs)}-${run}-${n}`;

/** What the process that made the id calls itself. */
export const runOf = (footageId: string): string =>
  footageId.slice(footageId.indexOf('-') + 1, footageId.lastIndexOf('-'));

interface FootageName {
  readonly kind: FootageKind;
  readonly cameraId: string;
  readonly id: string;
}

export const READY_SUFFIX = '.mp4';
export const PART_SUFFIX = `.part${READY_SUFFIX}`;

/** Folder of all clips or segments of a camera, relative to the data directory. */
export const cameraFolder = (kind: FootageKind, cameraId: string): string => `media/${kind}s/${cameraId}`;

/** The file while it grows, relative to the data directory. */
export const partPath = (name: FootageName): string => `${dayFolder(name)}/${name.id}${PART_SUFFIX}`;

/** The file when it is complete, relative to the data directory. */
export const readyPath = (name: FootageName): string => `${dayFolder(name)}/${name.id}${READY_SUFFIX}`;

/** By UTC day, read from the id, so that a file's place follows from its name. */
function dayFolder({ kind, cameraId, id }: FootageName): string {
  const day = `${id.slice(0, 4)}-${id.slice(4, 6)}-${id.slice(6, 8)}`;
  return `${cameraFolder(kind, cameraId)}/${day}`;
}
