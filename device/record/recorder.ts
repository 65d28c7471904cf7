import type { ClipPartialFact, ClipReadyFact, GapFact } from '../contract/facts.ts';
import type { MediaPacket, StreamInfo, VideoTrack } from '../contract/media.ts';
import type { Meter } from '../contract/metrics.ts';
import type { RecordingSettings } from '../contract/settings.ts';
import type { Clock } from '../kernel/clock.ts';
import type { Log } from '../kernel/log.ts';
import { realDisk, type Disk } from './disk.ts';
import { Losses } from './losses.ts';
import { decodeUtcMs, PacketRing } from './ring.ts';
import { WriteLoop } from './write-loop.ts';

export interface RecorderOptions {
  readonly cameraId: string;
  /** Clips go below `media/clips/<cameraId>/` in here. */
  readonly dataDir: string;
  /** Differs between all processes that ever serve this camera; part of clip ids. */
  readonly run: string;
  readonly settings: RecordingSettings;
  readonly meter: Meter;
  readonly log: Log;
  readonly clock: Clock;
  readonly disk?: Disk;
  emit(fact: ClipPartialFact | ClipReadyFact | GapFact): void;
}

export interface Recorder extends AsyncDisposable {
  /** A new generation of the main stream. The open clip goes on, in a new file where the tracks differ. */
  stream(info: StreamInfo): void;
  /** Never blocks, never throws. */
  packet(packet: MediaPacket): void;
  /** A clip begins at the key frame at or before `startUtcMs` less pre-roll; an open one is joined. */
  openEvent(eventId: string, startUtcMs: number): void;
  /** After the last open event, the clip ends at `endUtcMs` plus post-roll. */
  closeEvent(eventId: string, endUtcMs: number): void;
  /**
   * Packets from the key frame at or before `utcMs` up to the picture shown at `utcMs`, in decode order.
   * Null when they are no longer, or not yet, held.
   */
  gopAt(utcMs: number): { video: VideoTrack; packets: readonly MediaPacket[] } | null;
  /**
   * Open clips end with what was received, and are durable. Idempotent. Waits for the disk, however slow:
   * a caller in a hurry exits, and `recoverClips` completes the files.
   */
  close(): Promise<void>;
}

/** An event is told this late at most after it began, so its pre-roll is still there. */
const EVENT_DELAY_MS = 4000;

export const createRecorder = (options: RecorderOptions): Recorder => new ClipRecorder(options);

/**
 * The ring is the only memory: what waits for the disk waits there, what is written stays until it is older
 * than any pre-roll. `packet` only appends; the write loop pulls.
 *
 * Invariant: wanted footage leaves the ring unwritten only through `Losses`, which tells.
 */
class ClipRecorder implements Recorder {
  readonly #options: RecorderOptions;
  readonly #ring = new PacketRing();
  readonly #losses: Losses;
  readonly #loop: WriteLoop;
  #closed = false;

  constructor(options: RecorderOptions) {
    this.#options = options;
    this.#losses = new Losses(options);
    this.#loop = new WriteLoop({
      ...options,
      disk: options.disk ?? realDisk,
      ring: this.#ring,
      losses: this.#losses,
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
    this.#loop.open(eventId, () => this.#ring.firstFrom(startUtcMs - preRollMs));
  }

  closeEvent(eventId: string, endUtcMs: number): void {
    this.#loop.close(eventId, endUtcMs + this.#options.settings.postRollMs);
  }

  gopAt(utcMs: number): { video: VideoTrack; packets: readonly MediaPacket[] } | null {
    return this.#ring.picturesUpTo(utcMs);
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#loop.drain();
    this.#losses.tell();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #kept(packet: MediaPacket): void {
    if (packet.track === 'video') {
      if (packet.key) {
        this.#losses.tell();
        this.#options.meter.set('spyoncino_ring_bytes', this.#ring.bytes);
      }
      this.#loop.sawPicture(decodeUtcMs(packet, this.#timescale));
    }
    this.#loop.sawBytes(packet.data.byteLength);
    this.#trim();
  }

  #trim(): void {
    const { preRollMs, bufferBytes } = this.#options.settings;
    const { isPinned, neededFrom } = this.#loop;
    const keepMs = preRollMs + EVENT_DELAY_MS;
    for (const gop of this.#ring.trim({ keepMs, maxBytes: bufferBytes, neededFrom, isPinned })) {
      this.#losses.add(gop.video.slice(neededFrom(gop)), gop.stream.video.timescale);
      // Without room for the newest GOP, the loss goes on until the next key frame.
      if (!this.#ring.isFull) this.#losses.tell();
    }
  }

  get #timescale(): number {
    return this.#ring.stream?.video.timescale ?? 1;
  }
}
