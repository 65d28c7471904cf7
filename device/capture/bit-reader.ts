/** Reads bits of a parameter set without emulation prevention bytes, most significant first. Throws RangeError at its end. */
export class BitReader {
  readonly #bytes: Uint8Array;
  #bit = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  bits(count: number): number {
    let value = 0;
    for (let n = 0; n < count; n++, this.#bit++) {
      const byte = this.#bytes[this.#bit >> 3];
      if (byte === undefined) throw new RangeError('the parameter set ends too early');
      value = value * 2 + ((byte >> (7 - (this.#bit & 7))) & 1);
    }
    return value;
  }

  /** ue(v), §9.2: Exp-Golomb. */
  ue(): number {
    let zeros = 0;
    while (this.bits(1) === 0) if (++zeros > 31) throw new RangeError('no Exp-Golomb number');
    return 2 ** zeros - 1 + this.bits(zeros);
  }

  /** se(v), §9.2.2 (H.264: §9.1.1). */
  se(): number {
    const code = this.ue();
    return code % 2 === 1 ? (code + 1) / 2 : -code / 2;
  }

  flag(): boolean {
    return this.bits(1) === 1;
  }
}
