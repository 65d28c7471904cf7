/** Reads MP4 files with sample tables, independently of the code that writes them. Strict, as mp4.ts is. */

export interface MovieSample {
  readonly dts: number;
  readonly pts: number;
  readonly key: boolean;
  readonly data: Buffer;
}

export interface MovieTrack {
  readonly handler: string;
  readonly timescale: number;
  /** In seconds of the movie: when what is at `mediaTicks` of the track is shown, and for how long. */
  readonly edits: readonly {
    readonly atSeconds: number;
    readonly seconds: number;
    readonly mediaTicks: number;
  }[];
  /** In order of decoding. */
  readonly samples: readonly MovieSample[];
}

export interface Movie {
  readonly seconds: number;
  readonly tracks: readonly MovieTrack[];
  readonly boxes: readonly string[];
  readonly note: Readonly<Record<string, unknown>>;
}

/** What a viewer gets: samples within the edits, by the time of the movie. */
export function shownOf({ edits, samples, timescale }: MovieTrack): { seconds: number; data: Buffer }[] {
  return edits
    .flatMap(({ atSeconds, seconds, mediaTicks }) =>
      samples
        .filter(({ pts }) => pts >= mediaTicks && (pts - mediaTicks) / timescale < seconds - 1e-9)
        .map(({ pts, data }) => ({ seconds: atSeconds + (pts - mediaTicks) / timescale, data })),
    )
    .toSorted((a, b) => a.seconds - b.seconds);
}

interface Box {
  readonly type: string;
  readonly body: Buffer;
}

function boxesIn(bytes: Buffer): Box[] {
  const boxes: Box[] = [];
  for (let at = 0; at < bytes.byteLength;) {
    const size = bytes.readUInt32BE(at);
    if (size < 8 || at + size > bytes.byteLength) throw new Error(`a box at ${at} does not fit: ${size}`);
    boxes.push({ type: bytes.toString('latin1', at + 4, at + 8), body: bytes.subarray(at + 8, at + size) });
    at += size;
  }
  return boxes;
}

function child(bytes: Buffer, ...path: readonly string[]): Buffer | undefined {
  let body: Buffer | undefined = bytes;
  for (const type of path) body = body && boxesIn(body).find((box) => box.type === type)?.body;
  return body;
}

/** Rows of 32-bit numbers behind version, flags and their number. */
function table(body: Buffer | undefined, columns: number, at = 4): number[][] {
  if (!body) return [];
  const rows = Array.from({ length: body.readUInt32BE(at) }, (_, row) =>
    Array.from({ length: columns }, (_, column) => body.readUInt32BE(at + 4 + (row * columns + column) * 4)),
  );
  if (at + 4 + rows.length * columns * 4 !== body.byteLength)
    throw new Error('a table is not as long as it says');
  return rows;
}

const runs = (rows: readonly number[][]): number[] =>
  rows.flatMap(([count, value]) => Array.from({ length: count! }, () => value!));

export function readMovie(bytes: Buffer): Movie {
  const boxes = boxesIn(bytes);
  const moov = boxes.find(({ type }) => type === 'moov')!.body;
  const header = child(moov, 'mvhd')!;
  const movieScale = header.readUInt32BE(20);
  const note = boxes.find(({ type }) => type === 'uuid')!.body.subarray(16);
  return {
    seconds: Number(header.readBigUInt64BE(24)) / movieScale,
    tracks: boxesIn(moov)
      .filter(({ type }) => type === 'trak')
      .map(({ body }) => readTrack(bytes, body, movieScale)),
    boxes: boxes.map(({ type }) => type),
    note: JSON.parse(note.toString()) as Record<string, unknown>,
  };
}

function readTrack(bytes: Buffer, trak: Buffer, movieScale: number): MovieTrack {
  const stbl = child(trak, 'mdia', 'minf', 'stbl')!;
  const sizes = table(child(stbl, 'stsz'), 1, 8).flat();
  const deltas = runs(table(child(stbl, 'stts'), 2));
  const composition = child(stbl, 'ctts');
  const offsets = runs(table(composition, 2));
  const isSigned = composition?.readUInt8(0) === 1;
  const keys = child(stbl, 'stss') && new Set(table(child(stbl, 'stss'), 1).flat());
  const chunks = table(child(stbl, 'stco'), 1).flat();
  const counts = table(child(stbl, 'stsc'), 3);
  const samples: MovieSample[] = [];
  let dts = 0;
  for (const [i, offset] of chunks.entries()) {
    const count = counts.findLast(([first]) => first! <= i + 1)![1]!;
    let at = offset;
    for (let n = 0; n < count; n++) {
      const no = samples.length;
      const size = sizes[no]!;
      const shift = offsets[no] ?? 0;
      samples.push({
        dts,
        pts: dts + (isSigned ? shift | 0 : shift),
        key: keys?.has(no + 1) ?? true,
        data: bytes.subarray(at, at + size),
      });
      at += size;
      dts += deltas[no]!;
    }
  }
  for (const list of [sizes, deltas, ...(composition ? [offsets] : [])]) {
    if (list.length !== samples.length) throw new Error('the tables do not agree on the number of samples');
  }
  const edits: MovieTrack['edits'][number][] = [];
  let atSeconds = 0;
  const elst = child(trak, 'edts', 'elst')!;
  for (let i = 0; i < elst.readUInt32BE(4); i++) {
    const seconds = Number(elst.readBigUInt64BE(8 + i * 20)) / movieScale;
    const mediaTicks = Number(elst.readBigInt64BE(16 + i * 20));
    if (mediaTicks >= 0) edits.push({ atSeconds, seconds, mediaTicks });
    atSeconds += seconds;
  }
  return {
    handler: child(trak, 'mdia', 'hdlr')!.toString('latin1', 8, 12),
    timescale: child(trak, 'mdia', 'mdhd')!.readUInt32BE(20),
    edits,
    samples,
  };
}
