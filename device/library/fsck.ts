import { existsSync } from 'node:fs';
import { open, readdir, readlink, realpath, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { CodedError } from '../contract/errors.ts';
import type { Coverage } from '../contract/facts.ts';
import { coverageOf, durationMsOf, readerOf } from '../kernel/fmp4/describe.ts';
import { scanFile } from '../kernel/fmp4/scan.ts';
import { adoptFile, adoptStill } from './adopt.ts';
import { commitFacts, type FootageFact } from './commit.ts';
import type { LibraryContext } from './context.ts';
import { bySeals, hashOf } from './difference.ts';
import { footageFolders, IN_PROGRESS, type Folder, type FolderRow } from './folders.ts';
import { expectCamera } from './guest.ts';
import { removeFootage, sweepGarbage } from './garbage.ts';
import { expectMedia } from './reconcile.ts';
import { checkChain, linksOf } from './verify-chain.ts';

export const FSCK_LEVELS = ['presence', 'size', 'hash'] as const;
export type FsckLevel = (typeof FSCK_LEVELS)[number];

export type FindingType =
  /** In the index, not on the disk. Repair: marked as missing. */
  | 'missing'
  /** Missing for longer than a week. Repair: forgotten. */
  | 'dead'
  /** Marked as missing, but there. Repair: the mark is taken away. */
  | 'found'
  /** Ours, but not in the index. Repair: adopted. */
  | 'unlisted'
  /** Of unknown origin. Never touched. */
  | 'unknown'
  /** Nobody writes it any more. Repair: completed, when its camera has no other writer. */
  | 'unfinished'
  /** Deleted in the index, still on the disk. Repair: deleted. */
  | 'garbage'
  | 'unreadable'
  | 'size'
  | 'altered'
  /** The index says of other times than the file that there is footage. Repair: as the file says. */
  | 'coverage'
  | 'chain';

export interface Finding {
  readonly type: FindingType;
  /** Relative to the data directory. Of a chain: the camera. */
  readonly path: string;
  readonly detail: string;
  readonly repaired: boolean;
}

export interface FsckOptions {
  readonly level: FsckLevel;
  readonly repair: boolean;
  readonly cameraId?: string | undefined;
  readonly onFinding: (finding: Finding) => void;
  readonly onProgress?: (cost: Pick<FsckSummary, 'files' | 'readBytes'>) => void;
  /** Completes the unfinished files of a camera that nobody records; what its writer would have told. */
  readonly complete?: (cameraId: string) => Promise<readonly FootageFact[]>;
}

export interface FsckSummary {
  readonly findings: number;
  readonly repaired: number;
  /** Looked at, and bytes read of them. */
  readonly files: number;
  readonly readBytes: number;
  readonly ms: number;
}

/** Its writer, or the agent, may be about to tell of what changed a moment ago. */
const SETTLE_MS = 60_000;
/** A recorder writes every second while it gets pictures. */
const IDLE_MS = 600_000;
const DEAD_MS = 7 * 86_400_000;

/**
 * Holds index, disk and chain against each other, while the agent works or not. What looks wrong is looked at
 * again before it is reported, because footage is closed and deleted meanwhile.
 *
 * @throws CodedError MEDIA_FOREIGN when another disk than the index's is mounted, or none; FOOTAGE_NOT_FOUND for
 * a camera that there is not
 */
export async function fsck(context: LibraryContext, options: FsckOptions): Promise<FsckSummary> {
  await expectMedia(context);
  const startedMs = context.clock.monotonicMs();
  const check = new Check(context, options);
  const { cameraId } = options;
  if (cameraId !== undefined) expectCamera(context.store, cameraId);
  await check.garbage();
  const onStranger = (path: string): void => check.report('unknown', path, 'no day of footage');
  for await (const folder of footageFolders(context, { cameraId, onStranger })) await check.folder(folder);
  await check.unfinished();
  check.chains();
  const { findings, repaired, files, readBytes } = check;
  return { findings, repaired, files, readBytes, ms: context.clock.monotonicMs() - startedMs };
}

class Check {
  readonly #context: LibraryContext;
  readonly #o: FsckOptions;
  findings = 0;
  repaired = 0;
  files = 0;
  readBytes = 0;
  /** Of one camera at a time. */
  #idle: { readonly cameraId: string; readonly path: string }[] = [];
  #camera = '';
  #isWritten = false;

  constructor(context: LibraryContext, options: FsckOptions) {
    this.#context = context;
    this.#o = options;
  }

  report(type: FindingType, path: string, detail: string, repaired = false): void {
    this.findings += 1;
    if (repaired) this.repaired += 1;
    this.#o.onFinding({ type, path, detail, repaired });
  }

  async garbage(): Promise<void> {
    const { store, media, clock, dataDir } = this.#context;
    const { cameraId } = this.#o;
    const left = store
      .all<{ path: string }>(
        'SELECT path FROM garbage WHERE media = ? AND since_ms < ? ORDER BY no',
        ...[media, Math.round(clock.utcMs()) - SETTLE_MS],
      )
      .filter(({ path }) => cameraId === undefined || path.split('/')[2] === cameraId);
    if (left.length === 0) return;
    if (this.#o.repair) await sweepGarbage(this.#context);
    for (const { path } of left) {
      const repaired = this.#o.repair && !existsSync(join(dataDir, path));
      this.report('garbage', path, 'was to be deleted and is still there', repaired);
    }
  }

  async folder(folder: Folder): Promise<void> {
    const { kind, cameraId, path, present, rows } = folder;
    if (cameraId !== this.#camera) {
      await this.unfinished();
      this.#camera = cameraId;
    }
    const { signal } = this.#context;
    for (const row of rows) {
      if (signal.aborted) return;
      const isPresent = present.has(row.path.slice(path.length + 1));
      await this.#readable(row.path, () => (isPresent ? this.#present(kind, row) : this.#absent(kind, row)));
      this.#count();
    }
    const named = new Set(rows.map((row) => row.path.slice(path.length + 1)));
    for (const name of present) {
      if (signal.aborted) return;
      if (named.has(name)) continue;
      const inProgress = IN_PROGRESS.test(name);
      await this.#readable(`${path}/${name}`, () =>
        inProgress ? this.#inProgress(cameraId, `${path}/${name}`) : this.#unlisted(folder, name),
      );
      this.#count();
    }
  }

  /** One file that the disk does not give away costs the others nothing. */
  async #readable(path: string, look: () => Promise<void>): Promise<void> {
    try {
      await look();
    } catch (error) {
      if (!(error instanceof Error && 'syscall' in error) || error instanceof CodedError) throw error;
      this.report('unreadable', path, error.message);
    }
  }

  #count(bytes = 0): void {
    if (bytes === 0) this.files += 1;
    this.readBytes += bytes;
    this.#o.onProgress?.({ files: this.files, readBytes: this.readBytes });
  }

  #isRow(kind: Folder['kind'], { no, path }: FolderRow): boolean {
    const table = kind === 'still' ? 'still WHERE event' : 'file WHERE no';
    return this.#context.store.get(`SELECT 1 FROM ${table} = ? AND path = ?`, no, path) !== null;
  }

  async #absent(kind: Folder['kind'], row: FolderRow): Promise<void> {
    const { store, dataDir, clock } = this.#context;
    const { repair } = this.#o;
    if (existsSync(join(dataDir, row.path)) || !this.#isRow(kind, row)) return;
    const nowMs = Math.round(clock.utcMs());
    if (row.missing_ms === null) {
      if (repair && kind === 'still') store.run('DELETE FROM still WHERE event = ?', row.no);
      else if (repair) store.run('UPDATE file SET missing_ms = ? WHERE no = ?', nowMs, row.no);
      this.report('missing', row.path, 'is in the index and not on the disk', repair);
    } else if (nowMs - row.missing_ms > DEAD_MS) {
      if (repair) await removeFootage(this.#context, { fileIds: [fileIdOf(row.path)] });
      this.report('dead', row.path, `is missing since ${new Date(row.missing_ms).toISOString()}`, repair);
    }
  }

  async #present(kind: Folder['kind'], row: FolderRow): Promise<void> {
    const { store, dataDir } = this.#context;
    const { level, repair } = this.#o;
    if (row.missing_ms !== null) {
      if (repair) store.run('UPDATE file SET missing_ms = NULL WHERE no = ?', row.no);
      this.report('found', row.path, 'was missing and is there again', repair);
    }
    if (level === 'presence') return;
    const sizeBytes = (await stat(join(dataDir, row.path)).catch(unlessGone))?.size;
    if (sizeBytes === undefined || !this.#isRow(kind, row)) return;
    if (sizeBytes !== row.size_bytes) {
      this.report('size', row.path, `has ${sizeBytes} bytes instead of ${row.size_bytes}`);
    } else if (level === 'hash' && kind !== 'still') await this.#hash(row);
  }

  async #hash(row: FolderRow): Promise<void> {
    const { store, dataDir, signal } = this.#context;
    await using handle = await open(join(dataDir, row.path)).catch(unlessGone);
    if (!handle) return;
    const linked = store.get<{ sha256: Uint8Array; start_ms: number; end_ms: number }>(
      'SELECT sha256, file.start_ms, file.end_ms FROM file JOIN link USING (file_id) WHERE file.no = ?',
      row.no,
    );
    if (!linked) {
      if (existsSync(join(dataDir, row.path)) && this.#isRow('clip', row)) {
        this.report('chain', row.path, 'is in the index, but not in the chain');
      }
      return;
    }
    let countedBytes = 0;
    const sha256 = await hashOf(handle, signal, (doneBytes) => {
      this.#count(doneBytes - countedBytes);
      countedBytes = doneBytes;
    });
    const read = readerOf(handle);
    const scanned = await scanFile(read, row.size_bytes);
    const startUtcMs = scanned?.notes.at(-1)?.note.startUtcMs;
    if (sha256 !== Buffer.from(linked.sha256).toString('hex')) {
      const where =
        scanned && startUtcMs !== undefined
          ? await bySeals(scanned, startUtcMs, read, row.size_bytes, row.size_bytes)
          : null;
      const at = where?.startUtcMs ? ` from ${new Date(where.startUtcMs).toISOString()} on` : '';
      this.report(
        'altered',
        row.path,
        `is not what the chain says${where ? `: byte ${where.atBytes}${at}` : ''}`,
      );
      return;
    }
    if (!scanned || startUtcMs === undefined) return;
    const said = this.#coverageInIndex(row.no, linked.start_ms, linked.end_ms);
    const is = coverageOf(scanned, startUtcMs);
    const endMs = Math.round(startUtcMs + durationMsOf(scanned));
    if (sameCoverage(said, is) && Math.abs(endMs - linked.end_ms) <= 1) return;
    if (this.#o.repair) this.#setCoverage(row.no, is);
    this.report('coverage', row.path, `shows ${spans(is)}, not ${spans(said)}`, this.#o.repair);
  }

  #coverageInIndex(no: number, startMs: number, endMs: number): readonly Coverage[] {
    const rows = this.#context.store.all<{ startUtcMs: number; endUtcMs: number }>(
      'SELECT start_ms AS startUtcMs, end_ms AS endUtcMs FROM coverage WHERE file = ? ORDER BY start_ms',
      no,
    );
    return rows.length > 0 ? rows : [{ startUtcMs: startMs, endUtcMs: endMs }];
  }

  #setCoverage(no: number, coverage: readonly Coverage[]): void {
    const { store } = this.#context;
    store.transaction(() => {
      store.run('DELETE FROM coverage WHERE file = ?', no);
      if (coverage.length < 2) return;
      for (const { startUtcMs, endUtcMs } of coverage) {
        store.run('INSERT INTO coverage VALUES (?, ?, ?)', no, startUtcMs, endUtcMs);
      }
    });
  }

  async #unlisted({ kind, cameraId, path: folder }: Folder, name: string): Promise<void> {
    const { store, dataDir, clock } = this.#context;
    const { repair } = this.#o;
    const path = `${folder}/${name}`;
    const mtimeMs = (await stat(join(dataDir, path)).catch(unlessGone))?.mtimeMs;
    if (mtimeMs === undefined || mtimeMs > clock.utcMs() - SETTLE_MS) return;
    const id = name.replace(/\.(mp4|jpg)$/, '');
    if (kind === 'still') {
      if (!store.get('SELECT 1 FROM event WHERE event_id = ?', id)) {
        this.report('unknown', path, 'is of no event that we know');
        return;
      }
      const adoption = repair && (await adoptStill(this.#context, { cameraId, eventId: id, path }));
      if (adoption !== 'known')
        this.report('unlisted', path, 'is a still that its event lacks', adoption === 'adopted');
      return;
    }
    const place = { kind, cameraId, id, path };
    if (!name.endsWith('.mp4') || !(await this.#isOurs(place))) {
      if (existsSync(join(dataDir, path)))
        this.report('unknown', path, 'was not written by us, or is damaged');
      return;
    }
    if (store.get('SELECT 1 FROM file WHERE file_id = ? AND path = ?', id, path)) return;
    if (store.get('SELECT 1 FROM garbage WHERE path = ?', path) || !existsSync(join(dataDir, path))) return;
    const adopted = repair && (await adoptFile(this.#context, place)) === 'adopted';
    this.report('unlisted', path, `is a ${kind} that the index does not have`, adopted);
  }

  async #isOurs({ kind, cameraId, id, path }: { kind: string; cameraId: string; id: string; path: string }) {
    await using handle = await open(join(this.#context.dataDir, path)).catch(unlessGone);
    const scanned = handle && (await scanFile(readerOf(handle), (await handle.stat()).size));
    const note = scanned?.notes.at(-1)?.note;
    return note?.kind === kind && note.cameraId === cameraId && note.id === id;
  }

  async #inProgress(cameraId: string, path: string): Promise<void> {
    const { dataDir, clock } = this.#context;
    // Told when it was set aside, and for a person to judge.
    if (path.endsWith('.broken')) return;
    const mtimeMs = (await stat(join(dataDir, path)).catch(unlessGone))?.mtimeMs;
    if (mtimeMs === undefined) return;
    if (mtimeMs > clock.utcMs() - IDLE_MS || (await isOpen(join(dataDir, path)))) this.#isWritten = true;
    else if (path.endsWith('.tmp'))
      this.report('unfinished', path, 'was left behind; it is written anew when needed');
    else this.#idle.push({ cameraId, path });
  }

  /** Of the camera whose folders are through. */
  async unfinished(): Promise<void> {
    const { dataDir } = this.#context;
    const idle = this.#idle;
    const isWritten = this.#isWritten;
    this.#idle = [];
    this.#isWritten = false;
    if (idle.length === 0) return;
    if (this.#o.repair && !isWritten && this.#o.complete) {
      commitFacts(this.#context, await this.#o.complete(idle[0]!.cameraId));
    }
    for (const { path } of idle) {
      this.report('unfinished', path, 'nobody writes it any more', !existsSync(join(dataDir, path)));
    }
  }

  chains(): void {
    const { store, signal } = this.#context;
    const cameras = store.all<{ camera_id: string }>('SELECT camera_id FROM camera ORDER BY camera_id');
    for (const { camera_id: cameraId } of cameras) {
      if (signal.aborted) return;
      if (this.#o.cameraId !== undefined && this.#o.cameraId !== cameraId) continue;
      for (const problem of checkChain(cameraId, linksOf(store, cameraId), []).problems) {
        const { type, position } = problem;
        const links = type === 'removed' ? `links ${position} to ${problem.until}` : `link ${position}`;
        this.report('chain', cameraId, `${links} ${type === 'removed' ? 'were' : 'was'} ${type}`);
      }
    }
  }
}

const fileIdOf = (path: string): string => basename(path, '.mp4');

function sameCoverage(a: readonly Coverage[], b: readonly Coverage[]): boolean {
  const isNear = (x: number, y: number): boolean => Math.abs(x - y) <= 1;
  return (
    a.length === b.length &&
    a.every(
      ({ startUtcMs, endUtcMs }, i) =>
        isNear(startUtcMs, b[i]!.startUtcMs) && isNear(endUtcMs, b[i]!.endUtcMs),
    )
  );
}

const spans = (coverage: readonly Coverage[]): string =>
  coverage
    .map(
      ({ startUtcMs, endUtcMs }) =>
        `${new Date(startUtcMs).toISOString()}/${new Date(endUtcMs).toISOString()}`,
    )
    .join(', ');

/** Whether a process that we may look into has the file open. */
async function isOpen(path: string): Promise<boolean> {
  const target = await realpath(path);
  const processes = (await readdir('/proc').catch(() => [])).filter((name) => /^\d+$/.test(name));
  for (const pid of processes) {
    const folder = `/proc/${pid}/fd`;
    for (const fd of await readdir(folder).catch(() => [])) {
      if ((await readlink(`${folder}/${fd}`).catch(() => '')) === target) return true;
    }
  }
  return false;
}

function unlessGone(error: NodeJS.ErrnoException): null {
  if (error.code !== 'ENOENT') throw error;
  return null;
}
