/**
 * The boot state as GRUB reads and writes it, where the firmware is UEFI. Pure.
 *
 * GRUB changes files and no bare sectors, knows environment blocks and no checksum. So the partition is a FAT volume with
 * two files of one sector each, whose directory and table are never written again, and the state is in each file twice.
 */
import { attempts, LOST_STATE, RECOVERIES, SLOTS, type BootState, type Format, type Slot } from './codec.ts';

const SECTOR_BYTES = 512;
const VOLUME_SECTORS = 2048;
/** Before the first cluster: boot sector, table, root directory. */
const TABLE_SECTORS = 6;
const HEAD_SECTORS = 1 + TABLE_SECTORS + 1;
/** Clusters of one sector, counted from 2: the copies begin at 4 KiB and at 68 KiB. */
const FILES = [
  { name: 'COPY_1  ENV', cluster: 2 },
  { name: 'COPY_2  ENV', cluster: 130 },
] as const;

const SIGNATURE = '# GRUB Environment Block\n';

/** Ten digits, as GRUB compares text and cannot count. */
const line = ({ seq, order, slots: { A, B }, recovery }: BootState): string =>
  [String(seq).padStart(10, '0'), order.join(''), ...[A.state, A.left, B.state, B.left], recovery].join(',');

/** One environment block of one sector: the same line under two names, filled up with `#`. */
function encode(state: BootState): Buffer {
  const copy = Buffer.alloc(SECTOR_BYTES, '#');
  copy.write(`${SIGNATURE}boot_state=${line(state)}\nboot_again=${line(state)}\n`, 'latin1');
  return copy;
}

/**
 * The variables of an environment block, as GRUB finds them: what it has written into a torn one is not as tidy as `encode`.
 * Of two with one name the later counts.
 */
function variables(copy: Buffer): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  const text = copy.toString('latin1');
  if (!text.startsWith(SIGNATURE)) return found;
  for (let at = SIGNATURE.length; at < text.length;) {
    const equals = text.indexOf('=', at);
    const end = text.indexOf('\n', text[at] === '#' ? at : equals);
    if (text[at] !== '#') {
      if (equals === -1 || end === -1) return found;
      found.set(text.slice(at, equals), text.slice(equals + 1, end));
    }
    at = end === -1 ? text.length : end + 1;
  }
  return found;
}

/**
 * Of a sector that was torn anywhere, the first line is not of the same number as the second, unless one of the two
 * states is all there.
 */
function decode(copy: Buffer): BootState | null {
  const found = variables(copy);
  const text = found.get('boot_state');
  if (copy.length !== SECTOR_BYTES || text === undefined || text !== found.get('boot_again')) return null;
  const [number = '', order = '', stateA = '', leftA = '', stateB = '', leftB = '', last = '', ...more] =
    text.split(',');
  const seq = /^\d{10}$/.test(number) && Number(number) <= 0xffff_ffff ? Number(number) : null;
  const [first, second] = order.split('').map((name) => SLOTS.find((slot): slot is Slot => slot === name));
  const A = attempts(stateA, leftA);
  const B = attempts(stateB, leftB);
  const recovery = RECOVERIES.find((name) => name === last);
  if (seq === null || A === null || B === null || recovery === undefined || more.length > 0) return null;
  if (order.length !== 2 || first === undefined || second === undefined || first === second) return null;
  return { seq, order: [first, second], slots: { A, B }, recovery };
}

/** Boot sector, table and root directory of a FAT12 volume of 1 MiB that holds the two files. */
function head(): Buffer {
  const volume = Buffer.alloc(HEAD_SECTORS * SECTOR_BYTES);
  volume.set([0xeb, 0x3c, 0x90]);
  volume.write('SPYONCIN', 3, 'latin1');
  volume.writeUInt16LE(SECTOR_BYTES, 11);
  volume.writeUInt8(1, 13); // sectors of a cluster
  volume.writeUInt16LE(1, 14); // sectors before the table
  volume.writeUInt8(1, 16); // tables
  volume.writeUInt16LE(SECTOR_BYTES / 32, 17); // entries of the root directory
  volume.writeUInt16LE(VOLUME_SECTORS, 19);
  volume.writeUInt8(0xf8, 21);
  volume.writeUInt16LE(TABLE_SECTORS, 22);
  volume.writeUInt16LE(32, 24); // sectors of a track, and heads, of no meaning
  volume.writeUInt16LE(2, 26);
  volume.writeUInt8(0x29, 38);
  volume.writeUInt32LE(0x5b10_c1a0, 39);
  volume.write('NO NAME    FAT12   ', 43, 'latin1');
  volume.writeUInt16LE(0xaa55, 510);
  volume.set([0xf8, 0xff, 0xff], SECTOR_BYTES);
  for (const [index, { name, cluster }] of FILES.entries()) {
    // Entries of 12 bits, the even ones first; each file ends with its only cluster.
    volume.writeUInt16LE(0x0fff, SECTOR_BYTES + (cluster / 2) * 3);
    const entry = (1 + TABLE_SECTORS) * SECTOR_BYTES + index * 32;
    volume.write(name, entry, 'latin1');
    volume.writeUInt8(0x20, entry + 11);
    volume.writeUInt16LE(0x21, entry + 24); // 1980-01-01
    volume.writeUInt16LE(cluster, entry + 26);
    volume.writeUInt32LE(SECTOR_BYTES, entry + 28);
  }
  return volume;
}

const offsetOf = (cluster: number): number => (HEAD_SECTORS + cluster - 2) * SECTOR_BYTES;

export const GRUB: Format = {
  copyBytes: SECTOR_BYTES,
  copyOffsets: [offsetOf(FILES[0].cluster), offsetOf(FILES[1].cluster)],
  head: head(),
  encode,
  decode,
};

/** What GRUB starts with when both copies are lost, and goes on with while they stay so: a file elsewhere. */
export const SPARE: Buffer = encode(LOST_STATE);
