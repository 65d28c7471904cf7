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
  /** Its first pictures are written, and their data was let go for want of room: no take can begin here. */
  headPictures: number;
}

export interface TrimOptions {
  /** How far back from the newest picture GOPs are kept for what may yet be asked. */
  readonly keepMs: number;
  readonly maxBytes: number;
  /** Index of the first picture that is not yet written: it is missed when the bytes run out. */
  readonly neededFrom: (gop: Gop) => number;
  /** Being written at this moment. */
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

  setStream(stream: StreamInfo): void {
    this.#stream = stream;
    this.#refusal = 'before_key';
  }

  add(packet: MediaPacket): Outcome {
    const stream = this.#stream;
    if (packet.generation !== stream?.generation) return 'stale';
    if (packet.track === 'audio') return this.#addAudio(packet, stream);
    if (packet.key) {
      this.#begin(packet, stream);
    } else if (this.#refusal) return this.#refusal;
    const gop = this.#gops.at(-1);
    if (!gop) return 'before_key';
    gop.video.push(packet);
    this.#count(gop, packet);
    return 'kept';
  }

  /** Gives up GOPs until both bounds hold; returns those with pictures that were needed. */
  trim(options: TrimOptions): readonly Gop[] {
    const { keepMs, maxBytes, neededFrom, isPinned } = options;
    const isNeeded = (gop: Gop): boolean => neededFrom(gop) < gop.video.length;
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
      const newest = this.#gops.length - 1;
      const isLastResort = at < 0 || at === newest;
      if (isLastResort && this.#releaseHead(this.#gops[newest]!, neededFrom)) continue;
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
    return this.#whole().findLast((gop) => gop.video[0]!.utcMs <= utcMs) ?? null;
  }

  /** Number of the GOP with which footage from `utcMs` on begins, as far as it is held. */
  firstFrom(utcMs: number): number {
    return (this.find(utcMs) ?? this.#whole()[0])?.no ?? this.#nextNo;
  }

  /** Packets from the key frame at or before `utcMs` on, in decode order, as far as pictures up to `utcMs` need them. */
  picturesUpTo(utcMs: number): { video: VideoTrack; packets: readonly MediaPacket[] } | null {
    const gop = this.find(utcMs);
    if (!gop) return null;
    const last = gop.video.findLastIndex((packet) => packet.utcMs <= utcMs);
    return { video: gop.stream.video, packets: gop.video.slice(0, last + 1) };
  }

  /** GOPs that can be played on from, up to the newest. */
  #whole(): readonly GrowingGop[] {
    return this.#gops.slice(this.#gops.findLastIndex(({ headPictures }) => headPictures > 0) + 1);
  }

  /** Lets go of data that is written already, in a GOP that alone is larger than the buffer. */
  #releaseHead(gop: GrowingGop, neededFrom: (gop: Gop) => number): boolean {
    const end = neededFrom(gop);
    // Nobody waits for what comes: the GOP can go as a whole.
    if (end === Infinity || end <= gop.headPictures) return false;
    for (let i = gop.headPictures; i < end; i++) {
      const packet = gop.video[i]!;
      gop.bytes -= packet.data.byteLength;
      this.#bytes -= packet.data.byteLength;
      gop.video[i] = { ...packet, data: NOTHING };
    }
    gop.headPictures = end;
    return true;
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

  /** A new GOP, with the audio of its time that came early. */
  #begin(key: MediaPacket, stream: StreamInfo): void {
    const previous = this.#gops.at(-1);
    const gop: GrowingGop = { no: this.#nextNo++, stream, video: [], audio: [], bytes: 0, headPictures: 0 };
    const firstEarly = previous?.audio.findIndex((audio) => !isBefore(audio, key, stream)) ?? -1;
    for (const audio of firstEarly < 0 ? [] : previous!.audio.splice(firstEarly)) {
      previous!.bytes -= audio.data.byteLength;
      gop.bytes += audio.data.byteLength;
      gop.audio.push(audio);
    }
    this.#gops.push(gop);
    this.#refusal = null;
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

/**
 * Whether `audio` plays before the picture `video`: before it is shown, or before another moment in ticks of
 * its track. `stream` is that of both where they share one.
 */
export function isBefore(
  audio: MediaPacket,
  video: MediaPacket,
  stream: StreamInfo,
  videoTicks = video.pts,
): boolean {
  if (audio.generation !== video.generation || !stream.audio) return audio.generation < video.generation;
  return audio.pts / stream.audio.timescale < videoTicks / stream.video.timescale;
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
