import type { BoxWriter } from '../kernel/fmp4/boxes.ts';
import type { CutSample } from './export-samples.ts';

/** Numbers of 32 bits, as many as come. */
class Column {
  #values = new Uint32Array(1024);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  push(value: number): void {
    if (this.#length === this.#values.length) {
      const larger = new Uint32Array(this.#length * 2);
      larger.set(this.#values);
      this.#values = larger;
    }
    this.#values[this.#length++] = value;
  }

  last(): number {
    return this.#values[this.#length - 1]!;
  }

  add(by: number): void {
    this.#values[this.#length - 1]! += by;
  }

  *[Symbol.iterator](): Generator<number> {
    for (let i = 0; i < this.#length; i++) yield this.#values[i]!;
  }
}

/** How often a value comes in a row. */
class RunLengths {
  readonly #counts = new Column();
  readonly #values = new Column();

  push(value: number): void {
    if (this.#values.length > 0 && this.#values.last() === value >>> 0) {
      this.#counts.add(1);
      return;
    }
    this.#counts.push(1);
    this.#values.push(value);
  }

  write(out: BoxWriter): void {
    out.u32(this.#counts.length);
    const values = this.#values[Symbol.iterator]();
    for (const count of this.#counts) out.u32(count).u32(values.next().value as number);
  }
}

const MAX_U32 = 2 ** 32 - 1;

/** The sample tables of a track (ISO/IEC 14496-12 §8.6, §8.7); some 20 bytes a sample at most. */
export class SampleTables {
  readonly #durations = new RunLengths();
  readonly #offsets = new RunLengths();
  readonly #sizes = new Column();
  readonly #keys = new Column();
  readonly #chunkSizes = new Column();
  readonly #chunkBytes: number[] = [];
  #first: CutSample | null = null;
  #last: CutSample | null = null;
  #hasOffsets = false;
  #hasNegativeOffsets = false;

  get isEmpty(): boolean {
    return this.#first === null;
  }

  /** When the first sample is decoded. */
  get startTicks(): number {
    return this.#first?.decodeTicks ?? 0;
  }

  get durationTicks(): number {
    return this.#last ? this.#last.decodeTicks + this.#last.durationTicks - this.startTicks : 0;
  }

  /** `samples` lie in one piece, `atBytes` from the first byte of all samples. */
  addChunk(samples: readonly CutSample[], atBytes: number): void {
    if (samples.length === 0) return;
    this.#chunkSizes.push(samples.length);
    this.#chunkBytes.push(atBytes);
    for (const sample of samples) this.#add(sample);
  }

  #add(sample: CutSample): void {
    if (this.#last) this.#durations.push(Math.min(sample.decodeTicks - this.#last.decodeTicks, MAX_U32));
    this.#first ??= sample;
    this.#last = sample;
    const offset = sample.shownTicks - sample.decodeTicks;
    this.#hasOffsets ||= offset !== 0;
    this.#hasNegativeOffsets ||= offset < 0;
    this.#offsets.push(offset);
    this.#sizes.push(sample.sizeBytes);
    if (sample.key) this.#keys.push(this.#sizes.length);
  }

  /** After the last sample. */
  end(): void {
    if (this.#last) this.#durations.push(this.#last.durationTicks);
  }

  /** `dataAtBytes` is where the first sample lies in the file. */
  write(out: BoxWriter, dataAtBytes: number, isLarge: boolean): void {
    out.fullBox('stts', 0, 0, () => this.#durations.write(out));
    if (this.#hasOffsets) {
      // Version 0 where it will do: not every player knows the other.
      out.fullBox('ctts', this.#hasNegativeOffsets ? 1 : 0, 0, () => this.#offsets.write(out));
    }
    if (this.#keys.length < this.#sizes.length) {
      out.fullBox('stss', 0, 0, () => writeColumn(out, this.#keys));
    }
    out.fullBox('stsc', 0, 0, () => this.#writeChunkSizes(out));
    out.fullBox('stsz', 0, 0, () => {
      out.u32(0);
      writeColumn(out, this.#sizes);
    });
    out.fullBox(isLarge ? 'co64' : 'stco', 0, 0, () => {
      out.u32(this.#chunkBytes.length);
      for (const atBytes of this.#chunkBytes) {
        if (isLarge) out.u64(dataAtBytes + atBytes);
        else out.u32(dataAtBytes + atBytes);
      }
    });
  }

  /** Entries say from which chunk on (from 1) there are how many samples in each. */
  #writeChunkSizes(out: BoxWriter): void {
    const at = out.length;
    out.u32(0);
    let entries = 0;
    let chunk = 0;
    let usual = -1;
    for (const size of this.#chunkSizes) {
      chunk += 1;
      if (size === usual) continue;
      usual = size;
      entries += 1;
      out.u32(chunk).u32(size).u32(1);
    }
    out.setU32(at, entries);
  }
}

function writeColumn(out: BoxWriter, column: Column): void {
  out.u32(column.length);
  for (const value of column) out.u32(value);
}
