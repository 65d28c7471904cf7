/** The boot state, and its bytes as U-Boot reads them (GRUB: `grub.ts`). Rules: device/design/image.md. Pure. */
import { crc32 } from 'node:zlib';

export const COPY_BYTES = 16 * 1024;
/** Where the copies begin in the partition `boot_state`. */
export const COPY_OFFSETS = [0, 64 * 1024] as const;
export const ATTEMPTS = 3;

export const SLOTS = ['A', 'B'] as const;
export type Slot = (typeof SLOTS)[number];

const STATES = ['good', 'trial', 'bad', 'empty'] as const;
export type SlotState = (typeof STATES)[number];

export const RECOVERIES = ['none', 'state-lost', 'no-slot-left'] as const;
export type Recovery = (typeof RECOVERIES)[number];

export interface SlotAttempts {
  readonly state: SlotState;
  /** Attempts left, 0 to 3. */
  readonly left: number;
}

export interface BootState {
  /** Counts writes; 32 bit. */
  readonly seq: number;
  /** Which slot is tried first. */
  readonly order: readonly [Slot, Slot];
  readonly slots: Readonly<Record<Slot, SlotAttempts>>;
  readonly recovery: Recovery;
}

/** What a freshly flashed disk starts with: slot A, proven by its maker; nothing in B. */
export const FACTORY_STATE: BootState = {
  seq: 1,
  order: ['A', 'B'],
  slots: { A: { state: 'good', left: ATTEMPTS }, B: { state: 'empty', left: 0 } },
  recovery: 'none',
};

/** What is assumed, and said, when nothing is known: a fresh state, with nothing proven. */
export const LOST_STATE: BootState = {
  seq: 0,
  order: ['A', 'B'],
  slots: { A: { state: 'trial', left: ATTEMPTS }, B: { state: 'trial', left: ATTEMPTS } },
  recovery: 'state-lost',
};

/** One copy: CRC-32, then `NAME=value` each ended by NUL, an empty one, zeros. */
export function encode(state: BootState): Buffer {
  const { A, B } = state.slots;
  const variables = [
    `BOOT_SEQ=${state.seq.toString(16)}`,
    `BOOT_ORDER=${state.order.join(' ')}`,
    `BOOT_A_LEFT=${A.left}`,
    `BOOT_B_LEFT=${B.left}`,
    `BOOT_A_STATE=${A.state}`,
    `BOOT_B_STATE=${B.state}`,
    `BOOT_RECOVERY=${state.recovery}`,
  ];
  const copy = Buffer.alloc(COPY_BYTES);
  copy.write(`${variables.join('\0')}\0\0`, 4, 'latin1');
  copy.writeUInt32LE(crc32(copy.subarray(4)), 0);
  return copy;
}

/** The state that a copy holds; null when it is torn, foreign or nonsense. */
export function decode(copy: Buffer): BootState | null {
  if (copy.length !== COPY_BYTES || copy.readUInt32LE(0) !== crc32(copy.subarray(4))) return null;
  const end = copy.indexOf('\0\0', 4, 'latin1');
  if (end === -1) return null;
  const variables = new Map(
    copy
      .toString('latin1', 4, end)
      .split('\0')
      .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)] as const),
  );
  const of = (name: string): string => variables.get(name) ?? '';
  const order = of('BOOT_ORDER').split(' ');
  const seq = /^[0-9a-f]{1,8}$/.test(of('BOOT_SEQ')) ? parseInt(of('BOOT_SEQ'), 16) : null;
  const A = attempts(of('BOOT_A_STATE'), of('BOOT_A_LEFT'));
  const B = attempts(of('BOOT_B_STATE'), of('BOOT_B_LEFT'));
  const recovery = RECOVERIES.find((name) => name === of('BOOT_RECOVERY'));
  if (seq === null || A === null || B === null || recovery === undefined || order.length !== 2) return null;
  const [first, second] = order.map((name) => SLOTS.find((slot) => slot === name));
  if (first === undefined || second === undefined || first === second) return null;
  return { seq, order: [first, second], slots: { A, B }, recovery };
}

export function attempts(state: string, left: string): SlotAttempts | null {
  const known = STATES.find((name) => name === state);
  return known === undefined || !/^[0-3]$/.test(left) ? null : { state: known, left: Number(left) };
}

/** How the boot state lies on its partition: as the boot script there can read and write it. */
export interface Format {
  readonly copyBytes: number;
  /** Where the copies begin in the partition `boot_state`. */
  readonly copyOffsets: readonly [number, number];
  /** What lies before them, and never changes. */
  readonly head: Buffer;
  encode(state: BootState): Buffer;
  /** Null when it is torn, foreign or nonsense. */
  decode(copy: Buffer): BootState | null;
}

/** Two copies of a U-Boot environment. */
export const U_BOOT: Format = {
  copyBytes: COPY_BYTES,
  copyOffsets: COPY_OFFSETS,
  head: Buffer.alloc(0),
  encode,
  decode,
};

/** A partition whose copies are both this state; what follows is zeros. */
export function volumeOf(state: BootState, format: Format): Buffer {
  const volume = Buffer.alloc(format.copyOffsets[1] + 64 * 1024);
  format.head.copy(volume);
  for (const offset of format.copyOffsets) format.encode(state).copy(volume, offset);
  return volume;
}

export interface Found {
  readonly state: BootState;
  /** Which copy it was read from. */
  readonly copy: 0 | 1;
}

/** The valid copy of the higher number, as the boot script chooses it; null when both are lost. */
export function newest(copies: readonly [Buffer, Buffer], format: Format = U_BOOT): Found | null {
  const [first, second] = copies.map((copy) => format.decode(copy));
  if (first && (!second || first.seq >= second.seq)) return { state: first, copy: 0 };
  return second ? { state: second, copy: 1 } : null;
}

/** What to write and where, so that a torn write costs the new state and never the old one. */
export function nextWrite(found: Found | null, change: (state: BootState) => BootState): Found {
  const before = found?.state ?? LOST_STATE;
  return { state: { ...change(before), seq: (before.seq + 1) >>> 0 }, copy: found?.copy === 0 ? 1 : 0 };
}

const withSlot = (state: BootState, slot: Slot, attemptsOfSlot: SlotAttempts): BootState => ({
  ...state,
  slots: { ...state.slots, [slot]: attemptsOfSlot },
});

const other = (slot: Slot): Slot => (slot === 'A' ? 'B' : 'A');

/** The next boot tries this slot first. One that is not proven is on trial. */
export function activate(state: BootState, slot: Slot): BootState {
  const proven = state.slots[slot].state === 'good';
  return {
    ...withSlot(state, slot, { state: proven ? 'good' : 'trial', left: ATTEMPTS }),
    order: [slot, other(slot)],
  };
}

export const markGood = (state: BootState, slot: Slot): BootState =>
  withSlot(state, slot, { state: 'good', left: ATTEMPTS });

/** Never tried again, unless something else is installed into it. */
export const markBad = (state: BootState, slot: Slot): BootState =>
  withSlot(state, slot, { state: 'bad', left: 0 });

/** About to be written: what comes in is not what was proven. */
export const forget = (state: BootState, slot: Slot): BootState =>
  withSlot(state, slot, { state: 'empty', left: 0 });

/** The slot that the next boot tries; null when the recovery path decides. */
export const primary = (state: BootState): Slot | null =>
  state.order.find((slot) => {
    const { state: what, left } = state.slots[slot];
    return (what === 'good' || what === 'trial') && left > 0;
  }) ?? null;
