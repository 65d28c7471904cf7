/** Where in a recorded life the power goes, how, and which of what is left is booted. Pure. */
import { seededRandom } from '../../../tests/crash/seeded-random.ts';
import { CUT_WAYS, type CutWay } from '../../../tests/harness/nbd/crash-images.ts';
import type { DiskOp } from '../../../tests/harness/nbd/disk-log.ts';
import { MIB, PARTITIONS } from '../../build/layout.ts';

/** What the recording says of itself, in this order. */
export const MARKS = {
  powerOn: 'power on',
  grown: 'grown',
  confirmed: 'slot A confirmed',
  event: 'event',
  install: 'install',
  trial: 'trial of B',
  good: 'B is good',
} as const;

/** Part of the log, with what is cut there: from this operation up to and with that one. */
export interface Stretch {
  readonly name: string;
  readonly from: number;
  readonly to: number;
  /** Of all cuts, in hundredths. */
  readonly share: number;
  /** Of those that are booted: its share. */
  readonly booted: number;
}

/** A cut that is to be made. The seed alone says what is torn and lost. */
export interface PlannedCut {
  readonly number: number;
  readonly stretch: string;
  readonly cutAt: number;
  readonly way: CutWay;
  readonly seed: number;
  readonly isBooted: boolean;
}

/** The second table, from the beginning of the page that it begins in. */
const TAIL_PAGES_BYTES = 5 * 4096;

/** Name of the partition; `table` for both copies of it. */
export function placeOf(offset: number, diskBytes: number): string {
  if (offset < MIB || offset >= diskBytes - TAIL_PAGES_BYTES) return 'table';
  const mib = Math.floor(offset / MIB);
  return PARTITIONS.findLast(({ startMib }) => startMib <= mib)?.name ?? 'table';
}

type MakeStretch = (name: string, from: number, until: number, share: number, booted: number) => Stretch;

/**
 * Of a life that ended before its update was confirmed: those up to where the update was asked for.
 * @throws Error when the log does not come that far
 */
export function stretchesOf(ops: readonly DiskOp[], diskBytes: number): readonly Stretch[] {
  const writes = ops.flatMap((op, index) =>
    op.kind === 'write' || op.kind === 'zero' ? [{ index, place: placeOf(op.offset, diskBytes) }] : [],
  );
  const to = (...places: readonly string[]): readonly number[] => {
    const found = writes.filter(({ place }) => places.includes(place)).map(({ index }) => index);
    if (found.length === 0) throw new Error(`nothing of the recording is written to ${places.join(', ')}`);
    return found;
  };
  const make: MakeStretch = (name, from, until, share, booted) => ({
    ...{ name, share, booted },
    from: Math.max(0, from),
    to: Math.min(ops.length, Math.max(from, until)),
  });
  const [grown, install] = [markIn(ops, MARKS.grown), markIn(ops, MARKS.install)];
  const [table, states] = [to('table'), to('boot_state')];
  return [
    make('first boot', markIn(ops, MARKS.powerOn), first(table), 4, 1),
    // The table itself, then the file system that takes the room.
    make('table', first(table) - 1, last(within(0, grown, table)) + 2, 14, 4),
    make('growth', first(table), grown, 10, 3),
    make('first start', grown, markIn(ops, MARKS.confirmed), 6, 1),
    make('clip close', markIn(ops, MARKS.event), install, 18, 4),
    // Each has its own, as what lies between them is long.
    ...states.map((at, number) =>
      make('state write', at - 1, at + 3, 4 / states.length, number === 0 ? 1 : 0),
    ),
    ...(hasMark(ops, MARKS.good) ? ofUpdate(ops, make, to('boot_b', 'root_b'), states) : []),
  ];
}

function ofUpdate(
  ops: readonly DiskOp[],
  make: MakeStretch,
  slot: readonly number[],
  states: readonly number[],
): readonly Stretch[] {
  const [install, trial, good] = [MARKS.install, MARKS.trial, MARKS.good].map((label) =>
    markIn(ops, label),
  ) as [number, number, number];
  // The next one is of the boot script, which takes an attempt.
  const [activated] = within(last(slot), trial, states);
  const marked = within(trial, good, states).at(-1);
  if (activated === undefined || marked === undefined)
    throw new Error('the recording holds no activation or no confirmation of slot B');
  return [
    make('download', install, first(slot), 6, 1),
    make('install', first(slot), last(slot) + 1, 12, 2),
    make('activate', activated - 4, activated + 6, 6, 2),
    make('restart', activated, trial, 4, 1),
    make('trial', trial, marked, 8, 1),
    make('mark-good', marked - 4, marked + 6, 6, 2),
    make('afterwards', marked, ops.length, 2, 1),
  ];
}

const placeOfMark = (ops: readonly DiskOp[], label: string): number =>
  ops.findIndex((op) => op.kind === 'mark' && op.label === label);
const hasMark = (ops: readonly DiskOp[], label: string): boolean => placeOfMark(ops, label) !== -1;

function markIn(ops: readonly DiskOp[], label: string): number {
  const found = placeOfMark(ops, label);
  if (found === -1) throw new Error(`the recording does not come to "${label}"`);
  return found;
}

const first = (indexes: readonly number[]): number => indexes[0] ?? 0;
const last = (indexes: readonly number[]): number => indexes.at(-1) ?? 0;
const within = (from: number, until: number, indexes: readonly number[]): readonly number[] =>
  indexes.filter((index) => index >= from && index < until);

export interface PlanOptions {
  readonly checked: number;
  readonly booted: number;
  readonly seed: number;
}

/** `checked` cuts at least, in the order of the log; `booted` of them at least are booted. */
export function planCuts(
  stretches: readonly Stretch[],
  { booted, checked, seed }: PlanOptions,
): readonly PlannedCut[] {
  const random = seededRandom(seed);
  const shares = stretches.reduce((sum, { share }) => sum + share, 0);
  const bootShares = stretches.reduce((sum, { booted }) => sum + booted, 0);
  const cuts = stretches.flatMap((stretch) => {
    const count = Math.max(1, Math.ceil((checked * stretch.share) / shares));
    const boots = Math.ceil((booted * stretch.booted) / bootShares);
    const length = (stretch.to - stretch.from + 1) / count;
    return Array.from({ length: count }, (_, at) => ({
      stretch: stretch.name,
      cutAt: Math.min(stretch.to, Math.floor(stretch.from + (at + random()) * length)),
      way: CUT_WAYS[Math.floor(random() * CUT_WAYS.length)] ?? 'mixed',
      seed: Math.floor(random() * 2 ** 32),
      // Spread over the stretch.
      isBooted: Math.floor(((at + 1) * boots) / count) > Math.floor((at * boots) / count),
    }));
  });
  return cuts.sort((a, b) => a.cutAt - b.cutAt).map((cut, number) => Object.assign(cut, { number }));
}
