import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { Verdict } from './judge.ts';

interface FileRow {
  readonly camera_id: string;
  readonly file_id: string;
  readonly path: string;
  readonly size_bytes: number;
  readonly start_ms: number;
  readonly end_ms: number;
  readonly missing_ms: number | null;
}

interface LinkRow {
  readonly camera_id: string;
  readonly position: number;
  readonly kind: string;
  readonly file_id: string;
  readonly start_ms: number;
  readonly end_ms: number;
  readonly size_bytes: number;
  readonly sha256: Uint8Array;
  readonly hash: Uint8Array;
}

/** Times are told in whole milliseconds. */
const ROUNDING_MS = 1;

/**
 * Where the index does not say what is on the disk, read without the code that keeps it. `filmed`: events of which
 * there is footage.
 */
export function indexComplaints(
  dataDir: string,
  films: ReadonlyMap<string, Verdict>,
  filmed: ReadonlySet<string>,
): readonly string[] {
  const db = new DatabaseSync(join(dataDir, 'state', 'index.sqlite'));
  try {
    const all = <Row>(sql: string): readonly Row[] => db.prepare(sql).all() as Row[];
    const damage = all<{ integrity_check: string }>('PRAGMA integrity_check').map(
      (row) => row.integrity_check,
    );
    if (damage[0] !== 'ok') return damage;
    const files = all<FileRow>('SELECT camera_id, file.* FROM file JOIN camera ON camera.no = camera');
    const links = all<LinkRow>(
      'SELECT camera_id, link.* FROM link JOIN camera ON camera.no = camera ORDER BY camera, position',
    );
    const open = all<{ event_id: string }>('SELECT event_id FROM event WHERE end_ms IS NULL');
    const without = all<{ event_id: string }>(
      'SELECT event_id FROM event WHERE no NOT IN (SELECT event FROM clip_event)',
    );
    return [
      ...fileComplaints(files, films),
      ...chainComplaints(links),
      ...linkComplaints(files, links, films),
      ...open.map(({ event_id }) => `event ${event_id} never ended`),
      ...without
        .filter(({ event_id }) => filmed.has(event_id))
        .map(({ event_id }) => `event ${event_id} has footage and no clip`),
    ];
  } finally {
    db.close();
  }
}

function* fileComplaints(rows: readonly FileRow[], films: ReadonlyMap<string, Verdict>): Generator<string> {
  const paths = new Set(rows.map(({ path }) => path));
  for (const path of films.keys()) if (!paths.has(path)) yield `${path} is not in the index`;
  for (const { path, size_bytes, start_ms, end_ms, missing_ms } of rows) {
    const film = films.get(path);
    if (missing_ms !== null) yield `${path} is missing, says the index`;
    else if (!film) yield `${path} is in the index and not on the disk`;
    else {
      if (film.sizeBytes !== size_bytes) yield `${path} has ${film.sizeBytes} bytes, not ${size_bytes}`;
      const shown = film.picturesUtcMs;
      const isWithin = shown.every((ms) => ms >= start_ms - ROUNDING_MS && ms < end_ms + ROUNDING_MS);
      if (!isWithin) yield `${path} shows pictures outside of ${start_ms} to ${end_ms}`;
    }
  }
}

/** The formula is that of design/library.md. */
function* chainComplaints(links: readonly LinkRow[]): Generator<string> {
  for (const [cameraId, chain] of Map.groupBy(links, ({ camera_id }) => camera_id)) {
    let previous: Uint8Array = new Uint8Array(32);
    for (const [i, link] of chain.entries()) {
      const { position, kind, file_id, start_ms, end_ms, size_bytes } = link;
      const sha256 = Buffer.from(link.sha256).toString('hex');
      const said = JSON.stringify([position, cameraId, kind, file_id, start_ms, end_ms, size_bytes, sha256]);
      const hash = createHash('sha256').update(previous).update(said).digest();
      if (position !== i + 1 || !hash.equals(link.hash)) yield `${cameraId}: the chain breaks at ${position}`;
      previous = link.hash;
    }
  }
}

function* linkComplaints(
  files: readonly FileRow[],
  links: readonly LinkRow[],
  films: ReadonlyMap<string, Verdict>,
): Generator<string> {
  const byFile = new Map(links.map((link) => [link.file_id, link]));
  for (const { file_id, path } of files) {
    const link = byFile.get(file_id);
    const film = films.get(path);
    if (!link) yield `${path} is not in the chain`;
    else if (film && Buffer.from(link.sha256).toString('hex') !== film.sha256) {
      yield `${path} is not what the chain says`;
    }
  }
}
