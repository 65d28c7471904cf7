import type { StreamRole } from '../contract/media.ts';
import type { Meter } from '../contract/metrics.ts';

const TOLD_TOGETHER = 16;

/**
 * Counts the packets of one track. The meter is told of the first, then of 16 at a time, because telling it costs
 * more than the packet; of the rest when disposed.
 */
export class Tally implements Disposable {
  readonly #meter: Meter;
  readonly #labels: { readonly role: StreamRole; readonly track: 'video' | 'audio' };
  #seen = 0;
  #packets = 0;
  #bytes = 0;

  constructor(meter: Meter, role: StreamRole, track: 'video' | 'audio') {
    this.#meter = meter;
    this.#labels = { role, track };
  }

  add(bytes: number): void {
    this.#packets += 1;
    this.#bytes += bytes;
    if (this.#seen++ % TOLD_TOGETHER === 0) this.#tell();
  }

  [Symbol.dispose](): void {
    if (this.#packets > 0) this.#tell();
  }

  #tell(): void {
    this.#meter.count('spyoncino_packets_total', this.#labels, this.#packets);
    this.#meter.count('spyoncino_packet_bytes_total', this.#labels, this.#bytes);
    this.#packets = this.#bytes = 0;
  }
}
