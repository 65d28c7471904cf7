import { createHash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import { SEAL_BYTES } from '../kernel/fmp4/fragment.ts';
import { isSealed, type ReadBytes, type ScannedFile } from '../kernel/fmp4/scan.ts';

/** Where a file stops being what was recorded. */
export interface Difference {
  readonly atBytes: number;
  /** What is shown there; null where that cannot be told. */
  readonly startUtcMs: number | null;
  readonly endUtcMs: number | null;
  readonly how: 'altered' | 'cut off' | 'made longer';
}

export const READ_BYTES = 2 ** 20;

/** SHA-256 of an open file, in hex. */
export async function hashOf(
  handle: FileHandle,
  signal: AbortSignal | undefined,
  onBytes: (doneBytes: number) => void,
): Promise<string> {
  const hash = createHash('sha256');
  const buffer = Buffer.allocUnsafe(READ_BYTES);
  for (let at = 0; ;) {
    signal?.throwIfAborted();
    const { bytesRead } = await handle.read(buffer, 0, READ_BYTES, at);
    if (bytesRead === 0) return hash.digest('hex');
    hash.update(buffer.subarray(0, bytesRead));
    onBytes((at += bytesRead));
  }
}

/** What `byte` of a footage file belongs to. */
export function differenceAt(
  { fragments, video }: ScannedFile,
  startUtcMs: number,
  atBytes: number,
  how: Difference['how'],
): Difference {
  const utcMs = (ticks: number): number =>
    Math.round(startUtcMs + ((ticks - video.leadTicks) / video.timescale) * 1000);
  const no = fragments.findIndex(({ endBytes }) => endBytes > atBytes);
  const shown = fragments[no]?.pictures.map(({ shownTicks }) => shownTicks) ?? [];
  if (shown.length > 0) {
    const [start, end] = [Math.min(...shown), Math.max(...shown) + video.frameTicks];
    return { atBytes, how, startUtcMs: utcMs(start), endUtcMs: utcMs(end) };
  }
  // Behind the last fragment: nothing is shown from there on.
  const ends = fragments.flatMap(({ pictures }) =>
    pictures.map(({ shownTicks }) => shownTicks + video.frameTicks),
  );
  return { atBytes, how, startUtcMs: no === -1 ? utcMs(Math.max(...ends)) : null, endUtcMs: null };
}

/** The first fragment whose seal does not fit, or where the file stops making sense. */
export async function bySeals(
  scanned: ScannedFile,
  startUtcMs: number,
  read: ReadBytes,
  sizeBytes: number,
  expectedBytes: number | null,
): Promise<Difference | null> {
  for (const { startBytes, sealBytes } of scanned.fragments) {
    const bytes = await read(startBytes, sealBytes + SEAL_BYTES - startBytes);
    if (!isSealed(bytes)) return differenceAt(scanned, startUtcMs, startBytes, 'altered');
  }
  const { wholeBytes } = scanned;
  if (expectedBytes !== null && sizeBytes < expectedBytes) {
    return differenceAt(scanned, startUtcMs, wholeBytes, 'cut off');
  }
  if (expectedBytes !== null && sizeBytes > expectedBytes) {
    return differenceAt(scanned, startUtcMs, expectedBytes, 'made longer');
  }
  return wholeBytes < sizeBytes ? differenceAt(scanned, startUtcMs, wholeBytes, 'altered') : null;
}

/** Null when they are the same. */
export function firstDifference(a: Uint8Array, b: Uint8Array): number | null {
  if (Buffer.compare(a, b) === 0) return null;
  let at = 0;
  while (at < a.byteLength && at < b.byteLength && a[at] === b[at]) at++;
  return at;
}
