import { BoxWriter } from '../kernel/fmp4/boxes.ts';
import { NOTE_UUID } from '../kernel/fmp4/note.ts';
import type { ReadBytes } from '../kernel/fmp4/scan.ts';
import type { FootageKind } from '../contract/facts.ts';

/** A file that an export was cut from; `link` is where it stands in the chain, null while it still grew. */
export interface NotedSource {
  readonly id: string;
  readonly kind: FootageKind;
  readonly link: { readonly position: number; readonly hash: string; readonly sha256: string } | null;
}

/** What an export says about itself: which time of which camera, and from which files. */
export interface ExportNote {
  readonly cameraId: string;
  /** With the same sources, this range makes the same file. */
  readonly fromUtcMs: number;
  readonly toUtcMs: number;
  /** What it shows. */
  readonly startUtcMs: number;
  readonly endUtcMs: number;
  readonly sources: readonly NotedSource[];
}

export function exportNoteBox(note: ExportNote): Uint8Array {
  const text = JSON.stringify({
    kind: 'export',
    camera_id: note.cameraId,
    from_ts: note.fromUtcMs,
    to_ts: note.toUtcMs,
    start_ts: note.startUtcMs,
    end_ts: note.endUtcMs,
    sources: note.sources.map(({ id, kind, link }) => ({ id, kind, ...link })),
  });
  const out = new BoxWriter();
  out.box('uuid', () => out.bytes(NOTE_UUID).bytes(new TextEncoder().encode(text)));
  return out.finish();
}

/** The note of a movie: in the `uuid` box behind its `moov`. Null when it has none, or is no movie of ours. */
export async function findExportNote(read: ReadBytes, fileBytes: number): Promise<ExportNote | null> {
  for (let at = 0; at + HEADER_BYTES <= fileBytes;) {
    const header = await read(at, HEADER_BYTES);
    const sizeBytes = header.readUInt32BE(0);
    const type = header.toString('latin1', 4);
    if (sizeBytes < HEADER_BYTES || at + sizeBytes > fileBytes) return null;
    if (type === 'uuid' && sizeBytes <= MAX_NOTE_BYTES) {
      return readExportNote(await read(at + HEADER_BYTES, sizeBytes - HEADER_BYTES));
    }
    if (type !== 'ftyp' && type !== 'moov') return null;
    at += sizeBytes;
  }
  return null;
}

const HEADER_BYTES = 8;
/** A week of minutes, with room. */
const MAX_NOTE_BYTES = 2 ** 24;

/** The note in the body of a `uuid` box; null when it is another's, or not whole. */
export function readExportNote(body: Uint8Array): ExportNote | null {
  if (!NOTE_UUID.every((byte, i) => body[i] === byte)) return null;
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder().decode(body.subarray(NOTE_UUID.byteLength)));
  } catch {
    return null;
  }
  if (!isRecord(value) || value.kind !== 'export' || !Array.isArray(value.sources)) return null;
  const { camera_id, from_ts, to_ts, start_ts, end_ts } = value;
  const times = [from_ts, to_ts, start_ts, end_ts];
  if (typeof camera_id !== 'string' || !times.every((time) => typeof time === 'number')) return null;
  const [fromUtcMs, toUtcMs, startUtcMs, endUtcMs] = times as [number, number, number, number];
  const sources: NotedSource[] = [];
  for (const source of value.sources as readonly unknown[]) {
    if (!isRecord(source)) return null;
    const { id, kind, position, hash, sha256 } = source;
    if (typeof id !== 'string' || (kind !== 'clip' && kind !== 'segment')) return null;
    const isLinked = typeof position === 'number' && typeof hash === 'string' && typeof sha256 === 'string';
    sources.push({ id, kind, link: isLinked ? { position, hash, sha256 } : null });
  }
  return { cameraId: camera_id, fromUtcMs, toUtcMs, startUtcMs, endUtcMs, sources };
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null;
