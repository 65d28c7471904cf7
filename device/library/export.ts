import { join } from 'node:path';
import { CodedError } from '../contract/errors.ts';
import type { FootageKind } from '../contract/facts.ts';
import type { ChainLink } from '../contract/library.ts';
import { appendLink } from './chain.ts';
import { cameraNo } from './commit.ts';
import type { LibraryContext } from './context.ts';
import { planCut, writeCut, type CutFile, type Damage, type PlannedCut } from './export-cut.ts';
import type { FootageSource } from './export-survey.ts';
import { expectCamera } from './guest.ts';
import { footageOnDisk } from './place.ts';
import { LONG_MS } from './schema.ts';

export interface ExportRequest {
  readonly cameraId: string;
  /** Whole milliseconds. */
  readonly fromUtcMs: number;
  readonly toUtcMs: number;
  /** Of the first file; see `writeCut`. */
  readonly path: string;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: (doneBytes: number, totalBytes: number) => void;
}

export interface ExportedFile extends CutFile {
  readonly chain: ChainLink;
}

export interface Exported extends Pick<PlannedCut, 'coverage' | 'gaps'> {
  readonly files: readonly ExportedFile[];
  readonly damaged: readonly Damage[];
}

/** Cuts a stretch of a camera's footage into a file, and says so in its chain. */
export async function exportFootage(context: LibraryContext, request: ExportRequest): Promise<Exported> {
  const { store } = context;
  const { cameraId, fromUtcMs, toUtcMs, signal } = request;
  const sources = await sourcesOf(context, cameraId, fromUtcMs, toUtcMs);
  let cut: PlannedCut;
  try {
    cut = await planCut({ cameraId, sources, fromUtcMs, toUtcMs, signal });
  } catch (error) {
    if (!(error instanceof CodedError && error.code === 'FOOTAGE_NOT_FOUND')) throw error;
    throw new CodedError('FOOTAGE_NOT_FOUND', whatThereIs(context, request), { cause: error });
  }
  const { files, damaged } = await writeCut(cut, request.path, {
    signal,
    onProgress: (doneBytes) => request.onProgress?.(doneBytes, cut.dataBytes),
  });
  const linked: ExportedFile[] = [];
  store.transaction(() => {
    for (const file of files) linked.push({ ...file, chain: chainExport(context, cameraId, file) });
  });
  return { files: linked, damaged, coverage: cut.coverage, gaps: cut.gaps };
}

function chainExport({ store, clock }: LibraryContext, cameraId: string, file: CutFile): ChainLink {
  const { startUtcMs: startMs, endUtcMs: endMs, sizeBytes } = file;
  const { position, hash } = appendLink(
    store,
    cameraNo(store, cameraId, startMs),
    {
      ...{ kind: 'export', fileId: exportId(file.sha256), startMs, endMs, sizeBytes },
      sha256: Buffer.from(file.sha256, 'hex'),
    },
    Math.round(clock.utcMs()),
  );
  return { position, hash };
}

/** An export is known by its bytes: the same stretch again is the same link. */
export const exportId = (sha256: string): string => `export-${sha256}`;

interface SourceRow {
  readonly file_id: string;
  readonly kind: FootageKind;
  readonly path: string;
  readonly position: number;
  readonly hash: Uint8Array;
  readonly sha256: Uint8Array;
}

/** Closed files by the index; what the index does not have, or not yet, by what lies on the disk. */
export async function sourcesOf(
  { store, dataDir, media }: LibraryContext,
  cameraId: string,
  fromUtcMs: number,
  toUtcMs: number,
): Promise<readonly FootageSource[]> {
  const places = await footageOnDisk(dataDir, cameraId, fromUtcMs - LONG_MS, toUtcMs);
  // Read after the disk, so that a file that is closed in between is found here.
  const rows = store.all<SourceRow>(
    `SELECT file_id, file.kind, path, position, hash, sha256
     FROM file JOIN camera ON camera.no = file.camera JOIN link USING (file_id)
     WHERE camera_id = ? AND file.start_ms > ? - ${LONG_MS} AND file.start_ms < ? AND file.end_ms > ?
       AND media = ? AND missing_ms IS NULL`,
    ...[cameraId, fromUtcMs, toUtcMs, fromUtcMs, media],
  );
  const known = new Set(rows.map(({ file_id }) => file_id));
  return [
    ...rows.map(({ file_id: id, kind, path, position, hash, sha256 }): FootageSource => {
      const link = { position, hash: hexOf(hash), sha256: hexOf(sha256) };
      return { id, kind, path: join(dataDir, path), link };
    }),
    ...places
      .filter(({ id }) => !known.has(id))
      .map(({ id, kind, path }): FootageSource => ({ id, kind, path: join(dataDir, path), link: null })),
  ];
}

const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

function whatThereIs({ store, media }: LibraryContext, request: ExportRequest): string {
  const { cameraId, fromUtcMs, toUtcMs } = request;
  const camera = expectCamera(store, cameraId);
  const edge = (select: string, where: string, order: string, utcMs: number): string | null => {
    const found = store.get<{ ms: number }>(
      `SELECT ${select} AS ms FROM file WHERE camera = ? AND media = ? AND missing_ms IS NULL AND ${where}
       ORDER BY ${order} LIMIT 1`,
      ...[camera, media, utcMs],
    );
    return found && new Date(found.ms).toISOString();
  };
  const before = edge('end_ms', 'start_ms < ?', 'start_ms DESC', fromUtcMs);
  const after = edge('start_ms', 'start_ms >= ?', 'start_ms', toUtcMs);
  const sides = [before && `what is before ends ${before}`, after && `what is after begins ${after}`];
  return sides.filter((side) => side !== null).join(', ') || `"${cameraId}" has none at all`;
}
