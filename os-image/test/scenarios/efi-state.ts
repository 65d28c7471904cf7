/** GRUB and our script under UEFI: which slot it chooses by what boot state, and what it writes. Ends before a kernel runs. */
import { GRUB, SPARE } from '../../boot-state/grub.ts';
import { FACTORY_STATE, newest, volumeOf, type BootState, type Slot } from '../../boot-state/codec.ts';
import { Card } from '../card.ts';
import { Machine } from '../machine.ts';
import { patience } from '../guest.ts';
import type { Scenario } from '../scenario.ts';
import { cache, inside } from '../toolbox.ts';

interface Case {
  readonly what: string;
  /** Content of the partition. */
  readonly before: Buffer;
  /** What the boot script says; and the newest state afterwards, null: none is readable. */
  readonly says: string;
  readonly after: BootState | null;
  /** Which copy holds it. */
  readonly copy?: 0 | 1;
}

const state = (
  seq: number,
  first: Slot,
  [stateA, leftA]: readonly [BootState['slots']['A']['state'], number],
  [stateB, leftB]: readonly [BootState['slots']['B']['state'], number],
  recovery: BootState['recovery'] = 'none',
): BootState => ({
  seq,
  order: first === 'A' ? ['A', 'B'] : ['B', 'A'],
  slots: { A: { state: stateA, left: leftA }, B: { state: stateB, left: leftB } },
  recovery,
});

/** A partition with these bytes for copies. */
function volume(first: Buffer, second: Buffer): Buffer {
  const bytes = volumeOf(FACTORY_STATE, GRUB);
  first.copy(bytes, GRUB.copyOffsets[0]);
  second.copy(bytes, GRUB.copyOffsets[1]);
  return bytes;
}

const encode = (of: BootState): Buffer => GRUB.encode(of);
const zeros = Buffer.alloc(GRUB.copyBytes);

/** The first `length` bytes of a new state over an old one. */
const torn = (before: BootState, after: BootState, length: number): Buffer =>
  Buffer.concat([encode(after).subarray(0, length), encode(before).subarray(length)]);

const older = state(999, 'A', ['good', 3], ['trial', 3]);
const newer = state(1000, 'B', ['good', 3], ['trial', 3]);

