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
  /** Of 24 that are booted. */
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

export const SHARES_OF_BOOTS = 24;

/** The second table, from the beginning of the page that it begins in. */
const TAIL_PAGES_BYTES = 5 * 4096;

/** Name of the partition; `table` for both copies of it. */
export function placeOf(offset: number, diskBytes: number): string {
  if (offset < MIB || offset >= diskBytes - TAIL_PAGES_BYTES) return 'table';
  const mib = Math.floor(offset / MIB);
  return PARTITIONS.findLast(({ startMib }) => startMib <= mib)?.name ?? 'table';
}

/** @throws Error when the log does not hold what it should */
export function stretchesOf(ops: readonly DiskOp[], diskBytes: number): readonly Stretch[] {
  const mark = (label: string): number => {
    const found = ops.findIndex((op) => op.kind === 'mark' && op.label === label);
    if (found === -1) throw new Error(`the recording does not come to "${label}"`);
    return found;
  };
  const writes = ops.flatMap((op, index) =>
    op.kind === 'write' || op.kind === 'zero' ? [{ index, place: placeOf(op.offset, diskBytes) }] : [],
  );
  const to = (...places: readonly string[]): readonly number[] => {
    const found = writes.filter(({ place }) => places.includes(place)).map(({ index }) => index);
    if (found.length === 0) throw new Error(`nothing of the recording is written to ${places.join(', ')}`);
    return found;
  };
  const within = (from: number, until: number, indexes: readonly number[]): readonly number[] =>
    indexes.filter((index) => index >= from && index < until);
  const [install, trial, good] = [mark(MARKS.install), mark(MARKS.trial), mark(MARKS.good)];
  const states = to('boot_state');
  const table = to('table');
  const slot = to('boot_b', 'root_b');
  const one = (found: number | undefined, what: string): number => {
    if (found === undefined) throw new Error(`the recording holds no ${what}`);
    return found;
  };
  const first = (indexes: readonly number[]): number => indexes[0] ?? 0;
  const last = (indexes: readonly number[]): number => indexes.at(-1) ?? 0;
  // The next one is of the boot script, which takes an attempt.
  const activated = one(within(last(slot), trial, states)[0], 'activation');
  const marked = one(within(trial, good, states).at(-1), 'confirmation of slot B');
  const grown = mark(MARKS.grown);
  const stretch = (name: string, from: number, until: number, share: number, booted: number): Stretch => ({
    ...{ name, share, booted },
    from: Math.max(0, from),
    to: Math.min(ops.length, Math.max(from, until)),
  });
  return [
    stretch('first boot', mark(MARKS.powerOn), first(table), 4, 1),
    // The table itself, then the file system that takes the room.
    stretch('table', first(table) - 1, last(within(0, grown, table)) + 2, 14, 4),
    stretch('growth', first(table), grown, 10, 3),
    stretch('first start', grown, mark(MARKS.confirmed), 6, 1),
    stretch('clip close', mark(MARKS.event), install, 18, 4),
    stretch('download', install, first(slot), 6, 1),
    stretch('install', first(slot), last(slot) + 1, 12, 2),
    stretch('activate', activated - 4, activated + 6, 6, 2),
    stretch('restart', activated, trial, 4, 1),
    stretch('trial', trial, marked, 8, 1),
    stretch('mark-good', marked - 4, marked + 6, 6, 2),
    stretch('afterwards', marked, ops.length, 2, 1),
    ...aroundEach(states, stretch),
  ];
}

/** Each has its own, as what lies between them is long. */
function aroundEach(
  states: readonly number[],
  stretch: (name: string, from: number, until: number, share: number, booted: number) => Stretch,
): readonly Stretch[] {
  return states.map((at, number) =>
    stretch('state write', at - 1, at + 3, 4 / states.length, number === 0 ? 1 : 0),
  );
}

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
  const cuts = stretches.flatMap((stretch) => {
    const count = Math.max(1, Math.ceil((checked * stretch.share) / shares));
    const boots = Math.ceil((booted * stretch.booted) / SHARES_OF_BOOTS);
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
