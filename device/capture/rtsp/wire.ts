import { invalid, MAX_HEAD_BYTES, parseHead, type Head, type Message } from './message.ts';

/** How much of what is neither a message nor a frame is passed over, in a row, before the camera is given up. */
const MAX_GARBAGE_BYTES = 65_536;
const DOLLAR = 0x24;
const EMPTY = Buffer.alloc(0);
const MESSAGE_STARTS = [
  'RTSP/',
  'OPTIONS ',
  'ANNOUNCE ',
  'SET_PARAMETER ',
  'GET_PARAMETER ',
  'REDIRECT ',
  'TEARDOWN ',
];
const LONGEST_START = Math.max(...MESSAGE_STARTS.map(({ length }) => length));

export interface WireListener {
  /** `payload` is valid during the call only. */
  frame(channel: number, payload: Buffer): void;
  message(message: Message): void;
}

/**
 * Cuts what comes over the connection into messages and interleaved frames (RFC 2326 §10.12), however it is cut
 * into pieces. What is neither is looked past once there have been frames, as cameras do send such bytes; before,
 * it is no RTSP server.
 *
 * Invariant: what is kept between two pieces is at most one frame, or one message, in the making.
 */
export class Wire {
  readonly #listener: WireListener;
  #rest: Buffer = EMPTY;
  #head: Head | null = null;
  #begun = false;
  #garbageBytes = 0;

  constructor(listener: WireListener) {
    this.#listener = listener;
  }

  get pendingBytes(): number {
    return this.#rest.length;
  }

  /** Throws CAMERA_INPUT_INVALID; after that it is of no use. `piece` stays the caller's. */
  push(piece: Buffer): void {
    const bytes = this.#rest.length > 0 ? Buffer.concat([this.#rest, piece]) : piece;
    let at = 0;
    while (at < bytes.length) {
      const end = this.#take(bytes, at);
      if (end === at) break;
      at = end;
    }
    this.#rest = at === bytes.length ? EMPTY : Buffer.from(bytes.subarray(at));
  }

  /** Where the next thing begins; `at`: more is needed. */
  #take(bytes: Buffer, at: number): number {
    if (this.#head) return this.#takeBody(bytes, at, this.#head);
    if (bytes[at] === DOLLAR) return this.#takeFrame(bytes, at);
    // Between messages there may be empty lines.
    if (bytes[at] === 0x0d || bytes[at] === 0x0a) return at + 1;
    const start = startsMessage(bytes, at);
    if (start === 'yes') return this.#takeHead(bytes, at);
    if (start === 'perhaps') return at;
    return this.#passOver(bytes, at);
  }

  #takeFrame(bytes: Buffer, at: number): number {
    if (at + 4 > bytes.length) return at;
    const end = at + 4 + bytes.readUInt16BE(at + 2);
    if (end > bytes.length) return at;
    this.#sane();
    this.#listener.frame(bytes[at + 1]!, bytes.subarray(at + 4, end));
    return end;
  }

  #takeHead(bytes: Buffer, at: number): number {
    const { textEnd, end } = endOfHead(bytes, at);
    if (end < 0) {
      if (bytes.length - at > MAX_HEAD_BYTES) throw invalid('an answer is too long');
      return at;
    }
    if (textEnd - at > MAX_HEAD_BYTES) throw invalid('an answer is too long');
    this.#head = parseHead(bytes.toString('latin1', at, textEnd));
    return this.#head.bodyBytes > 0 ? end : this.#takeBody(bytes, end, this.#head);
  }

  #takeBody(bytes: Buffer, at: number, { bodyBytes, status, headers }: Head): number {
    const end = at + bodyBytes;
    if (end > bytes.length) return at;
    this.#head = null;
    this.#sane();
    this.#listener.message({ status, headers, body: bytes.toString('utf8', at, end) });
    return end;
  }

  #sane(): void {
    this.#begun = true;
    this.#garbageBytes = 0;
  }

  #passOver(bytes: Buffer, at: number): number {
    if (!this.#begun) throw invalid('no RTSP server answers there');
    let end = at + 1;
    while (end < bytes.length && bytes[end] !== DOLLAR && bytes[end] !== 0x52 /* R */) end++;
    this.#garbageBytes += end - at;
    if (this.#garbageBytes > MAX_GARBAGE_BYTES) throw invalid('the camera sends what is not RTSP');
    return end;
  }
}

function startsMessage(bytes: Buffer, at: number): 'yes' | 'no' | 'perhaps' {
  const text = bytes.toString('latin1', at, Math.min(bytes.length, at + LONGEST_START));
  if (MESSAGE_STARTS.some((start) => text.startsWith(start))) return 'yes';
  return MESSAGE_STARTS.some((start) => start.startsWith(text)) ? 'perhaps' : 'no';
}

/** An empty line ends the head; some cameras end lines with a line feed alone. `end` −1: it is not there yet. */
function endOfHead(bytes: Buffer, at: number): { textEnd: number; end: number } {
  let lineEnd = at;
  while ((lineEnd = bytes.indexOf(0x0a, lineEnd)) >= 0) {
    const next = bytes[lineEnd + 1] === 0x0d ? lineEnd + 2 : lineEnd + 1;
    if (bytes[next] === 0x0a) return { textEnd: lineEnd, end: next + 1 };
    lineEnd++;
  }
  return { textEnd: at, end: -1 };
}
