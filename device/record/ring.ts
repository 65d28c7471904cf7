import type { MediaPacket, StreamInfo, VideoTrack } from '../contract/media.ts';

/** Pictures from one key frame up to the next, with the audio of that time. Never empty of video. */
export interface Gop {
  /** Counts up; a number that is missing between two is footage that was never kept. */
  readonly no: number;
  readonly stream: StreamInfo;
  readonly video: readonly MediaPacket[];
  readonly audio: readonly MediaPacket[];
}

interface GrowingGop extends Gop {
  readonly video: MediaPacket[];
  readonly audio: MediaPacket[];
  bytes: number;
}

export interface TrimOptions {
  /** How far back from the newest picture GOPs are kept for what may yet be asked. */
  readonly keepMs: number;
  readonly maxBytes: number;
  /** Not yet written: kept beyond `keepMs`, and missed when the bytes run out. */
  readonly isNeeded: (gop: Gop) => boolean;
  /** Being written at this moment: stays. */
  readonly isPinned: (gop: Gop) => boolean;
}

/**
 * `stale`: of a stream that is over or unknown. `before_key`: cannot be decoded, as its key frame never came.
 * `no_room`: cannot be decoded, as its key frame or what follows had to be given up.
 */
type Outcome = 'kept' | 'stale' | 'before_key' | 'no_room';

/**
 * The compressed recent past of one camera: whole GOPs, bounded by bytes and by time. Data of packets is
 * held as given, never copied.
 */
export class PacketRing {
  readonly #gops: GrowingGop[] = [];
  #stream: StreamInfo | null = null;
  /** Why pictures are refused until the next key frame. */
  #refusal: 'before_key' | 'no_room' | null = 'before_key';
  #nextNo = 0;
  #bytes = 0;

  /** Oldest first; the last one may still grow. */
  get gops(): readonly Gop[] {
    return this.#gops;
  }

  /** Of the packets that come now. */
  get stream(): StreamInfo | null {
    return this.#stream;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Whether pictures are given up until the next key frame, for want of room. */
  get isFull(): boolean {
    return this.#refusal === 'no_room';
  }

  /** Number that the next GOP will have, or less. */
  get nextNo(): number {
    return this.#nextNo;
  }

  setStream(stream: StreamInfo): void {
    this.#stream = stream;
    this.#refusal = 'before_key';
  }

  add(packet: MediaPacket): Outcome {
    const stream = this.#stream;
    if (packet.generation !== stream?.generation) return 'stale';
    if (packet.track === 'audio') return this.#addAudio(packet, stream);
    if (packet.key) {
      this.#gops.push({ no: this.#nextNo++, stream, video: [], audio: [], bytes: 0 });
      this.#refusal = null;
    } else if (this.#refusal) return this.#refusal;
    const gop = this.#gops.at(-1);
    if (!gop) return 'before_key';
    gop.video.push(packet);
    this.#count(gop, packet);
    return 'kept';
  }

  /** Gives up GOPs until both bounds hold; returns those that were needed. */
  trim(options: TrimOptions): readonly Gop[] {
    const { keepMs, maxBytes, isNeeded, isPinned } = options;
    const newestUtcMs = this.#gops.at(-1)?.video.at(-1)?.utcMs ?? 0;
    for (;;) {
      const [oldest, second] = this.#gops;
      if (!oldest || !second || second.video[0]!.utcMs > newestUtcMs - keepMs) break;
      if (isNeeded(oldest) || isPinned(oldest)) break;
      this.#drop(0);
    }
    const shed: Gop[] = [];
    while (this.#bytes > maxBytes) {
      const at = this.#gops.findIndex((gop) => !isPinned(gop));
      if (at < 0) {
        this.#refuse();
        break;
      }
      const gop = this.#drop(at);
      if (isNeeded(gop)) shed.push(gop);
    }
    return shed;
  }

  /** The GOP that begins last at or before `utcMs`. */
  find(utcMs: number): Gop | null {
    return this.#gops.findLast((gop) => gop.video[0]!.utcMs <= utcMs) ?? null;
  }

  /** Packets from the key frame at or before `utcMs` on, in decode order, as far as pictures up to `utcMs` need them. */
  picturesUpTo(utcMs: number): { video: VideoTrack; packets: readonly MediaPacket[] } | null {
    const gop = this.find(utcMs);
    if (!gop) return null;
    const last = gop.video.findLastIndex((packet) => packet.utcMs <= utcMs);
    return { video: gop.stream.video, packets: gop.video.slice(0, last + 1) };
  }

  /** Audio belongs to the GOP in whose time it plays, however late it arrives. */
  #addAudio(packet: MediaPacket, stream: StreamInfo): Outcome {
    if (!stream.audio) return 'stale';
    const gop = this.#gops.findLast((gop) => !isBefore(packet, gop.video[0]!, stream));
    if (gop?.stream !== stream) return 'before_key';
    gop.audio.push(packet);
    this.#count(gop, packet);
    return 'kept';
  }

  #count(gop: GrowingGop, packet: MediaPacket): void {
    gop.bytes += packet.data.byteLength;
    this.#bytes += packet.data.byteLength;
  }

  #drop(at: number): Gop {
    if (at === this.#gops.length - 1) this.#refuse();
    const [dropped] = this.#gops.splice(at, 1);
    this.#bytes -= dropped!.bytes;
    return dropped!;
  }

  /** Nothing more goes into the newest GOP; the number left out says that something is missing after it. */
  #refuse(): void {
    if (this.#refusal === null) this.#nextNo++;
    this.#refusal ??= 'no_room';
  }
}

/** Whether `audio` plays before the picture `video` is shown. `stream` is that of both when they share one. */
export function isBefore(audio: MediaPacket, video: MediaPacket, stream: StreamInfo): boolean {
  if (audio.generation !== video.generation || !stream.audio) return audio.generation < video.generation;
  return audio.pts / stream.audio.timescale < video.pts / stream.video.timescale;
}

/** Wall clock (UTC ms) at which `packet` is due at the decoder: grows with decode order, unlike `utcMs`. */
export const decodeUtcMs = (packet: MediaPacket, timescale: number): number =>
  packet.utcMs - ((packet.pts - packet.dts) / timescale) * 1000;

/** Whether both can be continued in one file. */
export function sameTracks(a: StreamInfo, b: StreamInfo): boolean {
  if (a === b) return true;
  const [video, other] = [a.video, b.video];
  return (
    video.codec === other.codec &&
    video.width === other.width &&
    video.height === other.height &&
    video.timescale === other.timescale &&
    sameBytes(video.config, other.config) &&
    a.audio?.codec === b.audio?.codec &&
    a.audio?.sampleRate === b.audio?.sampleRate &&
    a.audio?.channels === b.audio?.channels &&
    a.audio?.timescale === b.audio?.timescale &&
    sameBytes(a.audio?.config ?? NOTHING, b.audio?.config ?? NOTHING)
  );
}

const NOTHING = new Uint8Array();
const sameBytes = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;
