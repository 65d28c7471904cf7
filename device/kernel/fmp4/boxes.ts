/**
 * Writes ISO base media boxes (ISO/IEC 14496-12 §4.2): big-endian, each with its length in front, which is
 * filled in when the box ends.
 */
export class BoxWriter {
  #bytes = new Uint8Array(1024);
  #view = new DataView(this.#bytes.buffer);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  u8(value: number): this {
    const at = this.#reserve(1);
    this.#view.setUint8(at, value);
    return this;
  }

  u16(value: number): this {
    const at = this.#reserve(2);
    this.#view.setUint16(at, value);
    return this;
  }

  u32(value: number): this {
    const at = this.#reserve(4);
    this.#view.setUint32(at, value);
    return this;
  }

  i32(value: number): this {
    const at = this.#reserve(4);
    this.#view.setInt32(at, value);
    return this;
  }

  /** Exact for every safe integer. */
  u64(value: number): this {
    return this.u32(Math.floor(value / 2 ** 32)).u32(value % 2 ** 32);
  }

  zeros(count: number): this {
    this.#reserve(count);
    return this;
  }

  bytes(bytes: Uint8Array): this {
    const at = this.#reserve(bytes.byteLength);
    this.#bytes.set(bytes, at);
    return this;
  }

  /** ASCII only. */
  text(text: string): this {
    for (let i = 0; i < text.length; i++) this.u8(text.charCodeAt(i));
    return this;
  }

  box(type: string, body: (out: this) => void): this {
    const start = this.#length;
    this.u32(0).text(type);
    body(this);
    this.setU32(start, this.#length - start);
    return this;
  }

  fullBox(type: string, version: number, flags: number, body: () => void): this {
    return this.box(type, () => {
      this.u32(version * 2 ** 24 + flags);
      body();
    });
  }

  /** Overwrites four bytes that were written before. */
  setU32(at: number, value: number): void {
    this.#view.setUint32(at, value);
  }

  /** What was written; the writer must not be used afterwards. */
  finish(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  /** May replace the view: take the offset first. */
  #reserve(count: number): number {
    const at = this.#length;
    this.#length += count;
    if (this.#length > this.#bytes.byteLength) {
      const larger = new Uint8Array(Math.max(this.#length, this.#bytes.byteLength * 2));
      larger.set(this.#bytes);
      this.#bytes = larger;
      this.#view = new DataView(larger.buffer);
    }
    return at;
  }
}
