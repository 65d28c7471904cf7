/**
 * RAUC's custom boot backend, and a tool to look at the boot state: get-primary, set-primary SLOT, get-state SLOT,
 * set-state SLOT good|bad, get-current, show. Exit code 0, or 1 with a reason on stderr.
 */
import {
  closeSync,
  constants,
  fsyncSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  writeSync,
} from 'node:fs';
import {
  activate,
  COPY_BYTES,
  COPY_OFFSETS,
  decode,
  encode,
  forget,
  markBad,
  markGood,
  newest,
  nextWrite,
  primary,
  SLOTS,
  type BootState,
  type Found,
  type Slot,
} from './codec.ts';

const DEVICE = process.env['SPYONCINO_BOOT_STATE'] ?? '/dev/spyoncino/boot_state';
/** Notes of the initial RAM disk on the slot that was tried last. */
const ATTEMPTS = process.env['SPYONCINO_BOOT_ATTEMPTS'] ?? '/data/system/attempts';

function read(): Found | null {
  const file = openSync(DEVICE, 'r');
  try {
    return newest([copyOf(file, 0), copyOf(file, 1)]);
  } finally {
    closeSync(file);
  }
}

function copyOf(file: number, which: 0 | 1): Buffer {
  const copy = Buffer.alloc(COPY_BYTES);
  readSync(file, copy, 0, COPY_BYTES, COPY_OFFSETS[which]);
  return copy;
}

/** Durable and read back when it returns. */
function write(change: (state: BootState) => BootState): void {
  const next = nextWrite(read(), change);
  const file = openSync(DEVICE, constants.O_RDWR | constants.O_DSYNC);
  try {
    const written = writeSync(file, encode(next.state), 0, COPY_BYTES, COPY_OFFSETS[next.copy]);
    fsyncSync(file);
    const back = decode(copyOf(file, next.copy));
    if (written !== COPY_BYTES || back?.seq !== next.state.seq)
      throw new Error(`${DEVICE} does not keep what is written`);
  } finally {
    closeSync(file);
  }
}

function current(): Slot {
  const name = /(?:^|\s)spyoncino\.slot=(\S+)/.exec(readFileSync('/proc/cmdline', 'utf8'))?.[1];
  return slotNamed(name);
}

function slotNamed(name: string | undefined): Slot {
  const slot = SLOTS.find((known) => known === name);
  if (slot === undefined) throw new Error(`no slot is called ${name}; there are ${SLOTS.join(', ')}`);
  return slot;
}

function known(): BootState {
  const found = read();
  if (found === null) throw new Error('both copies of the boot state are lost');
  return found.state;
}

function run([verb, name, mark]: readonly string[]): string {
  switch (verb) {
    case 'get-primary':
      return primary(known()) ?? known().order[0];
    case 'set-primary': {
      const slot = slotNamed(name);
      // Before: what is noted there is of another version.
      rmSync(ATTEMPTS, { force: true });
      write((state) => activate(state, slot));
      return '';
    }
    case 'get-state':
      return known().slots[slotNamed(name)].state === 'good' ? 'good' : 'bad';
    case 'set-state': {
      const slot = slotNamed(name);
      if (mark === 'good') write((state) => markGood(state, slot));
      // RAUC says `bad` before it writes a slot, too: for that one there is nothing to distrust yet.
      else if (slot === current()) write((state) => markBad(state, slot));
      else write((state) => forget(state, slot));
      return '';
    }
    case 'get-current':
      return current();
    case 'show':
      return JSON.stringify(read(), null, 2);
    default:
      throw new Error(
        'get-primary, set-primary SLOT, get-state SLOT, set-state SLOT good|bad, get-current or show',
      );
  }
}

try {
  const answer = run(process.argv.slice(2));
  if (answer) process.stdout.write(`${answer}\n`);
} catch (error) {
  process.stderr.write(`boot-state: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
