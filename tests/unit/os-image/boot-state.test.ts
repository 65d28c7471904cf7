import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  activate,
  COPY_BYTES,
  decode,
  encode,
  FACTORY_STATE,
  forget,
  markBad,
  markGood,
  newest,
  nextWrite,
  primary,
  type BootState,
} from '../../../os-image/boot-state/codec.ts';

const attempts = fc.record({
  state: fc.constantFrom('good', 'trial', 'bad', 'empty'),
  left: fc.integer({ min: 0, max: 3 }),
});
const states: fc.Arbitrary<BootState> = fc.record({
  seq: fc.integer({ min: 0, max: 0xffff_ffff }),
  order: fc.constantFrom(['A', 'B'] as const, ['B', 'A'] as const),
  slots: fc.record({ A: attempts, B: attempts }),
  recovery: fc.constantFrom('none', 'state-lost', 'no-slot-left'),
});

describe('one copy', () => {
  test('is read as it was written', () => {
    fc.assert(
      fc.property(states, (state) => {
        expect(decode(encode(state))).toEqual(state);
      }),
    );
  });

  test('is 16 KiB, begins with the CRC-32 of the rest, and names the variables that the boot script reads', () => {
    const copy = encode(FACTORY_STATE);
    expect(copy).toHaveLength(COPY_BYTES);
    expect(copy.readUInt32LE(0)).toBe(crc32(copy.subarray(4)));
    expect(copy.toString('latin1', 4, copy.indexOf('\0\0', 4)).split('\0')).toEqual([
      'BOOT_SEQ=1',
      'BOOT_ORDER=A B',
      'BOOT_A_LEFT=3',
      'BOOT_B_LEFT=0',
      'BOOT_A_STATE=good',
      'BOOT_B_STATE=empty',
      'BOOT_RECOVERY=none',
    ]);
  });

  test('a torn or foreign one is nothing, not a guess', () => {
    fc.assert(
      fc.property(
        states,
        fc.integer({ min: 0, max: COPY_BYTES - 1 }),
        fc.integer({ min: 1, max: 255 }),
        (state, at, flip) => {
          const copy = encode(state);
          copy.writeUInt8(copy.readUInt8(at) ^ flip, at);
          expect(decode(copy)).toBeNull();
        },
      ),
    );
    expect(decode(Buffer.alloc(COPY_BYTES))).toBeNull();
    expect(decode(Buffer.alloc(512))).toBeNull();
  });
});

describe('two copies', () => {
  test('a write that is torn anywhere costs the new state and never the old one', () => {
    fc.assert(
      fc.property(
        states,
        fc.integer({ min: 0, max: COPY_BYTES / 512 }),
        fc.boolean(),
        (state, sectors, first) => {
          const before = { ...state, seq: state.seq % 0xffff_fffe };
          const copies: [Buffer, Buffer] = first
            ? [encode(before), Buffer.alloc(COPY_BYTES)]
            : [Buffer.alloc(COPY_BYTES), encode(before)];
          const next = nextWrite(newest(copies), (now) => markGood(now, 'A'));
          encode(next.state).copy(copies[next.copy], 0, 0, sectors * 512);
          expect([before, next.state]).toContainEqual(newest(copies)?.state);
        },
      ),
    );
  });

  test('both lost: the state is a new one, and says so', () => {
    const lost = Buffer.alloc(COPY_BYTES);
    expect(newest([lost, lost])).toBeNull();
    expect(nextWrite(null, (state) => state).state.recovery).toBe('state-lost');
  });
});

describe('slots', () => {
  test('an update: the other slot is forgotten, tried first, and good once it has proven itself', () => {
    const writing = forget(FACTORY_STATE, 'B');
    expect(primary(writing)).toBe('A');
    const installed = activate(writing, 'B');
    expect(primary(installed)).toBe('B');
    expect(installed.slots.B).toEqual({ state: 'trial', left: 3 });
    expect(markGood(installed, 'B').slots.B.state).toBe('good');
  });

  test('a slot that the health gate refuses is not tried again', () => {
    expect(primary(markBad(activate(FACTORY_STATE, 'B'), 'B'))).toBe('A');
  });

  test('going back to a proven slot is no trial', () => {
    const updated = markGood(activate(FACTORY_STATE, 'B'), 'B');
    expect(activate(updated, 'A').slots.A.state).toBe('good');
  });
});
