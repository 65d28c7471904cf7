import { describeVideo, type VideoConfig } from './stream-config.ts';
import {
  isKeySlice,
  isParameterSet,
  nalType,
  splitAnnexB,
  splitLengthPrefixed,
  toLengthPrefixed,
  type NalCodec,
} from './nal.ts';

/** One access unit in MP4 sample form. `config` only when it differs from the one before. */
export interface Sample {
  readonly data: Buffer;
  readonly key: boolean;
  readonly config: VideoConfig | null;
}

/** Brings access units of H.264 or HEVC into MP4 sample form and notices new parameter sets. */
export class Packetizer {
  readonly #codec: NalCodec;
  /** 0: Annex B. */
  readonly #lengthBytes: number;
  /** Sets of one type are replaced together: that is how encoders send them. */
  readonly #setsByType = new Map<number, readonly Buffer[]>();
  #stale = true;

  /** `extradata`: an `avcC`/`hvcC` record (samples are length-prefixed), Annex B sets, or empty. */
  constructor(codec: NalCodec, extradata: Buffer) {
    this.#codec = codec;
    const isRecord = extradata[0] === 1 && extradata.length > (codec === 'h264' ? 6 : 22);
    this.#lengthBytes = isRecord ? (extradata[codec === 'h264' ? 4 : 21]! & 3) + 1 : 0;
    this.#keep(
      isRecord
        ? setsOfRecord(codec, extradata)
        : splitAnnexB(extradata).map(({ start, end }) => extradata.subarray(start, end)),
    );
  }

  /** Takes over `bytes`. null: nothing in it, or the stream has not yet said how to decode it. */
  sample(bytes: Buffer): Sample | null {
    const nals = this.#lengthBytes > 0 ? splitLengthPrefixed(bytes, this.#lengthBytes) : splitAnnexB(bytes);
    const sets: Buffer[] = [];
    let key = false;
    for (const { start, end } of nals) {
      const type = nalType(this.#codec, bytes[start]!);
      key ||= isKeySlice(this.#codec, type);
      if (isParameterSet(this.#codec, type)) sets.push(bytes.subarray(start, end));
    }
    if (sets.length > 0) this.#keep(sets);
    if (nals.length === 0 || this.#setsByType.size < (this.#codec === 'h264' ? 2 : 3)) return null;
    // Parameter sets take effect at a key frame; before it there is nothing to describe.
    const config = this.#stale && key ? this.#describe() : null;
    return { data: toLengthPrefixed(bytes, nals), key, config };
  }

  #describe(): VideoConfig {
    this.#stale = false;
    // By type: VPS, SPS, PPS.
    const inOrder = [...this.#setsByType].sort(([a], [b]) => a - b).flatMap(([, sets]) => sets);
    return describeVideo(this.#codec, inOrder);
  }

  #keep(sets: readonly Buffer[]): void {
    for (const [type, group] of Map.groupBy(sets, (set) => nalType(this.#codec, set[0]!))) {
      const known = this.#setsByType.get(type);
      if (known && Buffer.concat(known).equals(Buffer.concat(group))) continue;
      this.#setsByType.set(
        type,
        group.map((set) => Buffer.from(set)),
      );
      this.#stale = true;
    }
  }
}

/** Parameter sets inside a configuration record (ISO/IEC 14496-15 §5.3.3.1.2, §8.3.3.1.2). */
function setsOfRecord(codec: NalCodec, record: Buffer): Buffer[] {
  const sets: Buffer[] = [];
  if (codec === 'h264') {
    let at = 5;
    for (const countMask of [0x1f, 0xff]) {
      for (let count = (record[at++] ?? 0) & countMask; count > 0; count--) at = readSet(record, at, sets);
    }
  } else {
    let at = 23;
    for (let arrays = record[22]!; arrays > 0 && at + 3 <= record.length; arrays--) {
      let count = record.readUInt16BE(at + 1);
      for (at += 3; count > 0; count--) at = readSet(record, at, sets);
    }
  }
  return sets.filter((set) => isParameterSet(codec, nalType(codec, set[0]!)));
}

/** Appends the set with a 16-bit length at `at`, if it is whole; returns where the next one begins. */
function readSet(record: Buffer, at: number, sets: Buffer[]): number {
  if (at + 2 > record.length) return record.length;
  const end = at + 2 + record.readUInt16BE(at);
  if (end > at + 2 && end <= record.length) sets.push(record.subarray(at + 2, end));
  return end;
}
