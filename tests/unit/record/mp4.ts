/**
 * Reads fragmented MP4 files back, ours and FFmpeg's, independently of the code that writes them. Strict:
 * throws where a box does not fit into its parent.
 */
export interface Mp4Sample {
  readonly dts: number;
  readonly pts: number;
  readonly duration: number;
  readonly key: boolean;
  readonly data: Buffer;
  /** Number of the fragment it is in. */
  readonly fragment: number;
}

export interface Mp4Track {
  readonly id: number;
  readonly handler: string;
  readonly timescale: number;
  readonly sampleEntry: string;
  /** Body of avcC, hvcC, esds, dOps, by type. */
  readonly configs: ReadonlyMap<string, Buffer>;
  /** What the edit list skips. */
  readonly mediaTime: number;
  readonly width: number;
  readonly height: number;
  readonly samples: Mp4Sample[];
}

export interface Mp4File {
  readonly tracks: readonly Mp4Track[];
  /** Types of top-level boxes with the offset just behind each. */
  readonly boxes: readonly { readonly type: string; readonly start: number; readonly end: number }[];
  /** JSON of our uuid boxes. */
  readonly notes: readonly unknown[];
  readonly randomAccess: readonly { readonly time: number; readonly moof: number }[];
}

interface Box {
  readonly type: string;
  readonly start: number;
  readonly body: Buffer;
  readonly end: number;
}

function* walk(bytes: Buffer): Generator<Box> {
  for (let at = 0; at < bytes.byteLength;) {
    const size = bytes.readUInt32BE(at);
    const type = bytes.toString('latin1', at + 4, at + 8);
    if (size < 8 || at + size > bytes.byteLength)
      throw new Error(`box ${type} at ${at} does not fit: ${size}`);
    yield { type, start: at, body: bytes.subarray(at + 8, at + size), end: at + size };
    at += size;
  }
}

const children = (bytes: Buffer, type: string): readonly Buffer[] =>
  [...walk(bytes)].filter((box) => box.type === type).map(({ body }) => body);

function child(bytes: Buffer, ...path: readonly string[]): Buffer {
  return path.reduce((body, type) => {
    const [found] = children(body, type);
    if (!found) throw new Error(`no ${type}`);
    return found;
  }, bytes);
}

export function readMp4(bytes: Buffer): Mp4File {
  const boxes = [...walk(bytes)];
  const moov = boxes.find(({ type }) => type === 'moov')!.body;
  const tracks = children(moov, 'trak').map(readTrack);
  const defaults = new Map(
    children(child(moov, 'mvex'), 'trex').map((trex) => [
      trex.readUInt32BE(4),
      { duration: trex.readUInt32BE(12), size: trex.readUInt32BE(16), flags: trex.readUInt32BE(20) },
    ]),
  );
  let fragment = -1;
  for (const [i, moof] of boxes.entries()) {
    if (moof.type !== 'moof') continue;
    fragment++;
    const mdat = boxes[i + 1];
    if (mdat?.type !== 'mdat') throw new Error('moof without mdat');
    let expectedData = mdat.start + 8;
    for (const traf of children(moof.body, 'traf')) {
      const tfhd = new Fields(child(traf, 'tfhd'));
      const trackId = tfhd.u32();
      const track = tracks.find(({ id }) => id === trackId)!;
      const usual = { ...defaults.get(track.id)! };
      if (tfhd.flags & 0x1) throw new Error('absolute data offsets are not expected');
      if (tfhd.flags & 0x2) tfhd.u32();
      if (tfhd.flags & 0x8) usual.duration = tfhd.u32();
      if (tfhd.flags & 0x10) usual.size = tfhd.u32();
      if (tfhd.flags & 0x20) usual.flags = tfhd.u32();
      const tfdt = new Fields(child(traf, 'tfdt'));
      let dts = tfdt.version === 1 ? tfdt.u64() : tfdt.u32();
      for (const body of children(traf, 'trun')) {
        const trun = new Fields(body);
        const count = trun.u32();
        let data = moof.start + trun.i32();
        if (data !== expectedData) throw new Error('data offset does not point where data is expected');
        const firstFlags = trun.flags & 0x4 ? trun.u32() : null;
        for (let n = 0; n < count; n++) {
          const duration = trun.flags & 0x100 ? trun.u32() : usual.duration;
          const size = trun.flags & 0x200 ? trun.u32() : usual.size;
          const ownFlags = trun.flags & 0x400 ? trun.u32() : usual.flags;
          const offset = trun.flags & 0x800 ? trun.i32() : 0;
          const flags = n === 0 && firstFlags !== null ? firstFlags : ownFlags;
          const key = (flags & 0x10000) === 0;
          if (data + size > mdat.end) throw new Error('sample reaches out of mdat');
          track.samples.push({
            dts,
            pts: dts + offset,
            duration,
            key,
            data: bytes.subarray(data, data + size),
            fragment,
          });
          dts += duration;
          data += size;
        }
        expectedData = data;
        if (!trun.isAtEnd) throw new Error('trun is longer than its samples');
      }
    }
    if (expectedData !== mdat.end) throw new Error('mdat holds more than its samples');
  }
  return {
    tracks,
    boxes: boxes.map(({ type, start, end }) => ({ type, start, end })),
    notes: boxes
      .filter(({ type }) => type === 'uuid')
      .map(({ body }): unknown => JSON.parse(body.subarray(16).toString())),
    randomAccess: boxes.filter(({ type }) => type === 'mfra').flatMap(({ body }) => readRandomAccess(body)),
  };
}

