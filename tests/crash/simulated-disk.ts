import { dirname } from 'node:path';
import type { Clock } from '../../device/kernel/clock.ts';
import type { Disk, DiskFile } from '../../device/record/index.ts';

/** What a disk was asked, in order. A sync stands where it was answered; everything else where it began. */
type Call =
  | { readonly type: 'mkdir'; readonly path: string }
  | { readonly type: 'create'; readonly path: string; readonly file: number }
  | { readonly type: 'rename'; readonly from: string; readonly to: string }
  | { readonly type: 'syncDirectory'; readonly path: string }
  | { readonly type: 'write'; readonly file: number; readonly position: number; readonly data: Buffer }
  /** Of the calls before number `upTo`. */
  | { readonly type: 'sync'; readonly file: number; readonly upTo: number };

export type TimedCall = Call & { readonly utcMs: number };

/** What a disk may be told to leave out, as a recorder that forgot it would. */
export type Omission = 'sync' | 'name of a new file' | 'new name of a file' | 'name of a directory';

export interface SimulatedDiskOptions {
  readonly clock: Clock;
  readonly random: () => number;
  /** Each call takes up to this long. */
  readonly slownessMs: number;
  readonly omits?: Omission;
}

/** A disk in memory that only remembers: what it holds after a power cut is worked out by `leftBehind`. */
export class SimulatedDisk implements Disk {
  readonly calls: TimedCall[] = [];
  readonly #o: SimulatedDiskOptions;
  readonly #directories = new Set<string>();
  #files = 0;

  constructor(options: SimulatedDiskOptions) {
    this.#o = options;
  }

  async makeDirectory(path: string): Promise<void> {
    if (path === '/' || path === '.' || this.#directories.has(path)) return;
    await this.makeDirectory(dirname(path));
    this.#directories.add(path);
    await this.#call({ type: 'mkdir', path });
    await this.#syncDirectory(dirname(path), 'name of a directory');
  }

  async create(path: string): Promise<DiskFile> {
    const file = this.#files++;
    await this.#call({ type: 'create', path, file });
    await this.#syncDirectory(dirname(path), 'name of a new file');
    return {
      write: (chunks, position) => this.#call({ type: 'write', file, position, data: Buffer.concat(chunks) }),
      sync: async () => {
        const upTo = this.calls.length;
        await this.#wait();
        if (this.#o.omits !== 'sync') this.#log({ type: 'sync', file, upTo });
      },
      close: async () => {},
    };
  }

  async reopen(): Promise<DiskFile> {
    throw new Error('this disk never fails, so nothing has to be opened again');
  }

  async rename(from: string, to: string): Promise<void> {
    await this.#call({ type: 'rename', from, to });
    await this.#syncDirectory(dirname(to), 'new name of a file');
  }

  async #syncDirectory(path: string, what: Omission): Promise<void> {
    await this.#wait();
    if (this.#o.omits !== what) this.#log({ type: 'syncDirectory', path });
  }

  async #call(call: Call): Promise<void> {
    this.#log(call);
    await this.#wait();
  }

  async #wait(): Promise<void> {
    const { clock, random, slownessMs } = this.#o;
    if (slownessMs > 0) await clock.sleep(random() * slownessMs);
  }

  #log(call: Call): void {
    this.calls.push({ ...call, utcMs: this.#o.clock.utcMs() });
  }
}

type NameCall = Extract<Call, { type: 'mkdir' | 'create' | 'rename' }>;

interface Directory {
  /** Files by path; null is a directory. */
  readonly names: Map<string, number | null>;
  pending: NameCall[];
}

interface File {
  durable: Buffer;
  pending: { readonly no: number; readonly call: Extract<Call, { type: 'write' }> }[];
}

/**
 * Files that a power cut after `calls` may leave, by path. Durable is what was synced, and no more: of
 * what was not, `random` picks for each directory how many of the newest names are gone, and for each file
 * how long it is and which sectors of it hold what was written rather than what was there before (zeros,
 * where it grew).
 */
export function leftBehind(calls: readonly Call[], random: () => number): ReadonlyMap<string, Buffer> {
  const directories = new Map<string, Directory>();
  const files = new Map<number, File>();
  const directory = (path: string): Directory =>
    of(directories, path, () => ({ names: new Map(), pending: [] }));
  const file = (no: number): File => of(files, no, () => ({ durable: Buffer.alloc(0), pending: [] }));

  for (const [no, call] of calls.entries()) {
    switch (call.type) {
      case 'mkdir':
      case 'create':
        directory(dirname(call.path)).pending.push(call);
        break;
      case 'rename':
        directory(dirname(call.to)).pending.push(call);
        break;
      case 'syncDirectory':
        settleNames(directory(call.path), Infinity);
        break;
      case 'write':
        file(call.file).pending.push({ no, call });
        break;
      case 'sync': {
        const synced = file(call.file);
        const isSynced = ({ no }: { no: number }): boolean => no < call.upTo;
        synced.durable = apply(synced.durable, synced.pending.filter(isSynced));
        synced.pending = synced.pending.filter((pending) => !isSynced(pending));
      }
    }
  }

  const left = new Map<string, Buffer>();
  const collect = (path: string): void => {
    const held = directory(path);
    settleNames(held, Math.floor(random() * (held.pending.length + 1)));
    for (const [name, no] of held.names) {
      if (no === null) collect(name);
      else left.set(name, tear(file(no), random));
    }
  };
  collect('/');
  return left;
}

function of<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  const value = map.get(key) ?? make();
  map.set(key, value);
  return value;
}

function settleNames(directory: Directory, count: number): void {
  const { names, pending } = directory;
  for (const call of pending.splice(0, count)) {
    if (call.type === 'mkdir') names.set(call.path, null);
    else if (call.type === 'create') names.set(call.path, call.file);
    else {
      names.set(call.to, names.get(call.from)!);
      names.delete(call.from);
    }
  }
}

function apply(bytes: Buffer, pending: File['pending']): Buffer {
  return pending.reduce((before, { call }) => {
    const after = resized(before, Math.max(before.byteLength, call.position + call.data.byteLength));
    call.data.copy(after, call.position);
    return after;
  }, bytes);
}

const SECTOR_BYTES = 512;

function tear({ durable, pending }: File, random: () => number): Buffer {
  if (pending.length === 0) return durable;
  const written = apply(durable, pending);
  const [shortest, longest] = [durable.byteLength, written.byteLength];
  const sizeBytes = pick(random, [shortest, longest, shortest + Math.floor(random() * (longest - shortest))]);
  const arriving = pick(random, [0, 0.5, 0.9, 1]);
  const torn = resized(durable, sizeBytes);
  for (let at = 0; at < sizeBytes; at += SECTOR_BYTES) {
    if (random() < arriving) written.copy(torn, at, at, Math.min(at + SECTOR_BYTES, sizeBytes));
  }
  return torn;
}

const pick = <T>(random: () => number, choices: readonly T[]): T =>
  choices[Math.floor(random() * choices.length)]!;

/** A copy; what is new in it is zeros. */
function resized(bytes: Buffer, sizeBytes: number): Buffer {
  const copy = Buffer.alloc(sizeBytes);
  bytes.copy(copy);
  return copy;
}
