import { join } from 'node:path';
import type { FootageKind } from '../contract/facts.ts';
import { namesIn } from './folders.ts';

/** Where footage lies: `media/<kind>s/<camera>/<YYYY-MM-DD>/<id>.mp4`, relative to the data directory. */
export interface FootagePlace {
  readonly kind: FootageKind;
  readonly cameraId: string;
  readonly id: string;
  /** `part` while it grows. */
  readonly state: 'ready' | 'part';
  readonly path: string;
}

const KINDS: readonly FootageKind[] = ['clip', 'segment'];
const PLACE = /^media\/(clip|segment)s\/([^/]+)\/(\d{4}-\d\d-\d\d)\/([^/]+?)(\.part)?\.mp4$/;

/** Null when nothing of ours lies at such a path. */
export function readPlace(path: string): FootagePlace | null {
  const [, kind, cameraId, , id, part] = PLACE.exec(path) ?? [];
  if (cameraId === undefined || id === undefined) return null;
  return {
    ...{ cameraId, id, path },
    kind: kind === 'clip' ? 'clip' : 'segment',
    state: part === undefined ? 'ready' : 'part',
  };
}

/** The day is that of the id, which begins with its time: `20261123T101530.123Z`. */
export const readyPath = (kind: FootageKind, cameraId: string, id: string): string =>
  `media/${kind}s/${cameraId}/${id.slice(0, 4)}-${id.slice(4, 6)}-${id.slice(6, 8)}/${id}.mp4`;

/** When footage of this id begins; NaN for an id that does not say. */
export function startOfId(id: string): number {
  const [, year, month, day, hour, minute, second] =
    /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d\.\d{3})Z/.exec(id) ?? [];
  return Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
}

/** What lies on the disk of a camera's footage, closed or growing, that begins in a stretch of time. */
export async function footageOnDisk(
  dataDir: string,
  cameraId: string,
  fromUtcMs: number,
  toUtcMs: number,
): Promise<readonly FootagePlace[]> {
  const found: FootagePlace[] = [];
  for (const kind of KINDS) {
    const folder = `media/${kind}s/${cameraId}`;
    for (const day of await namesIn(join(dataDir, folder))) {
      const dayUtcMs = Date.parse(day);
      if (!(dayUtcMs <= toUtcMs && dayUtcMs + DAY_MS > fromUtcMs)) continue;
      for (const name of await namesIn(join(dataDir, folder, day))) {
        const place = readPlace(`${folder}/${day}/${name}`);
        if (!place) continue;
        const startUtcMs = startOfId(place.id);
        if (startUtcMs >= fromUtcMs && startUtcMs < toUtcMs) found.push(place);
      }
    }
  }
  return found;
}

const DAY_MS = 86_400_000;
