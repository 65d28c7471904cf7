import { open, type FileHandle } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { CodedError } from '../contract/errors.ts';
import { readerOf } from '../kernel/fmp4/describe.ts';
import { scanFile, type ScannedFile } from '../kernel/fmp4/scan.ts';
import type { LibraryContext } from './context.ts';
import { bySeals, differenceAt, firstDifference, hashOf, READ_BYTES, type Difference } from './difference.ts';
import { movieChunks, planCut } from './export-cut.ts';
import { findExportNote, type ExportNote } from './export-note.ts';
import type { FootageSource } from './export-survey.ts';
import { checkChain, linksOf, type Anchor, type ChainReport, type StoredLink } from './verify-chain.ts';

export type { Anchor, ChainProblem, ChainReport } from './verify-chain.ts';

export interface FileVerdict {
  readonly path: string;
  readonly sizeBytes: number;
  readonly sha256: string;
  /**
   * `unproven`: the chain's word on it was altered itself. `unknown`: no chain of this device knows it, by its
   * bytes or by its name.
   */
  readonly state: 'unaltered' | 'altered' | 'unproven' | 'unknown';
  readonly cameraId: string | null;
  readonly link: {
    readonly position: number;
    readonly kind: StoredLink['kind'];
    readonly fileId: string;
    readonly startUtcMs: number;
    readonly endUtcMs: number;
    readonly hash: string;
  } | null;
  /** Of an altered file; null when it cannot be found. */
  readonly difference: Difference | null;
  /** An export was cut again from its sources: null when they are gone, or still grew then. */
  readonly recut: 'same' | 'different' | null;
}

export interface Verification {
  readonly files: readonly FileVerdict[];
  /** Of every camera that a file or an anchor speaks of. */
  readonly chains: readonly ChainReport[];
}

export interface VerifyRequest {
  readonly paths: readonly string[];
  readonly anchors: readonly Anchor[];
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: (path: string, doneBytes: number, totalBytes: number) => void;
}

/** Whether files are what was recorded, and whether the chain that says so is whole. Changes nothing. */
export async function verifyFiles(context: LibraryContext, request: VerifyRequest): Promise<Verification> {
  const files: FileVerdict[] = [];
  const anchors = [...request.anchors];
  for (const path of request.paths) {
    const { verdict, note } = await verifyFile(context, path, request);
    files.push(verdict);
    // An export carries where its sources stood in the chain when it was made.
    for (const { link } of note?.sources ?? []) {
      if (link)
        anchors.push({ cameraId: note!.cameraId, position: link.position, hash: link.hash, from: path });
    }
  }
  const cameras = new Set([
    ...files.map(({ cameraId }) => cameraId),
    ...anchors.map(({ cameraId }) => cameraId),
  ]);
  const chains = [...cameras]
    .filter((cameraId) => cameraId !== null)
    .toSorted()
    .map((cameraId) =>
      checkChain(
        cameraId,
        linksOf(context.store, cameraId),
        anchors.filter((anchor) => anchor.cameraId === cameraId),
      ),
    );
  return {
    files: files.map((file) => {
      const state = isDoubtful(file, chains) ? 'unproven' : file.state;
      return Object.assign(file, { state });
    }),
    chains,
  };
}

/** A link proves nothing once it, or the chain up to it, was tampered with. */
function isDoubtful({ cameraId, link }: FileVerdict, chains: readonly ChainReport[]): boolean {
  const problems = chains.find((chain) => chain.cameraId === cameraId)?.problems ?? [];
  return problems.some(({ type, position }) =>
    type === 'rewritten'
      ? link !== null && link.position <= position
      : (type === 'altered' || type === 'moved') && link?.position === position,
  );
}

interface LinkRow extends StoredLink {
  readonly cameraId: string;
}

async function verifyFile(
  context: LibraryContext,
  path: string,
  { signal, onProgress }: VerifyRequest,
): Promise<{ verdict: FileVerdict; note: ExportNote | null }> {
  await using handle = await open(path).catch((error: Error) => {
    throw new CodedError('FOOTAGE_NOT_FOUND', error.message, { cause: error });
  });
  const stats = await handle.stat();
  if (!stats.isFile()) throw new CodedError('FOOTAGE_NOT_FOUND', `${path} is no file`);
  const sizeBytes = stats.size;
  const sha256 = await hashOf(handle, signal, (done) => onProgress?.(path, done, sizeBytes));
  const read = readerOf(handle);
  const note = await findExportNote(read, sizeBytes);
  const scanned = note ? null : await scanFile(read, sizeBytes);
  const footage = scanned?.notes.at(-1)?.note ?? null;
  const exact = findLink(context, 'sha256 = ?', Buffer.from(sha256, 'hex'));
  const named = note
    ? exportLink(context, note)
    : findLink(context, 'file_id = ?', footage?.id ?? basename(path, '.mp4'));
  const link = exact ?? named;
  const recut = note && (await recutAndCompare(context, note, handle, sizeBytes, signal));
  let difference: Difference | null = null;
  if (!exact) {
    difference =
      (scanned && (await bySeals(scanned, footage!.startUtcMs, read, sizeBytes, link?.sizeBytes ?? null))) ??
      (scanned && link && (await byOriginal(context, link, scanned, footage!.startUtcMs, handle, path))) ??
      recut?.difference ??
      null;
  }
  return {
    note,
    verdict: {
      ...{ path, sizeBytes, sha256, difference },
      state: exact ? 'unaltered' : link || difference ? 'altered' : 'unknown',
      cameraId: link?.cameraId ?? note?.cameraId ?? footage?.cameraId ?? null,
      link: link && {
        position: link.position,
        kind: link.kind,
        fileId: link.fileId,
        startUtcMs: link.startMs,
        endUtcMs: link.endMs,
        hash: Buffer.from(link.hash).toString('hex'),
      },
      recut: recut && (recut.difference ? 'different' : 'same'),
    },
  };
}

