import type { FootageKind } from '../../contract/facts.ts';
import { BoxWriter } from './boxes.ts';

/** `uuid` boxes of this type hold our note (version 4 UUID, drawn once for this format). */
export const NOTE_UUID = Uint8Array.from([
  0x3c, 0x51, 0x0c, 0x60, 0xdd, 0xe9, 0x49, 0xfc, 0x85, 0xa3, 0x11, 0xd7, 0x11, 0x7a, 0x54, 0x4f,
]);

/** What a footage file says about itself, so that it can be completed, and known again, without its writer. */
export interface FootageNote {
  readonly kind: FootageKind;
  /** Of the clip or segment. */
  readonly id: string;
  readonly cameraId: string;
  readonly startUtcMs: number;
  readonly eventIds: readonly string[];
}

/** A whole box, made longer by `paddingBytes`; players skip it. The last note of a file counts. */
export function noteBox(note: FootageNote, paddingBytes = 0): Uint8Array {
  const body = new TextEncoder().encode(
    JSON.stringify({
      kind: note.kind,
      id: note.id,
      camera_id: note.cameraId,
      start_ts: note.startUtcMs,
      event_ids: note.eventIds,
    }),
  );
  const out = new BoxWriter();
  out.box('uuid', () => out.bytes(NOTE_UUID).bytes(body).text(' '.repeat(paddingBytes)));
  return out.finish();
}

/** The note in the body of a `uuid` box; null when it is not ours or not whole. */
export function readNote(body: Uint8Array): FootageNote | null {
  if (!NOTE_UUID.every((byte, i) => body[i] === byte)) return null;
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder().decode(body.subarray(NOTE_UUID.byteLength)));
  } catch {
    return null;
  }
  if (typeof value !== 'object' || value === null) return null;
  const { kind, id, camera_id, start_ts, event_ids } = value as Record<string, unknown>;
  if (kind !== 'clip' && kind !== 'segment') return null;
  if (typeof id !== 'string' || typeof camera_id !== 'string' || typeof start_ts !== 'number') return null;
  if (!Array.isArray(event_ids) || !event_ids.every((id) => typeof id === 'string')) return null;
  return { kind, id, cameraId: camera_id, startUtcMs: start_ts, eventIds: event_ids };
}
