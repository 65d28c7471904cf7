import { execFileSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  FACTORY_STATE,
  markGood,
  newest,
  nextWrite,
  volumeOf,
  type BootState,
} from '../../../os-image/boot-state/codec.ts';
import { GRUB, SPARE } from '../../../os-image/boot-state/grub.ts';
import { PARTITIONS } from '../../../os-image/build/layout.ts';

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

describe('one copy as GRUB reads it', () => {
  test('is read as it was written, and is one sector', () => {
    fc.assert(
      fc.property(states, (state) => {
        const copy = GRUB.encode(state);
        expect(copy).toHaveLength(512);
        expect(GRUB.decode(copy)).toEqual(state);
      }),
    );
  });

  test('is an environment block with the state under two names', () => {
    expect(GRUB.encode(FACTORY_STATE).toString('latin1').replace(/#+$/, '')).toBe(
      '# GRUB Environment Block\nboot_state=0000000001,AB,good,3,empty,0,none\nboot_again=0000000001,AB,good,3,empty,0,none\n',
    );
  });

  test('with any byte of the state changed it is nothing, not a guess', () => {
    fc.assert(
      fc.property(states, fc.nat(), fc.integer({ min: 1, max: 255 }), (state, place, flip) => {
        const copy = GRUB.encode(state);
        const text = copy.indexOf('\n#');
        const at = place % (text + 1);
        copy.writeUInt8(copy.readUInt8(at) ^ flip, at);
        expect(GRUB.decode(copy)).toBeNull();
      }),
    );
  });

  test('any bytes are a state or nothing', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 512, maxLength: 512 }), (bytes) => {
        expect(GRUB.decode(Buffer.from(bytes))).toBeNull();
      }),
    );
    expect(GRUB.decode(Buffer.alloc(16_384))).toBeNull();
  });
});

describe('two copies', () => {
  test('a sector that is torn at any byte is the old state, the new one, or nothing; never a mixture', () => {
    fc.assert(
      fc.property(states, states, fc.integer({ min: 0, max: 512 }), (before, after, length) => {
        fc.pre(before.seq !== after.seq);
        const copy = GRUB.encode(before);
        GRUB.encode(after).copy(copy, 0, 0, length);
        expect([before, after, null]).toContainEqual(GRUB.decode(copy));
      }),
      { numRuns: 2000 },
    );
  });

  test('a write that is torn anywhere costs the new state and never the old one', () => {
    fc.assert(
      fc.property(
        states,
        states,
        fc.integer({ min: 0, max: 512 }),
        fc.boolean(),
        (state, old, length, first) => {
          const before = { ...state, seq: 2 + (state.seq % 0xffff_fff0) };
          const other = GRUB.encode({ ...old, seq: before.seq - 1 });
          const copies: [Buffer, Buffer] = first
            ? [GRUB.encode(before), other]
            : [other, GRUB.encode(before)];
          const next = nextWrite(newest(copies, GRUB), (now) => markGood(now, 'A'));
          GRUB.encode(next.state).copy(copies[next.copy], 0, 0, length);
          expect([before, next.state]).toContainEqual(newest(copies, GRUB)?.state);
        },
      ),
    );
  });
});

test('the copies lie 64 KiB apart, each at a sector of 4 KiB, and the spare one names no slot as proven', () => {
  expect(GRUB.copyOffsets).toEqual([4096, 4096 + 64 * 1024]);
  expect(GRUB.decode(SPARE)).toMatchObject({
    recovery: 'state-lost',
    slots: { A: { state: 'trial', left: 3 } },
  });
});

test('the boot script names partitions by the numbers of the layout', () => {
  const script = readFileSync(
    fileURLToPath(new URL('../../../os-image/boot/grub.cfg', import.meta.url)),
    'utf8',
  );
  const number = (name: string): number | undefined => PARTITIONS.find((each) => each.name === name)?.number;
  expect(script).toContain(`($disk,gpt${number('boot_state')})/copy_1.env`);
  expect(script).toContain(`boot_part=gpt${number('boot_a')}; set root_part=gpt${number('root_a')}`);
  expect(script).toContain(`boot_part=gpt${number('boot_b')}; set root_part=gpt${number('root_b')}`);
});

describe('the tool that RAUC calls', () => {
  let dir: string;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'boot-state-'));
    writeFileSync(join(dir, 'cmdline'), 'quiet spyoncino.firmware=uefi spyoncino.slot=A\n');
  });
  afterEach(() => rmSync(dir, { recursive: true, force: true }));

  const tool = (...args: readonly string[]): string =>
    execFileSync(
      process.execPath,
      [fileURLToPath(new URL('../../../os-image/boot-state/main.ts', import.meta.url)), ...args],
      {
        encoding: 'utf8',
        env: {
          SPYONCINO_BOOT_STATE: join(dir, 'boot_state'),
          SPYONCINO_COMMAND_LINE: join(dir, 'cmdline'),
        },
      },
    );
  const partition = (bytes: Buffer): void =>
    writeFileSync(join(dir, 'boot_state'), Buffer.concat([bytes, Buffer.alloc(1024 * 1024 - bytes.length)]));

  test('after a boot by UEFI it reads and writes what GRUB does', () => {
    partition(volumeOf(FACTORY_STATE, GRUB));
    tool('set-primary', 'B');
    expect(tool('get-primary')).toBe('B\n');
    const disk = readFileSync(join(dir, 'boot_state'));
    expect(GRUB.decode(disk.subarray(69_632, 70_144))).toMatchObject({ seq: 2, order: ['B', 'A'] });
    expect(disk.subarray(0, 4096).equals(GRUB.head)).toBe(true);
  });

  test('a lost partition is made anew, with its files; a lost directory as well', () => {
    partition(Buffer.alloc(4096));
    tool('set-state', 'A', 'good');
    expect(readFileSync(join(dir, 'boot_state')).subarray(0, 4096).equals(GRUB.head)).toBe(true);
    expect(JSON.parse(tool('show'))).toMatchObject({
      state: { recovery: 'state-lost', slots: { A: { state: 'good' }, B: { state: 'trial' } } },
    });
    const file = openSync(join(dir, 'boot_state'), 'r+');
    writeSync(file, Buffer.alloc(4096), 0, 4096, 0);
    closeSync(file);
    tool('set-state', 'B', 'good');
    expect(readFileSync(join(dir, 'boot_state')).subarray(0, 4096).equals(GRUB.head)).toBe(true);
    // Of the slot that is not running it says that it is to be written, so nothing is known of it.
    tool('set-state', 'B', 'bad');
    expect(tool('get-state', 'A')).toBe('good\n');
  });
});
