import type {
  ClipPartialFact,
  ClipReadyFact,
  FootageKind,
  GapFact,
  SegmentReadyFact,
} from '../contract/facts.ts';
import type { MediaPacket, StreamInfo, VideoTrack } from '../contract/media.ts';
import type { Meter } from '../contract/metrics.ts';
import type { RecordingSettings } from '../contract/settings.ts';
import type { Clock } from '../kernel/clock.ts';
import type { Log } from '../kernel/log.ts';
import { ClipRanges } from './clip-ranges.ts';
import type { Disk } from './disk.ts';
import { footageIdOf } from './footage-path.ts';
import { Losses } from './losses.ts';
import { guardedDisk } from './media-guard.ts';
import { decodeUtcMs, PacketRing } from './ring.ts';
import { clipRotation, segmentRotation } from './rotation.ts';
import { WriteLoop } from './write-loop.ts';

export interface RecorderOptions {
  readonly cameraId: string;
  /** Files go below `media/clips/<cameraId>/` and `media/segments/<cameraId>/` in here. */
  readonly dataDir: string;
  /** Identity that `media/` must show before a file is created in it. */
  readonly mediaId: string;
  /** Differs between all processes that ever serve this camera; part of ids. */
  readonly run: string;
  readonly settings: RecordingSettings;
  readonly meter: Meter;
  readonly log: Log;
  readonly clock: Clock;
  /** Instead of the real one, which is asked for its identity. */
  readonly disk?: Disk;
  emit(fact: ClipPartialFact | ClipReadyFact | SegmentReadyFact | GapFact): void;
}

export interface Recorder extends AsyncDisposable {
  /** A new generation of the main stream. What is recorded goes on, in a new file where the tracks differ. */
  stream(info: StreamInfo): void;
  /** Never blocks, never throws. */
  packet(packet: MediaPacket): void;
  /**
   * A clip begins at `startUtcMs` less pre-roll (a file: at the key frame at or before); an open one is joined.
   */
  openEvent(eventId: string, startUtcMs: number): void;
  /** After the last open event, the clip ends at `endUtcMs` plus post-roll. */
  closeEvent(eventId: string, endUtcMs: number): void;
  /** Something begins or ceases to move: what mode `motion` records, with pre- and post-roll. */
  motion(phase: 'start' | 'end', utcMs: number): void;
  /**
   * Packets from the key frame at or before `utcMs` up to the picture shown at `utcMs`, in decode order.
   * Null when they are no longer, or not yet, held.
   */
  gopAt(utcMs: number): { video: VideoTrack; packets: readonly MediaPacket[] } | null;
  /**
   * Open files and clips end with what was received, and are durable. Idempotent. Waits for the disk, however
   * slow: a caller in a hurry exits, and `recoverFootage` completes the files.
   */
  close(): Promise<void>;
}

/** An event is told this late at most after it began, so its pre-roll is still there. */
const EVENT_DELAY_MS = 4000;

/** Who keeps the recorder going beside events; no event has such an id. */
const MOTION = ' motion';
const ALWAYS = ' always';

export const createRecorder = (options: RecorderOptions): Recorder => new FootageRecorder(options);

/**
 * The ring is the only memory: what waits for the disk waits there, what is written stays until it is older
 * than any pre-roll. `packet` only appends; the write loop pulls.
 *
 * Invariant: wanted footage leaves the ring unwritten only through `Losses`, which tells.
 */
class FootageRecorder implements Recorder {
  readonly #options: RecorderOptions;
  readonly #ring = new PacketRing();
  readonly #losses: Losses;
  /** Null where clips are files. */
  readonly #ranges: ClipRanges | null;
  readonly #loop: WriteLoop;
  #files = 0;
  #closed = false;

