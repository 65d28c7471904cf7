/**
 * What a power cut may leave of a disk, worked out from its log. Pure, and the same for the same seed.
 *
 * The rules are those of a disk with a volatile cache: what was answered before a flush is there, and so is a write with
 * FUA; of what came after the last flush each part may be there or not, whatever the order in which it was sent; a sector is
 * old or new, never half. So writes that reached the medium in another order need no order here: which of them are missing says it.
 */
import type { DiskOp } from './disk-log.ts';

export const SECTOR_BYTES = 512;

/** One way in which the power may go. */
export interface PowerCut {
  /** Operations before this one were answered. */
  readonly cutAt: number;
  /** Those that reached the medium, in the order of the log. */
  readonly reached: readonly number[];
  /** How many sectors of an operation reached it, where not all did. */
  readonly torn: ReadonlyMap<number, number>;
  /** The last mark before. */
  readonly label: string | null;
}

/** `prefix`: nothing of what was answered is lost. `lost`: the cache was empty. `mixed`: anything that may be. */
export type CutWay = 'prefix' | 'lost' | 'mixed';

export interface CutOptions {
  /** Numbers in [0, 1). */
  readonly random: () => number;
  readonly count: number;
  /** Only between this mark and the next one. */
  readonly within?: string;
}

type Change = Extract<DiskOp, { kind: 'write' | 'zero' }>;

/** In which proportion they are tried. */
export const CUT_WAYS: readonly CutWay[] = ['mixed', 'prefix', 'mixed', 'lost'];
/** Of what may be there or not. */
const KEPT = 0.5;
/** Of what is there, though it need not be. */
const TORN = 0.25;

/** `count` cuts, spread over the log: every stretch of it gets its own, whatever the dice say. */
export function* powerCuts(
  ops: readonly DiskOp[],
  { count, random, within }: CutOptions,
): Generator<PowerCut> {
  const [from, to] = rangeOf(ops, within);
  const stretch = (to - from + 1) / count;
  for (let at = 0; at < count; at++) {
    const cutAt = Math.min(to, Math.floor(from + (at + random()) * stretch));
    yield cutPower(ops, cutAt, CUT_WAYS[at % CUT_WAYS.length] ?? 'mixed', random);
  }
}

export function cutPower(ops: readonly DiskOp[], cutAt: number, way: CutWay, random: () => number): PowerCut {
  const answered = ops.slice(0, cutAt);
  const lastFlush = answered.findLastIndex(({ kind }) => kind === 'flush');
  const reached: number[] = [];
  const torn = new Map<number, number>();
  const tear = (index: number, op: Change): void =>
    void torn.set(index, Math.floor(random() * (sectorsOf(op) + 1)));
  for (const [index, op] of answered.entries()) {
    if (op.kind === 'flush' || op.kind === 'mark') continue;
    const isCertain = index < lastFlush || op.isDurable || way === 'prefix';
    if (!isCertain && (way === 'lost' || random() >= KEPT)) continue;
    reached.push(index);
    if (!isCertain && random() < TORN) tear(index, op);
  }
  // The one that was sent, but not answered.
  const next = ops[cutAt];
  if (way !== 'lost' && (next?.kind === 'write' || next?.kind === 'zero')) {
    reached.push(cutAt);
    tear(cutAt, next);
  }
  return { cutAt, reached, torn, label: answered.findLast((op) => op.kind === 'mark')?.label ?? null };
}

/** Writes what a cut left onto a copy of the disk as it was when the log began. */
export async function applyCut(
  ops: readonly DiskOp[],
  { reached, torn }: PowerCut,
  dataOf: (op: Extract<DiskOp, { kind: 'write' }>) => Promise<Uint8Array>,
  disk: { write(offset: number, data: Uint8Array): Promise<void> },
): Promise<void> {
  for (const index of reached) {
    const op = ops[index] as Change;
    const sectors = torn.get(index);
    const bytes = sectors === undefined ? op.length : Math.min(op.length, sectors * SECTOR_BYTES);
    if (bytes === 0) continue;
    const data = op.kind === 'write' ? (await dataOf(op)).subarray(0, bytes) : new Uint8Array(bytes);
    await disk.write(op.offset, data);
  }
}

const sectorsOf = ({ length }: Change): number => Math.ceil(length / SECTOR_BYTES);

/** From and up to which operation is cut. */
function rangeOf(ops: readonly DiskOp[], within: string | undefined): readonly [number, number] {
  if (within === undefined) return [0, ops.length];
  const from = ops.findIndex((op) => op.kind === 'mark' && op.label === within);
  if (from === -1) throw new Error(`the log has no mark "${within}"`);
  const to = ops.findIndex((op, index) => index > from && op.kind === 'mark');
  return [from + 1, to === -1 ? ops.length : to];
}
