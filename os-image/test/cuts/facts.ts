/** What the box has confirmed, and since when: no power cut after that may take it. Pure. */
import { primary, SLOTS, type BootState, type Slot } from '../../boot-state/codec.ts';
import { readTable, type TableEntry } from '../../build/structure.ts';
import { PARTITIONS, SECTOR_BYTES } from '../../build/layout.ts';

export type Fact = {
  /** Length of the log when it was seen. */
  readonly since: number;
} & (
  | {
      readonly kind: 'file' | 'clip';
      /** On the data partition. */
      readonly path: string;
      readonly sha256: string;
    }
  /** Tried first, or proven. */
  | { readonly kind: 'first' | 'good'; readonly slot: Slot }
);

export type FileFact = Extract<Fact, { path: string }>;

export const standing = (facts: readonly Fact[], cutAt: number): readonly Fact[] =>
  facts.filter(({ since }) => since <= cutAt);

export const filesOf = (facts: readonly Fact[]): readonly FileFact[] =>
  facts.filter((fact): fact is FileFact => fact.kind === 'file' || fact.kind === 'clip');

/** Where the boot state denies what was confirmed, or leaves nothing to boot. */
export function stateComplaints(state: BootState | null, facts: readonly Fact[]): readonly string[] {
  if (state === null) return ['both copies of the boot state are lost'];
  const complaints = facts.flatMap((fact) => {
    if (fact.kind === 'first' && state.order[0] !== fact.slot)
      return [`slot ${fact.slot} is not tried first`];
    if (fact.kind === 'good' && state.slots[fact.slot].state !== 'good')
      return [`slot ${fact.slot} was good and is ${state.slots[fact.slot].state}`];
    return [];
  });
  return primary(state) === null ? [...complaints, 'no slot can be booted'] : complaints;
}

/** Slots that the boot script may start one day. */
export const bootable = (state: BootState): readonly Slot[] =>
  SLOTS.filter((slot) => state.slots[slot].state === 'good' || state.slots[slot].state === 'trial');

/** Sectors of a second table: the entries, then its header. */
export const TAIL_BYTES = 33 * SECTOR_BYTES;

/**
 * The table as boot script and kernel find it: the first one, or that in the last sectors of the disk; null when neither is
 * whole. `head`: the first MiB; `tail`: the last 33 sectors.
 */
export function tableOf(head: Buffer, tail: Buffer): readonly TableEntry[] | null {
  const second = Buffer.concat([
    Buffer.alloc(SECTOR_BYTES),
    tail.subarray(-SECTOR_BYTES),
    tail.subarray(0, TAIL_BYTES - SECTOR_BYTES),
  ]);
  return readTable(head) ?? readTable(second);
}

/** U-Boot takes no GPT without the record that protects it. */
export function tableComplaints(head: Buffer, tail: Buffer): readonly string[] {
  const isProtected = head.readUInt16LE(510) === 0xaa55 && head.readUInt8(446 + 4) === 0xee;
  const table = tableOf(head, tail);
  if (table === null) return ['neither table of the partitions is whole'];
  return [
    ...(isProtected ? [] : ['nothing protects the table']),
    ...PARTITIONS.flatMap(({ name, startMib, sizeMib }) => {
      const found = table.find((entry) => entry.name === name);
      const fits = found?.startMib === startMib && found.sizeMib >= sizeMib;
      return fits ? [] : [`partition ${name} is not where it was`];
    }),
  ];
}
