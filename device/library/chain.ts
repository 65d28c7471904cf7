import { createHash } from 'node:crypto';
import type { ChainLink } from '../contract/library.ts';
import type { Store } from './store.ts';

/** What a link of the chain says of a closed file. */
export interface Linked {
  readonly kind: 'clip' | 'segment' | 'export';
  readonly fileId: string;
  readonly startMs: number;
  readonly endMs: number;
  readonly sizeBytes: number;
  /** Of its bytes. */
  readonly sha256: Uint8Array;
}

const FIRST_PREVIOUS = new Uint8Array(32);

/** The chain's hash up to and with this link; the formula is in design/library.md. Pure. */
export function linkHash(
  previous: Uint8Array | null,
  position: number,
  cameraId: string,
  linked: Linked,
): Uint8Array {
  const { kind, fileId, startMs, endMs, sizeBytes, sha256 } = linked;
  const said = [
    position,
    cameraId,
    kind,
    fileId,
    startMs,
    endMs,
    sizeBytes,
    Buffer.from(sha256).toString('hex'),
  ];
  return createHash('sha256')
    .update(previous ?? FIRST_PREVIOUS)
    .update(JSON.stringify(said))
    .digest();
}

export interface Appended extends ChainLink {
  readonly isNew: boolean;
}

interface LinkRow {
  readonly position: number;
  readonly hash: Uint8Array;
}

/** Once per file: a second time gives the link that is there. In the transaction that commits the file. */
export function appendLink(store: Store, camera: number, linked: Linked, closedMs: number): Appended {
  const known = store.get<LinkRow>('SELECT position, hash FROM link WHERE file_id = ?', linked.fileId);
  if (known) return { ...linkOf(known), isNew: false };
  const { camera_id } = store.get<{ camera_id: string }>(
    'SELECT camera_id FROM camera WHERE no = ?',
    camera,
  )!;
  const last = store.get<LinkRow>(
    'SELECT position, hash FROM link WHERE camera = ? ORDER BY position DESC LIMIT 1',
    camera,
  );
  const position = (last?.position ?? 0) + 1;
  const hash = linkHash(last?.hash ?? null, position, camera_id, linked);
  const { kind, fileId, startMs, endMs, sizeBytes, sha256 } = linked;
  store.run(
    'INSERT INTO link VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
    ...[camera, position, kind, fileId, startMs, endMs, sizeBytes, sha256, hash, closedMs],
  );
  return { ...linkOf({ position, hash }), isNew: true };
}

const linkOf = ({ position, hash }: LinkRow): ChainLink => ({
  position,
  hash: Buffer.from(hash).toString('hex'),
});