const CASES: readonly Case[] = [
  {
    what: 'as flashed: slot A, and the second copy is written',
    before: volumeOf(FACTORY_STATE, GRUB),
    says: 'booting slot A, good, 2 attempts left, recovery none',
    after: state(2, 'A', ['good', 2], ['empty', 0]),
    copy: 1,
  },
  {
    what: 'the copy of the higher number counts (1000 after 999), the other one is written',
    before: volume(encode(older), encode(newer)),
    says: 'booting slot B, trial, 2 attempts left, recovery none',
    after: state(1001, 'B', ['good', 3], ['trial', 2]),
    copy: 0,
  },
  {
    what: 'a number counts over nines',
    before: volume(encode({ ...newer, seq: 1_999_999 }), encode(older)),
    says: 'booting slot B, trial, 2 attempts left, recovery none',
    after: state(2_000_000, 'B', ['good', 3], ['trial', 2]),
    copy: 1,
  },
  {
    what: 'a copy torn in its first line costs the new state alone, and is written over',
    before: volume(torn(older, newer, 60), encode({ ...older, seq: 998 })),
    says: 'booting slot A, good, 2 attempts left, recovery none',
    after: state(999, 'A', ['good', 2], ['trial', 3]),
    copy: 0,
  },
  {
    what: 'a copy torn in its second line, too',
    before: volume(encode({ ...older, seq: 998 }), torn(older, newer, 110)),
    says: 'booting slot A, good, 2 attempts left, recovery none',
    after: state(999, 'A', ['good', 2], ['trial', 3]),
    copy: 1,
  },
  {
    what: 'a copy without a signature cannot be written: the attempt is counted in the valid one',
    before: volume(encode(older), zeros),
    says: 'booting slot A, good, 2 attempts left, recovery none',
    after: state(1000, 'A', ['good', 2], ['trial', 3]),
    copy: 0,
  },
  {
    what: 'a trial that is used up: the other slot',
    before: volume(encode(state(7, 'B', ['good', 3], ['trial', 0])), encode(older)),
    says: 'booting slot A, good, 2 attempts left, recovery none',
    after: state(1000, 'A', ['good', 2], ['trial', 3]),
    copy: 0,
  },
  {
    what: 'a refused slot is not tried: the other one',
    before: volume(encode(state(1007, 'B', ['good', 3], ['bad', 0])), encode(older)),
    says: 'booting slot A, good, 2 attempts left, recovery none',
    after: state(1008, 'B', ['good', 2], ['bad', 0]),
    copy: 1,
  },
  {
    what: 'no slot has attempts left: the proven one gets its own back, and that is said',
    before: volume(encode(state(8, 'B', ['good', 0], ['trial', 0])), encode(FACTORY_STATE)),
    says: 'booting slot A, good, 2 attempts left, recovery no-slot-left',
    after: state(9, 'B', ['good', 2], ['trial', 0], 'no-slot-left'),
    copy: 1,
  },
  {
    what: 'none is proven: each that is not empty gets one attempt',
    before: volume(encode(state(8, 'B', ['bad', 0], ['trial', 0])), encode(FACTORY_STATE)),
    says: 'booting slot B, trial, 0 attempts left, recovery no-slot-left',
    after: state(9, 'B', ['trial', 1], ['trial', 0], 'no-slot-left'),
    copy: 1,
  },
  {
    what: 'both copies torn: the state is lost, a fresh one is written, and that is said',
    before: volume(torn(older, newer, 60), torn(newer, older, 60)),
    says: 'booting slot A, trial, 2 attempts left, recovery state-lost',
    after: state(1, 'A', ['trial', 2], ['trial', 3], 'state-lost'),
    copy: 0,
  },
];

async function boot(card: Card, says: string): Promise<void> {
  const machine = Machine.start([inside, cache], {
    machine: 'amd64',
    disk: `/cache/${card.path}`,
    apiPort: 0,
    shellPort: 0,
    hasNetwork: false,
    log: `${cache}/vm/efi-state.log`,
  });
  try {
    await machine.line(new RegExp(`spyoncino: ${says}`), patience());
  } finally {
    await machine.stop();
  }
}

const found = (card: Card): ReturnType<typeof newest> => {
  const [first, second] = GRUB.copyOffsets.map((offset) => card.read('boot_state', offset, GRUB.copyBytes));
  return newest([first ?? zeros, second ?? zeros], GRUB);
};

export const efiState: Scenario = {
  name: 'efi-state',
  target: 'amd64',
  about: 'GRUB chooses a slot by every kind of boot state, torn and lost ones included',
  async run({ shown }) {
    using card = Card.flash('efi-state', { target: 'amd64' });
    for (const { what, before, says, after, copy } of CASES) {
      card.write('boot_state', 0, before);
      await boot(card, says);
      const { state: seen, copy: where } = found(card) ?? {};
      if (JSON.stringify(seen) !== JSON.stringify(after) || where !== copy)
        throw new Error(`${what}: ${JSON.stringify(seen)} in copy ${where}`);
      shown(what);
    }
    // A disk that reads as nothing there: attempts are counted all the same, so that no slot is tried for ever.
    card.write('boot_state', 0, Buffer.alloc(256 * 1024));
    for (const left of [2, 1, 0])
      await boot(card, `booting slot A, trial, ${left} attempts left, recovery state-lost`);
    await boot(card, 'booting slot B, trial, 2 attempts left, recovery state-lost');
    if (found(card) !== null) throw new Error('GRUB wrote what it cannot');
    shown(
      `the whole partition lost: attempts are counted in a spare file (${SPARE.length} bytes), and slot B has its turn`,
    );
  },
};
