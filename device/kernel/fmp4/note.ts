import type { FootageKind } from '../../contract/facts.ts';
import { BoxWriter } from './boxes.ts';

/** `uuid` boxes of this type hold our note (version 4 UUID, drawn once for this format). */
export const NOTE_UUID = Uint8Array.from([
  0x3c, 0x51, 0x0c, 0x60, 0xdd, 0xe9, 0x49, 0xfc, 0x85, 0xa3, 0x11, 0xd7, 0x11, 0x7a, 0x54, 0x4f,
]);

/** A clip that ranges over segments. */
export interface ClipOver {
  readonly clipId: string;
  readonly startUtcMs: number;
  /** null: it goes on. */
  readonly endUtcMs: number | null;
  readonly eventIds: readonly string[];
}

/** What a footage file says about itself, so that it can be completed, and known again, without its writer. */
export interface FootageNote {
  readonly kind: FootageKind;
  /** Of the clip or segment. */
  readonly id: string;
  readonly cameraId: string;
  readonly startUtcMs: number;
  /** Of a clip. */
  readonly eventIds: readonly string[];
  /** Of a segment: what ranges over it, so that its clips are known without its writer, too. */
  readonly clips: readonly ClipOver[];
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
      ...(note.clips.length > 0 && {
        clips: note.clips.map(({ clipId, startUtcMs, endUtcMs, eventIds }) => ({
          clip_id: clipId,
          start_ts: startUtcMs,
          end_ts: endUtcMs,
          event_ids: eventIds,
        })),
      }),
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
  const { kind, id, camera_id, start_ts, event_ids, clips = [] } = value as Record<string, unknown>;
  if (kind !== 'clip' && kind !== 'segment') return null;
  if (typeof id !== 'string' || typeof camera_id !== 'string' || typeof start_ts !== 'number') return null;
  if (!isStrings(event_ids) || !Array.isArray(clips)) return null;
  const over = clips.map(readClip);
  if (!over.every((clip) => clip !== null)) return null;
  return { kind, id, cameraId: camera_id, startUtcMs: start_ts, eventIds: event_ids, clips: over };
}

function readClip(value: unknown): ClipOver | null {
  if (typeof value !== 'object' || value === null) return null;
  const { clip_id, start_ts, end_ts, event_ids } = value as Record<string, unknown>;
  if (typeof clip_id !== 'string' || typeof start_ts !== 'number' || !isStrings(event_ids)) return null;
  if (end_ts !== null && typeof end_ts !== 'number') return null;
  return { clipId: clip_id, startUtcMs: start_ts, endUtcMs: end_ts, eventIds: event_ids };
}

const isStrings = (value: unknown): value is readonly string[] =>
  Array.isArray(value) && value.every((item) => typeof item === 'string');
