/** What reached a drive, in the order in which it was answered. */
export type LogEntry =
  | { readonly kind: 'write'; readonly utcMs: number; readonly offset: number; readonly data: Buffer }
  /** All writes before it are on the medium. */
  | { readonly kind: 'flush'; readonly utcMs: number };

const HEADER_BYTES = 24;
const WRITE = 1;
const FLUSH = 2;

export function encodeEntry(entry: LogEntry): Buffer {
  const data = entry.kind === 'write' ? entry.data : Buffer.alloc(0);
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt32LE(entry.kind === 'write' ? WRITE : FLUSH, 0);
  header.writeUInt32LE(data.byteLength, 4);
  header.writeDoubleLE(entry.utcMs, 8);
  header.writeDoubleLE(entry.kind === 'write' ? entry.offset : 0, 16);
  return Buffer.concat([header, data]);
}

/** Data is not copied. */
export function decodeEntries(log: Buffer): readonly LogEntry[] {
  const entries: LogEntry[] = [];
  for (let at = 0; at + HEADER_BYTES <= log.byteLength;) {
    const end = at + HEADER_BYTES + log.readUInt32LE(at + 4);
    if (end > log.byteLength) break;
    const utcMs = log.readDoubleLE(at + 8);
    if (log.readUInt32LE(at) === FLUSH) entries.push({ kind: 'flush', utcMs });
    else
      entries.push({
        kind: 'write',
        utcMs,
        offset: log.readDoubleLE(at + 16),
        data: log.subarray(at + HEADER_BYTES, end),
      });
    at = end;
  }
  return entries;
}
