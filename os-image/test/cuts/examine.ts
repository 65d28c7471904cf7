/** Looks at what a power cut left, without booting it: table, boot state, slots, file system, footage, index. */
import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, globSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { DatabaseSync } from 'node:sqlite';
import type { Readable, Writable } from 'node:stream';
import { COPY_BYTES, COPY_OFFSETS, newest, type BootState, type Slot } from '../../boot-state/codec.ts';
import { MIB } from '../../build/layout.ts';
import { restart } from '../../../tests/crash/examine.ts';
import type { DiskOp } from '../../../tests/harness/nbd/disk-log.ts';
import { CAMERA, picturesIn } from '../card.ts';
import { cache, inside, startBytes } from '../toolbox.ts';
import {
  bootable,
  filesOf,
  stateComplaints,
  tableComplaints,
  tableOf,
  TAIL_BYTES,
  type Fact,
} from './facts.ts';
import type { Replay } from './replay.ts';

/** What a slot holds when it is whole. */
export interface SlotContent {
  readonly partition: string;
  readonly bytes: number;
  readonly sha256: string;
}

export type Slots = Readonly<Record<Slot, readonly SlotContent[]>>;

export interface Examined {
  /** Everything that is not as promised, in words. */
  readonly complaints: readonly string[];
  readonly state: BootState | null;
}

interface Look {
  readonly replay: Replay;
  /** Operations before this one were answered. */
  readonly cutAt: number;
  readonly facts: readonly Fact[];
}

/** Written to the data partition's copy; the tools answer with a line for each folder. */
export class Examiner implements AsyncDisposable {
  readonly #ops: readonly DiskOp[];
  readonly #slots: Slots;
  readonly #folder: string;
  readonly #tools: ChildProcessByStdio<Writable, Readable, null>;
  readonly #answers: AsyncIterator<string>;
  /** Slots that were found whole, by what was last written to them. */
  readonly #whole = new Set<string>();
  /** Of clips, by their hash. */
  readonly #pictures = new Map<string, number | string>();

  /** `name` of a folder of its own, below the cache. */
  constructor(ops: readonly DiskOp[], slots: Slots, name: string) {
    this.#ops = ops;
    this.#slots = slots;
    this.#folder = name;
    mkdirSync(`${cache}/${name}`, { recursive: true });
    this.#tools = spawn(inside, [cache, '/source/os-image/test/cuts/examine.sh'], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    this.#answers = createInterface({ input: this.#tools.stdout })[Symbol.asyncIterator]();
  }

