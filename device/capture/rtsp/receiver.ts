import type { Clock, SharedTime } from './lip-sync.ts';
import { parseRtp, Unwrapper, type RtpPacket } from './rtp.ts';
import { parseSenderReport, Reception } from './rtcp.ts';
import { Reorder } from './reorder.ts';

export interface ReceiverOptions {
  readonly payloadType: number;
  readonly clockRate: number;
  /** Datagrams may overtake one another. */
  readonly reorders: boolean;
  /** In order; `timestamp` unwrapped; `gap`: packets before it are missing. */
  onPacket(packet: RtpPacket, timestamp: number, gap: boolean): void;
  onTime(clock: Clock, shared: SharedTime, time: Unwrapper): void;
}

/** What comes of one track: numbers and times without wraps, in order, gaps noticed. */
export class Receiver {
  readonly #o: ReceiverOptions;
  readonly #reception: Reception;
  #reorder: Reorder | null = null;
  #sequences = new Unwrapper(16);
  #times = new Unwrapper(32);
  #ssrc: number | null = null;
  #last: number | null = null;

  constructor(options: ReceiverOptions) {
    this.#o = options;
    this.#reception = new Reception(options.clockRate);
  }

  rtp(bytes: Buffer, nowMs: number): void {
    const packet = parseRtp(bytes);
    if (!packet || packet.payloadType !== this.#o.payloadType) return;
    if (packet.ssrc !== this.#ssrc) this.#begin(packet);
    const sequence = this.#sequences.unwrap(packet.sequence);
    this.#reception.packet(packet.ssrc, sequence, packet.timestamp, nowMs);
    if (!this.#reorder) this.#take(packet, sequence);
    else
      for (const item of this.#reorder.push({ packet, sequence }, nowMs))
        this.#take(item.packet, item.sequence);
  }

  rtcp(bytes: Buffer, nowMs: number): void {
    const report = parseSenderReport(bytes);
    if (!report) return;
    this.#reception.heard(report, nowMs);
    // A clock that was never set says nothing.
    if (report.ntpSeconds < 1 || (this.#ssrc !== null && report.ssrc !== this.#ssrc)) return;
    this.#o.onTime('camera', { seconds: report.ntpSeconds, timestamp: report.timestamp }, this.#times);
  }

  /** `timestamp` is the one at which the camera began to play. */
  plays(timestamp: number): void {
    this.#o.onTime('play', { seconds: 0, timestamp }, this.#times);
  }

  report(ownSsrc: number, nowMs: number): Buffer {
    return this.#reception.report(ownSsrc, nowMs);
  }

  /** Another source counts anew; its first packet is as one after a gap. */
  #begin({ ssrc }: RtpPacket): void {
    const isFirst = this.#ssrc === null;
    this.#ssrc = ssrc;
    this.#sequences = new Unwrapper(16);
    this.#reorder = this.#o.reorders ? new Reorder() : null;
    this.#last = isFirst ? null : Number.NaN;
  }

  #take(packet: RtpPacket, sequence: number): void {
    const missing = this.#last === null ? 0 : sequence - this.#last - 1;
    this.#last = sequence;
    // A number that comes again, or goes back, is a gap as well: what was there is not what follows.
    this.#o.onPacket(packet, this.#times.unwrap(packet.timestamp), missing !== 0);
  }
}