  constructor(options: RecorderOptions) {
    const { cameraId, run, settings } = options;
    const kind: FootageKind = settings.mode === 'events' ? 'clip' : 'segment';
    const idFor = (startUtcMs: number): string => footageIdOf(startUtcMs, run, ++this.#files);
    this.#options = options;
    this.#losses = new Losses(options);
    this.#ranges =
      kind === 'clip'
        ? null
        : new ClipRanges({ ...options, maxClipMs: settings.maxClipMs, keepMs: this.#keepMs, idFor });
    this.#loop = new WriteLoop({
      ...options,
      kind,
      rotation:
        kind === 'clip' ? clipRotation(settings.maxClipMs) : segmentRotation(settings.segmentMs, cameraId),
      bufferBytes: settings.bufferBytes,
      disk: options.disk ?? guardedDisk(options),
      ring: this.#ring,
      losses: this.#losses,
      ranges: this.#ranges,
      idFor,
    });
  }

  stream(info: StreamInfo): void {
    this.#ring.setStream(info);
  }

  packet(packet: MediaPacket): void {
    if (this.#closed) return;
    const outcome = this.#ring.add(packet);
    if (outcome === 'kept') this.#kept(packet);
    else if (outcome === 'no_room' && packet.track === 'video' && !this.#loop.isIdle) {
      this.#losses.add([packet], this.#timescale);
    } else this.#options.meter.count('spyoncino_drops_total', { stage: 'record', reason: outcome });
  }

  openEvent(eventId: string, startUtcMs: number): void {
    const { enabled, preRollMs } = this.#options.settings;
    if (!enabled || this.#closed) return;
    this.#ranges?.open(eventId, startUtcMs, startUtcMs - preRollMs);
    this.#want(eventId, startUtcMs);
  }

  closeEvent(eventId: string, endUtcMs: number): void {
    const untilUtcMs = endUtcMs + this.#options.settings.postRollMs;
    this.#ranges?.close(eventId, untilUtcMs);
    this.#loop.close(eventId, untilUtcMs);
  }

  motion(phase: 'start' | 'end', utcMs: number): void {
    const { enabled, mode, postRollMs } = this.#options.settings;
    if (!enabled || this.#closed || mode !== 'motion') return;
    if (phase === 'start') this.#want(MOTION, utcMs);
    else this.#loop.close(MOTION, utcMs + postRollMs);
  }

  gopAt(utcMs: number): { video: VideoTrack; packets: readonly MediaPacket[] } | null {
    return this.#ring.picturesUpTo(utcMs);
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#loop.drain();
    this.#ranges?.finish();
    this.#losses.tell();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #want(id: string, startUtcMs: number): void {
    const { mode, preRollMs } = this.#options.settings;
    // Everything is wanted already.
    if (mode === 'continuous') return;
    this.#loop.open(id, () => this.#ring.firstFrom(startUtcMs - preRollMs));
  }

  /** Mode `continuous` begins with a key frame, also after a failure of ours that ended the take. */
  #wantAlways(key: MediaPacket): void {
    const { enabled, mode } = this.#options.settings;
    if (!enabled || mode !== 'continuous' || !this.#loop.isIdle) return;
    this.#loop.open(ALWAYS, () => this.#ring.firstFrom(key.utcMs));
  }

  #kept(packet: MediaPacket): void {
    if (packet.track === 'video') {
      if (packet.key) {
        this.#options.meter.set('spyoncino_ring_bytes', this.#ring.bytes);
        this.#wantAlways(packet);
      }
      this.#loop.sawPicture(decodeUtcMs(packet, this.#timescale), packet.key);
    }
    this.#loop.sawBytes(packet.data.byteLength);
    this.#trim();
  }

  #trim(): void {
    const { isPinned, neededFrom } = this.#loop;
    const maxBytes = this.#options.settings.bufferBytes;
    for (const gop of this.#ring.trim({ keepMs: this.#keepMs, maxBytes, neededFrom, isPinned })) {
      this.#losses.add(gop.video.slice(neededFrom(gop)), gop.stream.video.timescale);
    }
  }

  /** How far back from now an event may reach. */
  get #keepMs(): number {
    return this.#options.settings.preRollMs + EVENT_DELAY_MS;
  }

  get #timescale(): number {
    return this.#ring.stream?.video.timescale ?? 1;
  }
}
