/** Reports of RTCP (RFC 3550 §6.4): what a camera says of its clocks, and what we say of what has arrived. */

export interface SenderReport {
  readonly ssrc: number;
  /** Seconds since 1900 by the camera's clock. */
  readonly ntpSeconds: number;
  /** Middle 32 bits of the 64 of the clock, to be named in our own report. */
  readonly ntpMiddle: number;
  /** The same moment in ticks of the track, 32 bits. */
  readonly timestamp: number;
}

const SENDER_REPORT = 200;
const RECEIVER_REPORT = 201;
const SOURCE_DESCRIPTION = 202;
const CNAME = 1;

/** The sender report in a compound packet; null: none. */
export function parseSenderReport(bytes: Buffer): SenderReport | null {
  for (let at = 0; at + 4 <= bytes.length;) {
    if (bytes[at]! >> 6 !== 2) return null;
    const end = at + 4 + 4 * bytes.readUInt16BE(at + 2);
    if (end > bytes.length) return null;
    if (bytes[at + 1] === SENDER_REPORT && end - at >= 28) {
      return {
        ssrc: bytes.readUInt32BE(at + 4),
        ntpSeconds: bytes.readUInt32BE(at + 8) + bytes.readUInt32BE(at + 12) / 2 ** 32,
        ntpMiddle: bytes.readUInt32BE(at + 10),
        timestamp: bytes.readUInt32BE(at + 16),
      };
    }
    at = end;
  }
  return null;
}

/** What has arrived of one source (RFC 3550 §6.4.1, appendix A.3 and A.8). */
export class Reception {
  readonly #ticksPerMs: number;
  #ssrc: number | null = null;
  #first = 0;
  #highest = 0;
  #received = 0;
  #expectedBefore = 0;
  #receivedBefore = 0;
  #jitter = 0;
  #transit: number | null = null;
  #heard: { readonly report: SenderReport; readonly atMs: number } | null = null;

  constructor(clockRate: number) {
    this.#ticksPerMs = clockRate / 1000;
  }

  /** `sequence`, `timestamp`: unwrapped. */
  packet(ssrc: number, sequence: number, timestamp: number, nowMs: number): void {
    if (ssrc !== this.#ssrc) {
      this.#ssrc = ssrc;
      this.#first = this.#highest = sequence;
      this.#received = this.#expectedBefore = this.#receivedBefore = this.#jitter = 0;
      this.#transit = null;
    }
    this.#received += 1;
    this.#highest = Math.max(this.#highest, sequence);
    const transit = nowMs * this.#ticksPerMs - timestamp;
    if (this.#transit !== null) this.#jitter += (Math.abs(transit - this.#transit) - this.#jitter) / 16;
    this.#transit = transit;
  }

  heard(report: SenderReport, nowMs: number): void {
    this.#heard = { report, atMs: nowMs };
  }

  /** Receiver report and CNAME; before anything has come, a report of nothing. */
  report(ownSsrc: number, nowMs: number): Buffer {
    const block = this.#ssrc === null ? Buffer.alloc(0) : this.#block(this.#ssrc, nowMs);
    const head = Buffer.alloc(8);
    head.writeUInt8(0x80 | (block.length > 0 ? 1 : 0), 0);
    head.writeUInt8(RECEIVER_REPORT, 1);
    head.writeUInt16BE((head.length + block.length) / 4 - 1, 2);
    head.writeUInt32BE(ownSsrc, 4);
    return Buffer.concat([head, block, description(ownSsrc)]);
  }

  #block(ssrc: number, nowMs: number): Buffer {
    const expected = this.#highest - this.#first + 1;
    const expectedNow = expected - this.#expectedBefore;
    const lostNow = expectedNow - (this.#received - this.#receivedBefore);
    this.#expectedBefore = expected;
    this.#receivedBefore = this.#received;
    const fraction =
      expectedNow > 0 && lostNow > 0 ? Math.min(255, Math.floor((lostNow * 256) / expectedNow)) : 0;
    const lost = Math.max(-0x800000, Math.min(0x7fffff, expected - this.#received));
    const block = Buffer.alloc(24);
    block.writeUInt32BE(ssrc, 0);
    block.writeUInt8(fraction, 4);
    block.writeIntBE(lost, 5, 3);
    block.writeUInt32BE(this.#highest % 2 ** 32, 8);
    block.writeUInt32BE(Math.min(0xffffffff, Math.floor(this.#jitter)), 12);
    if (this.#heard) {
      block.writeUInt32BE(this.#heard.report.ntpMiddle, 16);
      const sinceMs = Math.max(0, nowMs - this.#heard.atMs);
      block.writeUInt32BE(Math.min(0xffffffff, Math.floor(sinceMs * 65.536)), 20);
    }
    return block;
  }
}

/** A name that is the same for all tracks of a session, and says nothing (RFC 7022). */
function description(ssrc: number): Buffer {
  const name = Buffer.from('receiver');
  // The list of items ends with one to four zeros.
  const chunk = Buffer.alloc(4 * Math.ceil((4 + 2 + name.length + 1) / 4));
  chunk.writeUInt32BE(ssrc, 0);
  chunk.writeUInt8(CNAME, 4);
  chunk.writeUInt8(name.length, 5);
  name.copy(chunk, 6);
  const head = Buffer.alloc(4);
  head.writeUInt8(0x81, 0);
  head.writeUInt8(SOURCE_DESCRIPTION, 1);
  head.writeUInt16BE(chunk.length / 4, 2);
  return Buffer.concat([head, chunk]);
}