function findLink(
  { store }: LibraryContext,
  where: string,
  ...values: (string | number | Buffer)[]
): LinkRow | null {
  return store.get<LinkRow>(
    `SELECT camera_id AS cameraId, position, kind, file_id AS fileId, start_ms AS startMs, end_ms AS endMs,
       size_bytes AS sizeBytes, sha256, hash
     FROM link JOIN camera ON camera.no = camera WHERE ${where} ORDER BY closed_ms LIMIT 1`,
    ...values,
  );
}

const exportLink = (context: LibraryContext, note: ExportNote): LinkRow | null =>
  findLink(
    context,
    `kind = 'export' AND camera_id = ? AND start_ms = ? AND end_ms = ?`,
    ...[note.cameraId, note.startUtcMs, note.endUtcMs],
  );

/** Against the library's own copy, if that is another file. */
async function byOriginal(
  { store, dataDir }: LibraryContext,
  { fileId }: LinkRow,
  scanned: ScannedFile,
  startUtcMs: number,
  handle: FileHandle,
  path: string,
): Promise<Difference | null> {
  const row = store.get<{ path: string }>(
    'SELECT path FROM file WHERE file_id = ? AND missing_ms IS NULL',
    fileId,
  );
  const original = row && join(dataDir, row.path);
  if (!original || original === resolve(path)) return null;
  await using other = await open(original).catch(() => null);
  if (!other) return null;
  const [ours, theirs] = [Buffer.alloc(READ_BYTES), Buffer.alloc(READ_BYTES)];
  for (let at = 0; ; at += READ_BYTES) {
    const [a, b] = await Promise.all([
      handle.read(ours, 0, READ_BYTES, at),
      other.read(theirs, 0, READ_BYTES, at),
    ]);
    const offset = firstDifference(ours.subarray(0, a.bytesRead), theirs.subarray(0, b.bytesRead));
    if (offset !== null) return differenceAt(scanned, startUtcMs, at + offset, 'altered');
    if (a.bytesRead < READ_BYTES) return null;
  }
}

/** Cuts an export again, from the same sources, and compares. Null where a source is gone, or still grew then. */
async function recutAndCompare(
  { store, dataDir, media }: LibraryContext,
  note: ExportNote,
  handle: FileHandle,
  sizeBytes: number,
  signal: AbortSignal | undefined,
): Promise<{ difference: Difference | null } | null> {
  const sources: FootageSource[] = [];
  for (const { id, kind, link } of note.sources) {
    const row = store.get<{ path: string }>(
      'SELECT path FROM file WHERE file_id = ? AND media = ? AND missing_ms IS NULL',
      ...[id, media],
    );
    if (!row || !link) return null;
    sources.push({ id, kind, link, path: join(dataDir, row.path) });
  }
  const { cameraId, fromUtcMs, toUtcMs } = note;
  const cut = await planCut({ cameraId, sources, fromUtcMs, toUtcMs, signal }).catch((error: unknown) => {
    if (error instanceof CodedError && error.code === 'FOOTAGE_NOT_FOUND') return null;
    throw error;
  });
  const [planned] = cut?.movies ?? [];
  if (!planned || planned.movie.cut.pieces.length !== sources.length) return null;
  const read = readerOf(handle);
  const differs = (atBytes: number, startUtcMs: number | null, how: Difference['how']) => ({
    difference: { atBytes, startUtcMs: startUtcMs && Math.round(startUtcMs), endUtcMs: null, how },
  });
  let at = 0;
  for await (const { bytes, utcMs } of movieChunks(planned, { signal })) {
    const theirs = await read(at, Math.min(bytes.byteLength, Math.max(0, sizeBytes - at)));
    const offset = firstDifference(theirs, bytes);
    if (offset !== null)
      return differs(at + offset, utcMs, offset < theirs.byteLength ? 'altered' : 'cut off');
    at += bytes.byteLength;
  }
  return at < sizeBytes ? differs(at, null, 'made longer') : { difference: null };
}