function readTrack(trak: Buffer): Mp4Track {
  const mdia = child(trak, 'mdia');
  const tkhd = new Fields(child(trak, 'tkhd'));
  const mdhd = new Fields(child(mdia, 'mdhd'));
  for (let i = 0; i < 2; i++) mdhd.time();
  for (let i = 0; i < 2; i++) tkhd.time();
  const id = tkhd.u32();
  const stsd = child(mdia, 'minf', 'stbl', 'stsd');
  const [entry] = [...walk(stsd.subarray(8))];
  const handler = child(mdia, 'hdlr').toString('latin1', 8, 12);
  const extra = entry!.body.subarray(handler === 'vide' ? 78 : 28);
  const [edits] = children(trak, 'edts').map((edts) => new Fields(child(edts, 'elst')));
  let mediaTime = 0;
  if (edits) {
    for (let count = edits.u32(); count > 0; count--) {
      edits.time();
      mediaTime = Math.max(0, edits.version === 1 ? edits.u64() : edits.i32());
      edits.u32();
    }
  }
  const body = child(trak, 'tkhd');
  return {
    id,
    handler,
    timescale: mdhd.u32(),
    sampleEntry: entry!.type,
    configs: new Map([...walk(extra)].map(({ type, body }) => [type, body])),
    mediaTime,
    width: body.readUInt32BE(body.byteLength - 8) / 65536,
    height: body.readUInt32BE(body.byteLength - 4) / 65536,
    samples: [],
  };
}

function readRandomAccess(mfra: Buffer): { time: number; moof: number }[] {
  const mfro = child(mfra, 'mfro');
  if (mfro.readUInt32BE(4) !== mfra.byteLength + 8) throw new Error('mfro does not tell the size of mfra');
  const tfra = new Fields(child(mfra, 'tfra'));
  tfra.u32();
  tfra.u32();
  return Array.from({ length: tfra.u32() }, () => {
    const entry = { time: tfra.u64(), moof: tfra.u64() };
    tfra.skip(3);
    return entry;
  });
}

/** Fields of a full box, one after the other. */
class Fields {
  readonly version: number;
  readonly flags: number;
  readonly #bytes: Buffer;
  #at = 4;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
    this.version = bytes.readUInt8(0);
    this.flags = bytes.readUIntBE(1, 3);
  }

  get isAtEnd(): boolean {
    return this.#at === this.#bytes.byteLength;
  }

  u32(): number {
    return this.#bytes.readUInt32BE((this.#at += 4) - 4);
  }

  i32(): number {
    return this.#bytes.readInt32BE((this.#at += 4) - 4);
  }

  u64(): number {
    const value = Number(this.#bytes.readBigInt64BE((this.#at += 8) - 8));
    if (!Number.isSafeInteger(value)) throw new Error('not a safe integer');
    return value;
  }

  /** 64 bits in version 1, else 32. */
  time(): number {
    return this.version === 1 ? this.u64() : this.u32();
  }

  skip(bytes: number): void {
    this.#at += bytes;
  }
}
