/**
 * Messages on the detector's socket: `u32 length of header (little endian) | header, JSON | parts`.
 * The header's `parts` lists their lengths; each part arrives in memory of its own, so that it can move on
 * to another thread without a copy.
 */
export interface Frame {
  readonly header: Readonly<Record<string, unknown>>;
  readonly parts: readonly Uint8Array<ArrayBuffer>[];
}

export interface FrameLimits {
  readonly headerBytes: number;
  readonly parts: number;
  /** Each part has exactly this length; null: it may not have parts (yet). */
  partBytes(): number | null;
}

/** What arrives is not a message of ours. The link is lost: nobody can know where the next one begins. */
export class FrameError extends Error {}

const PREFIX_BYTES = 4;

/** The beginning of a frame; the parts follow as they are. */
export function encodeHead(header: object, parts: readonly Uint8Array[] = []): Uint8Array {
  const lengths = parts.length > 0 ? { parts: parts.map(({ byteLength }) => byteLength) } : {};
  const json = Buffer.from(JSON.stringify({ ...header, ...lengths }));
  const head = Buffer.allocUnsafe(PREFIX_BYTES + json.byteLength);
  head.writeUInt32LE(json.byteLength);
  json.copy(head, PREFIX_BYTES);
  return head;
}

/** Puts frames together from a byte stream that is cut anywhere. Holds at most one frame. */
export class FrameReader {
  readonly #limits: FrameLimits;
  #field = allocate(PREFIX_BYTES);
  #filled = 0;
  #stage: 'prefix' | 'header' | 'parts' = 'prefix';
  #header: Frame['header'] = {};
  #missing: number[] = [];
  #parts: Uint8Array<ArrayBuffer>[] = [];

  constructor(limits: FrameLimits) {
    this.#limits = limits;
  }

  /** Frames that `chunk` completes, in order. @throws FrameError; the reader is of no use afterwards */
  *push(chunk: Uint8Array): Generator<Frame> {
    for (let offset = 0; offset < chunk.byteLength;) {
      const count = Math.min(chunk.byteLength - offset, this.#field.byteLength - this.#filled);
      this.#field.set(chunk.subarray(offset, offset + count), this.#filled);
      offset += count;
      this.#filled += count;
      if (this.#filled < this.#field.byteLength) return;
      const frame = this.#fieldComplete();
      if (frame) yield frame;
    }
  }

  #fieldComplete(): Frame | null {
    const field = this.#field;
    if (this.#stage === 'prefix') {
      const length = new DataView(field.buffer).getUint32(0, true);
      if (length === 0 || length > this.#limits.headerBytes)
        throw new FrameError(`header of ${length} bytes`);
      this.#expect('header', length);
      return null;
    }
    if (this.#stage === 'header') {
      this.#header = parseHeader(field);
      this.#missing = this.#partLengths();
    } else {
      this.#parts.push(field);
    }
    const next = this.#missing.shift();
    if (next !== undefined) {
      this.#expect('parts', next);
      return null;
    }
    const frame = { header: this.#header, parts: this.#parts };
    this.#parts = [];
    this.#expect('prefix', PREFIX_BYTES);
    return frame;
  }

  #partLengths(): number[] {
    const lengths = this.#header['parts'] ?? [];
    const partBytes = this.#limits.partBytes();
    if (!Array.isArray(lengths) || lengths.length > this.#limits.parts)
      throw new FrameError(`parts are not a list of at most ${this.#limits.parts}`);
    for (const length of lengths)
      if (length !== partBytes)
        throw new FrameError(`part of ${String(length)} bytes, expected ${partBytes}`);
    return lengths as number[];
  }

  #expect(stage: 'prefix' | 'header' | 'parts', bytes: number): void {
    this.#stage = stage;
    this.#field = allocate(bytes);
    this.#filled = 0;
  }
}

/** Not from Node's pool: the memory can be transferred. Not zeroed: every byte is written before it is read. */
const allocate = (bytes: number): Uint8Array<ArrayBuffer> => Buffer.allocUnsafeSlow(bytes);

function parseHeader(bytes: Uint8Array): Frame['header'] {
  let header: unknown;
  try {
    header = JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString());
  } catch (error) {
    throw new FrameError('header is not JSON', { cause: error });
  }
  if (typeof header !== 'object' || header === null || Array.isArray(header))
    throw new FrameError('header is not an object');
  return header as Frame['header'];
}
