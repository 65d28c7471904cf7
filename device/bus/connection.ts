import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import type { Clock } from '../kernel/clock.ts';
import { PacketBorders, PacketRefused } from './packet-borders.ts';

export interface ConnectionOptions {
  readonly socket: Socket;
  readonly address: string;
  /** Of the certificate it showed, which our authority signed; hex. */
  readonly certificateSha256: string | null;
  readonly packetBytes: number;
  readonly packetsPerSecond: number;
  readonly clock: Clock;
  /** A packet was longer than allowed; the connection is gone. */
  readonly onPacketRefused: () => void;
  /** It sends faster than it may; told once. */
  readonly onThrottled: () => void;
}

/** Names, passwords and filters are short. What is larger comes from somebody that nobody knows yet. */
const STRANGER_PACKET_BYTES = 8 << 10;

/** So many packets may come at once after a silence, in seconds' worth. */
const BURST_S = 2;

/**
 * A client's connection as the broker is given it: no packet that is too long gets in, not even its beginning,
 * and no more packets per second than allowed. What is more waits in the client's own socket, so that a flood
 * costs the flooder alone: nothing is dropped, nothing piles up here.
 */
export class Connection extends Duplex {
  readonly address: string;
  readonly certificateSha256: string | null;
  /** A program on this machine, and no tunnel from elsewhere that ends in TLS here. */
  readonly isLocal: boolean;
  readonly #o: ConnectionOptions;
  readonly #borders = new PacketBorders();
  readonly #closing = new AbortController();
  #isKnown = false;
  #tokens: number;
  #refilledMs: number;
  #isThrottled = false;
  /** What came and may not go in yet. */
  #held: Buffer | null = null;
  #isWaiting = false;
  #flightSinceMs: number | null = null;
  #received = 0;

  constructor(options: ConnectionOptions) {
    super();
    this.#o = options;
    const { socket, address, certificateSha256, packetsPerSecond, clock } = options;
    this.address = address;
    this.certificateSha256 = certificateSha256;
    this.isLocal = (address === '::1' || address.startsWith('127.')) && !('encrypted' in socket);
    this.#tokens = packetsPerSecond * BURST_S;
    this.#refilledMs = clock.monotonicMs();
    socket.on('data', (chunk: Buffer) => {
      socket.pause();
      this.#held = chunk;
      this.#letIn();
    });
    socket.once('end', () => this.push(null));
    socket.on('error', (error) => this.destroy(error));
    socket.once('close', () => this.destroy());
    socket.pause();
  }

  /** From now on it may send packets as long as the settings allow. */
  admit(): void {
    this.#isKnown = true;
  }

  /** For how long it has not taken what it is being sent; 0 when nothing waits. */
  get lagMs(): number {
    return this.#flightSinceMs === null ? 0 : this.#o.clock.monotonicMs() - this.#flightSinceMs;
  }

  get receivedBytes(): number {
    return this.#received;
  }

  get sentBytes(): number {
    return this.#o.socket.bytesWritten;
  }

  override _read(): void {
    if (this.#held) this.#letIn();
    else this.#o.socket.resume();
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    this.#flight(done, (landed) => this.#o.socket.write(chunk, landed));
  }

  override _writev(chunks: readonly { chunk: Buffer }[], done: (error?: Error | null) => void): void {
    this.#flight(done, (landed) =>
      this.#o.socket.write(Buffer.concat(chunks.map(({ chunk }) => chunk)), landed),
    );
  }

  override _final(done: () => void): void {
    this.#o.socket.end(done);
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#closing.abort();
    this.#held = null;
    this.#o.socket.destroy();
    done(error);
  }

  #flight(
    done: (error?: Error | null) => void,
    write: (landed: (error?: Error | null) => void) => void,
  ): void {
    this.#flightSinceMs = this.#o.clock.monotonicMs();
    write((error) => {
      this.#flightSinceMs = null;
      done(error);
    });
  }

  /** Pushes as many packets of what is held as may go in now. */
  #letIn(): void {
    const chunk = this.#held;
    if (!chunk || this.#isWaiting) return;
    const { packetBytes, onPacketRefused } = this.#o;
    const maxBytes = this.#isKnown ? packetBytes : Math.min(STRANGER_PACKET_BYTES, packetBytes);
    let at = 0;
    try {
      while (at < chunk.length) {
        if (this.#borders.isBetweenPackets && !this.#takeToken()) break;
        at = this.#borders.advance(chunk, at, maxBytes);
      }
    } catch (error) {
      if (error instanceof PacketRefused) onPacketRefused();
      this.destroy(error as Error);
      return;
    }
    this.#received += at;
    this.#held = at < chunk.length ? chunk.subarray(at) : null;
    if (at > 0 && !this.push(chunk.subarray(0, at)) && this.#held === null) return;
    if (this.#held) void this.#waitForToken();
    else this.#o.socket.resume();
  }

  #takeToken(): boolean {
    const { clock, packetsPerSecond } = this.#o;
    const nowMs = clock.monotonicMs();
    const refill = ((nowMs - this.#refilledMs) / 1000) * packetsPerSecond;
    this.#tokens = Math.min(packetsPerSecond * BURST_S, this.#tokens + refill);
    this.#refilledMs = nowMs;
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }

  async #waitForToken(): Promise<void> {
    if (!this.#isThrottled) this.#o.onThrottled();
    this.#isThrottled = true;
    this.#isWaiting = true;
    // A few at a time, rather than a timer for each.
    const waitMs = Math.max(20, 1000 / this.#o.packetsPerSecond);
    await this.#o.clock.sleep(waitMs, this.#closing.signal).catch(() => {});
    this.#isWaiting = false;
    if (!this.destroyed) this.#letIn();
  }
}