  async examine({ cutAt, facts, replay }: Look): Promise<Examined> {
    const head = await replay.read(0, MIB);
    const tail = await replay.read(replay.sizeBytes - TAIL_BYTES, TAIL_BYTES);
    const copies = await Promise.all(
      COPY_OFFSETS.map((offset) => replay.read(startBytes('boot_state') + offset, COPY_BYTES)),
    );
    const state = newest(copies as [Buffer, Buffer])?.state ?? null;
    const complaints = [...tableComplaints(head, tail), ...stateComplaints(state, facts)];
    for (const slot of state === null ? [] : bootable(state))
      complaints.push(...(await this.#slotComplaints(replay, slot, cutAt)));
    const data = tableOf(head, tail)?.find(({ name }) => name === 'data');
    if (data !== undefined)
      complaints.push(...(await this.#dataComplaints(replay, data.sizeMib * MIB, facts)));
    return { complaints, state };
  }

  /** Read only when something was written to it that was not there the last time. */
  async #slotComplaints(replay: Replay, slot: Slot, cutAt: number): Promise<readonly string[]> {
    const complaints: string[] = [];
    for (const { bytes, partition, sha256 } of this.#slots[slot]) {
      const start = startBytes(partition);
      const lastWrite = this.#ops.findLastIndex(
        (op, index) => index <= cutAt && 'offset' in op && op.offset >= start && op.offset < start + bytes,
      );
      const isFlushed = lastWrite === -1 || this.#isFlushedBetween(lastWrite, cutAt);
      const known = `${partition} ${lastWrite}`;
      if (isFlushed && this.#whole.has(known)) continue;
      const hash = createHash('sha256');
      for (let at = 0; at < bytes; at += MIB)
        hash.update(await replay.read(start + at, Math.min(MIB, bytes - at)));
      if (hash.digest('hex') !== sha256)
        complaints.push(`${partition} is not whole, and slot ${slot} may boot`);
      else if (isFlushed) this.#whole.add(known);
    }
    return complaints;
  }

  #isFlushedBetween(from: number, until: number): boolean {
    const flush = this.#ops.findIndex((op, index) => index > from && op.kind === 'flush');
    return flush !== -1 && flush < until;
  }

  async #dataComplaints(replay: Replay, bytes: number, facts: readonly Fact[]): Promise<readonly string[]> {
    const folder = `${cache}/${this.#folder}`;
    await replay.copyTo(`${folder}/data.img`, startBytes('data'), bytes);
    const files = filesOf(facts).filter(({ kind }) => kind === 'file');
    writeFileSync(`${folder}/confirmed`, files.map(({ path }) => `${path}\n`).join(''));
    this.#tools.stdin.write(`/cache/${this.#folder}\n`);
    const { done } = await this.#answers.next();
    if (done === true) throw new Error('the tools that look at file systems are gone');
    const code = (name: string): number => Number(readFileSync(`${folder}/${name}`, 'utf8'));
    const complaints: string[] = [];
    const said = (): string => readFileSync(`${folder}/said`, 'utf8').trim().slice(-400);
    // 1: mended, as the box does it by itself.
    if (code('mended') > 1) complaints.push(`data cannot be mended by e2fsck -p: ${said()}`);
    else if (code('whole') !== 0) complaints.push(`data is not whole: ${said()}`);
    const out = `${folder}/files`;
    for (const { kind, path, sha256 } of filesOf(facts)) {
      const file = kind === 'clip' ? `${out}/${path.replace('spyoncino/', '')}` : `${out}/${path}`;
      const found = existsSync(file) ? sha256Of(readFileSync(file)) : 'gone';
      if (found !== sha256) complaints.push(`${path} was confirmed and is ${found}`);
    }
    for (const path of globSync('state/*.json', { cwd: out })) {
      if (!isJson(readFileSync(`${out}/${path}`, 'utf8'))) complaints.push(`${path} is no JSON`);
    }
    const clips = filesOf(facts).filter(({ kind }) => kind === 'clip');
    const index = indexComplaints(
      `${out}/state/index.sqlite`,
      clips.map(({ path }) => path.replace('spyoncino/', '')),
    );
    complaints.push(...index, ...(await this.#clipComplaints(out)));
    // What was being written: finished as an agent does it when it starts.
    if (index.length === 0 && globSync('media/**/*.part.mp4', { cwd: out }).length > 0) {
      complaints.push(...(await restart({ cameras: [{ cameraId: CAMERA }], dataDir: out })).complaints);
      for (const path of globSync('media/**/*.part.mp4', { cwd: out }))
        complaints.push(`${path} was not completed`);
      complaints.push(...(await this.#clipComplaints(out)));
    }
    return complaints;
  }

  /** Whatever bears the name of a finished file plays. The same bytes are played once. */
  async #clipComplaints(out: string): Promise<readonly string[]> {
    const complaints: string[] = [];
    for (const path of globSync('media/**/*.mp4', { cwd: out })) {
      if (path.endsWith('.part.mp4')) continue;
      const sha256 = sha256Of(readFileSync(`${out}/${path}`));
      const pictures =
        this.#pictures.get(sha256) ??
        (await picturesIn(`${out}/${path}`).catch((error: unknown) => String(error)));
      this.#pictures.set(sha256, pictures);
      if (typeof pictures === 'string') complaints.push(`${path} does not play: ${pictures}`);
      else if (pictures === 0) complaints.push(`${path} shows nothing`);
    }
    return complaints;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#tools.once('exit', () => resolve());
    this.#tools.stdin.end();
    if (this.#tools.exitCode === null && this.#tools.signalCode === null) await promise;
  }
}

/** Content of a slot's images, as they are built. */
export function slotContent(version: string, slot: Slot): readonly SlotContent[] {
  return ['root', 'boot'].map((image) => {
    const content = readFileSync(`${cache}/slot-arm64-${version}/${image}.img`);
    const partition = `${image}_${slot.toLowerCase()}`;
    return { partition, bytes: content.length, sha256: sha256Of(content) };
  });
}

/** Read without the code that keeps it. Paths are relative to the agent's data directory. */
function indexComplaints(path: string, confirmed: readonly string[]): readonly string[] {
  if (!existsSync(path)) return confirmed.length === 0 ? [] : ['the index is gone'];
  using index = new DatabaseSync(path);
  try {
    const [{ integrity_check: verdict } = { integrity_check: '' }] = index
      .prepare('PRAGMA integrity_check')
      .all() as { integrity_check: string }[];
    if (verdict !== 'ok') return [`the index is damaged: ${verdict}`];
    if (confirmed.length === 0) return [];
    const known = new Set(
      (index.prepare('SELECT path FROM file').all() as { path: string }[]).map(({ path }) => path),
    );
    return confirmed.filter((path) => !known.has(path)).map((path) => `${path} is not in the index`);
  } catch (error) {
    return [`the index cannot be read: ${String(error)}`];
  }
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

const sha256Of = (content: Buffer): string => createHash('sha256').update(content).digest('hex');
